"""Running the program as a person would, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tui.__main__ import main


class Outcome(NamedTuple):
    """What a command left behind: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON object on stdout; nothing else may be there."""
        return json.loads(self.out)


@pytest.fixture
def unbake(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs `unbake` with the given words."""

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Outcome(code, out, err)

    return run
