"""Ctrl+C at any time: exit 130, nothing half-written, and the work that was done is taken up again."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tui", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(process: subprocess.Popen[str], what) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def long_song(tmp_path: Path, mixture) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, mixture(90.0, 44_100), 44_100, subtype="PCM_16")
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_separation_leaves_nothing_and_goes_on_later(
    long_song: Path, tmp_path: Path, number: int
) -> None:
    words = ("separate", long_song, "--model", "spleeter-2stems", "--device", "cpu", "--quiet")
    partial = Path(os.environ["UNBAKE_CACHE"]) / "stems" / "partial"

    def half_way() -> bool:
        return any(path.stat().st_size > 2_000_000 for path in partial.rglob("*vocals*"))

    stopped = start(*words, "-o", tmp_path / "stems")
    wait_for(stopped, half_way)
    stopped.send_signal(number)
    out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert out == ""
    assert err.count("\n") == 1
    assert "interrupted" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.wav"]

    resumed = start(*words, "-o", tmp_path / "stems")
    assert resumed.wait(timeout=200) == 0
    os.environ["UNBAKE_CACHE"] += "-other"
    whole = start(*words, "-o", tmp_path / "whole")
    assert whole.wait(timeout=200) == 0
    assert hashes(tmp_path / "stems") == hashes(tmp_path / "whole")


def test_an_interrupted_render_leaves_nothing(long_song: Path, tmp_path: Path) -> None:
    render = start("repair", long_song, "--preset", "untouched", "--quiet")
    wait_for(render, lambda: any(path.suffix == ".part" for path in tmp_path.iterdir()))
    render.send_signal(signal.SIGINT)
    out, err = render.communicate(timeout=60)
    assert (render.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.wav"]


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    listing = subprocess.run(
        f"{sys.executable} -m tui presets list | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert listing.stdout.count("\n") == 1
    assert listing.stderr == ""
