"""Running the program as a person would, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile

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


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A song in a folder of its own, 24 bit, with the four stems that it is the sum of in `stems/` beside it."""
    return _make_song(tmp_path / "music")


@pytest.fixture
def make_song() -> Callable[..., Path]:
    """The maker of such songs, for other folders, channel counts, rates (Hz), lengths (frames) and subtypes."""
    return _make_song


def _make_song(
    folder: Path, *, channels: int = 2, rate: int = 44_100, frames: int = 70_001, subtype: str = "PCM_24"
) -> Path:
    rng = np.random.default_rng(11)
    (folder / "stems").mkdir(parents=True)
    time = np.arange(frames) / rate
    sounds = {
        "vocals": 0.1 * np.sin(2 * np.pi * 440 * time),
        "drums": 0.2 * rng.standard_normal(frames) * np.exp(-20 * (time % 0.5)),
        "bass": 0.2 * np.sin(2 * np.pi * 82 * time) + 0.1 * np.sin(2 * np.pi * 246 * time),
        "other": 0.02 * rng.standard_normal(frames),
    }
    total = np.zeros((frames, channels))
    for name, sound in sounds.items():
        # on the grid of 24 bit, so that their sum is the song exactly
        stem = np.rint(sound[:, None] * np.linspace(0.7, 1.0, channels) * 2**23) / 2**23
        soundfile.write(folder / "stems" / f"{name}.wav", stem, rate, subtype="FLOAT")
        total += stem
    soundfile.write(folder / "song.wav", total, rate, subtype=subtype)
    return folder / "song.wav"
