"""What the tests of listening share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audition.audition_session import Heard, make_session


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    """A session whose bass is equalised."""
    return make_session(tmp_path)
