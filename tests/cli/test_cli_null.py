"""`unbake null` on files that are not of one form, and what it shows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

RATE = 44_100


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Six seconds of noise, and the same half as loud from 3 s on."""
    noise = 0.1 * np.random.default_rng(1).standard_normal((6 * RATE, 2))
    soundfile.write(tmp_path / "a.wav", noise, RATE, subtype="FLOAT")
    noise[3 * RATE :] *= 0.5
    soundfile.write(tmp_path / "b.wav", noise, RATE, subtype="FLOAT")
    return tmp_path / "a.wav", tmp_path / "b.wav"


def test_what_is_shown(unbake, pair: tuple[Path, Path]) -> None:
    plain = unbake("null", *pair)
    assert plain.code == 1
    for word in ("differing", "null depth", "worst", "drift", "coherence", "comb", "why", "ceiling", "mono loss"):
        assert f"\n{word}" in plain.out
    assert "\nband" not in plain.out
    assert "\nwindow" not in plain.out
    assert "the first at 0:03.000 (frame 132300)" in plain.out
    shown = unbake("null", *pair, "--bands", "--window", "1.5")
    assert shown.out.count("\nband") == 32
    assert shown.out.count("\nwindow") == 4


def test_a_passage_passes_where_the_whole_does_not(unbake, pair: tuple[Path, Path]) -> None:
    assert unbake("null", *pair, "--to", "3").code == 0
    assert unbake("null", *pair, "--from", "0:02.5").code == 1
    done = unbake("null", *pair, "--from", "9")
    assert done.code == 2
    assert done.err.startswith("unbake: error: 9 s to the end: is no passage of 6.000 s")


def test_quick_is_quick_only(unbake, pair: tuple[Path, Path]) -> None:
    done = unbake("null", *pair, "--quick", "--json")
    assert (done.code, done.json["identical"], done.json["bands"], done.json["residual"]["lufs"]) == (
        1,
        False,
        [],
        None,
    )
    assert done.json["residual"]["peak_dbfs"] is not None
    for more in ("--bands", "--align"):
        refused = unbake("null", *pair, "--quick", more)
        assert refused.code == 2
        assert "--quick measures identity, peak and rms only" in refused.err


@pytest.mark.parametrize("window", ["0.01", "11", "nan"])
def test_windows_out_of_range(unbake, pair: tuple[Path, Path], window: str) -> None:
    done = unbake("null", *pair, "--window", window)
    assert done.code == 2
    assert "outside 0.1 to 10" in done.err


def test_another_rate_passes_and_is_said(unbake, pair: tuple[Path, Path], tmp_path: Path) -> None:
    a = pair[0]
    samples = soundfile.read(a, always_2d=True)[0] * np.sin(np.linspace(0.0, np.pi, 6 * RATE))[:, None] ** 2
    slow = soxr.resample(soxr.resample(samples, RATE, 32_000, "VHQ"), 32_000, RATE, "VHQ")
    soundfile.write(tmp_path / "slow.wav", slow, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b48.wav", soxr.resample(slow, RATE, 48_000, "VHQ"), 48_000, subtype="FLOAT")
    done = unbake("null", tmp_path / "slow.wav", tmp_path / "b48.wav", "--json")
    assert done.code == 0, done.out
    assert "B is resampled from 48000 to 44100 Hz" in done.err
    assert (done.json["identical"], done.json["sample_rate"]) == (False, RATE)
