"""`unbake null --listen`: what is left, to be heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 44_100


def wav(path: Path, sound: np.ndarray, subtype: str = "PCM_24") -> Path:
    soundfile.write(path, sound, RATE, subtype=subtype)
    return path


@pytest.mark.parametrize("extension", ["wav", "w64", "aiff"])
def test_the_difference_is_written_as_it_is(unbake, tmp_path: Path, extension: str) -> None:
    rng = np.random.default_rng(1)
    a, b = (np.rint(0.3 * rng.standard_normal((frames, 2)) * 2**23) / 2**23 for frames in (150_000, 150_040))
    out = tmp_path / f"rest.{extension}"
    one, other = wav(tmp_path / "a.wav", np.clip(a, -0.9, 0.9)), wav(tmp_path / "b.wav", np.clip(b, -0.9, 0.9))
    done = unbake("null", one, other, "--listen", out, "--json")
    assert done.code == 1
    first, second = (soundfile.read(path, always_2d=True)[0] for path in (one, other))
    expected = np.pad(first, ((0, 40), (0, 0))) - second
    found, rate = soundfile.read(out, always_2d=True)
    assert rate == RATE
    assert soundfile.info(out).subtype == "FLOAT"
    assert np.array_equal(found, expected.astype(np.float32))
    assert 20 * np.log10(np.abs(found).max()) == pytest.approx(done.json["residual"]["peak_dbfs"], abs=1e-6)
    assert str(out) in unbake("null", one, other, "--listen", out, "--force").out


def test_of_identical_files_silence_is_left(unbake, tmp_path: Path) -> None:
    a = wav(tmp_path / "a.wav", np.full((1000, 1), 0.25))
    assert unbake("null", a, a, "--listen", tmp_path / "rest.wav").code == 0
    found, _ = soundfile.read(tmp_path / "rest.wav")
    assert len(found) == 1000
    assert not found.any()


def test_what_must_not_be_written_is_refused(unbake, tmp_path: Path) -> None:
    a = wav(tmp_path / "a.wav", np.full((1000, 1), 0.25))
    b = wav(tmp_path / "b.wav", np.full((1000, 1), 0.5))
    there = wav(tmp_path / "there.wav", np.zeros((10, 1)))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for words, said in (
        (("--listen", a, "--force"), "is the source itself"),
        (("--listen", there), "exists already"),
        (("--listen", tmp_path / "rest.flac"), "FLAC"),
        (("--listen", tmp_path / "none" / "rest.wav"), "does not exist"),
        (("--listen", "-"), "standard"),
        (("--force",), "--listen"),
    ):
        done = unbake("null", a, b, *words)
        assert done.code == 2, words
        assert said in done.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
