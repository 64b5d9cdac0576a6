"""What all tests share: places of their own for cache and home, and the folder of real audio when there is one."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile

from tui.__main__ import main

# Tests run in several processes at once: torch's threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Started in the background of a script, we would hand an ignored Ctrl+C on to every program under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may touch the user's own store or presets; stems are large, and leave with their test."""
    folder = tmp_path_factory.mktemp("places")
    monkeypatch.setenv("UNBAKE_HOME", str(folder / "home"))
    monkeypatch.setenv("UNBAKE_CACHE", str(folder / "cache"))
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real test audio; tests that want it are skipped, visibly, where it is not."""
    folder = Path(os.environ.get("UNBAKE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real audio here (set UNBAKE_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def stem_file() -> Path:
    """A real file with a mix, four stems and a stem manifest (Native Instruments), which stempeg ships."""
    spec = importlib.util.find_spec("stempeg")
    assert spec is not None
    assert spec.submodule_search_locations
    return next((Path(spec.submodule_search_locations[0]) / "data").glob("*.stem.mp4"))


@pytest.fixture
def mixture() -> Callable[..., np.ndarray]:
    """The maker of a deterministic signal [frames, channels] from seconds and a sample rate in Hz."""
    return _mixture


def _mixture(seconds: float, sample_rate: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    """Low tones, noise and clicks, with peaks well under full scale."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    bass = 0.2 * np.sin(2 * np.pi * 82.4 * time) + 0.1 * np.sin(2 * np.pi * 247.2 * time)
    clicks = np.where(time % 0.5 < 0.002, 0.3, 0.0) * rng.standard_normal(len(time)) * 0.3
    noise = 0.02 * rng.standard_normal((channels, len(time)))
    pans = np.linspace(0.8, 1.0, channels)[:, None]
    return ((bass + clicks) * pans + noise).T


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
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The maker of plug-ins that `tests/strips/plugins_fake` stands in for: from a name that says what it does."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "strips" / "plugins_fake"))
    machine = {"x86_64": 0x3E, "aarch64": 0xB7}.get(platform.machine(), 0)

    def make(name: str) -> str:
        path = tmp_path / f"{name}.vst3"
        path.write_bytes(b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little"))
        return str(path)

    return make
