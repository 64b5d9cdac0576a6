"""A spectrogram shows tones at their level, pitch and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.errors import UnbakeError
from core.events import Progress, finish
from core.measure.spectrogram import Spectrogram, spectrogram
from core.measure.spectrum import FLOOR_DB

RATE = 44_100


def tone(hz: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hz / rate * np.arange(round(seconds * rate)))


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, subtype="DOUBLE")
    return path


def row_of(found: Spectrogram, hz: float) -> int:
    return int(np.argmin(np.abs(np.log(found.freqs_hz / hz))))


@pytest.mark.parametrize("hz", [31.0, 83.0, 441.0, 997.0, 5000.0, 12_345.6])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_full_scale_sine_reads_0_db_at_its_row(tmp_path: Path, hz: float, channels: int) -> None:
    path = write(tmp_path / "x.wav", np.repeat(tone(hz)[:, None], channels, axis=1))
    found = finish(spectrogram(path, 4410, RATE - 4410, 20, 40))
    assert found.levels_db.shape == (40, 20)
    assert found.levels_db.dtype == np.float32
    assert found.levels_db.max() <= 0.1
    assert (found.levels_db[row_of(found, hz)] > -1.5).all()
    assert (np.abs(np.argmax(found.levels_db, axis=0) - row_of(found, hz)) <= 1).all()


def test_a_sine_on_a_bin_is_exact_and_channels_are_averaged_in_power(tmp_path: Path) -> None:
    hz = 100 * RATE / 4096
    for gains, level in (((1, 1), 0.0), ((1, -1), 0.0), ((0.1, 0.1), -20.0), ((1, 0), -3.0103)):
        path = write(tmp_path / "x.wav", tone(hz)[:, None] * np.array([gains]))
        found = finish(spectrogram(path, 4410, RATE - 4410, 5, 40))
        assert found.levels_db[row_of(found, hz)] == pytest.approx([level] * 5, abs=0.01)


def test_rows_are_equal_in_pitch_and_row_0_is_the_lowest(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", tone(100.0))
    found = finish(spectrogram(path, 0, RATE, 4, 30, low_hz=40.0, high_hz=10_000.0))
    assert np.diff(np.log(found.freqs_hz)) == pytest.approx([np.log(250) / 30] * 29)
    assert 40.0 < found.freqs_hz[0] < 50.0
    assert found.freqs_hz[-1] < 10_000.0
    assert finish(spectrogram(path, 0, RATE, 4, 30)).freqs_hz[-1] < 20_000.0
    slow = write(tmp_path / "slow.wav", tone(100.0, rate=8000), 8000)
    assert 3500 < finish(spectrogram(slow, 0, 8000, 4, 30)).freqs_hz[-1] < 4000.0


def test_sound_is_where_it_is_in_time(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", np.concatenate([np.zeros(4 * RATE), tone(1000.0, 4.0)]))
    found = finish(spectrogram(path, 0, 8 * RATE, 40, 40))
    level = found.levels_db[row_of(found, 1000.0)]
    assert (level[:19] == FLOOR_DB).all()
    assert (level[21:] > -1.0).all()
    late = finish(spectrogram(path, 5 * RATE, 6 * RATE, 10, 40))
    assert (late.levels_db[row_of(late, 1000.0)] > -1.0).all()


def test_rows_finer_than_the_bins_are_not_blank(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", 0.1 * np.random.default_rng(3).standard_normal(3 * RATE))
    found = finish(spectrogram(path, 0, 3 * RATE, 20, 400, fft=1024))
    assert (found.levels_db > -80.0).all()
    lowest = found.levels_db[:40].mean(axis=1)
    assert (np.abs(np.diff(lowest)) < 1.0).all()


def test_a_click_anywhere_in_a_short_span_is_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for frame in rng.integers(2000, 78_000, 12):
        samples = np.zeros((80_000, 2))
        samples[frame] = 1.0
        found = finish(spectrogram(write(tmp_path / "x.wav", samples), 0, 80_000, 10, 20))
        assert not found.sampled
        level = found.levels_db.max(axis=0)
        assert level[frame // 8000] > -80.0
        assert (
            np.delete(level, [max(0, frame // 8000 - 1), frame // 8000, min(9, frame // 8000 + 1)]) == FLOOR_DB
        ).all()


def test_a_long_span_says_that_it_was_sampled(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", tone(1000.0, 10.0))
    assert finish(spectrogram(path, 0, 10 * RATE, 4, 10)).sampled
    assert not finish(spectrogram(path, 0, 10 * RATE, 4, 10, fft=65_536)).sampled


def test_silence_and_what_lies_outside_read_the_floor(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", tone(1000.0))
    outside = finish(spectrogram(path, 2 * RATE, 3 * RATE, 5, 10))
    before = finish(spectrogram(path, -2 * RATE, -RATE, 5, 10))
    silent = finish(spectrogram(write(tmp_path / "s.wav", np.zeros(RATE)), 0, RATE, 5, 10))
    for found in (outside, before, silent):
        assert (found.levels_db == FLOOR_DB).all()
    wide = finish(spectrogram(path, -RATE, 2 * RATE, 30, 40)).levels_db.max(axis=0)
    assert (wide[:9] == FLOOR_DB).all()
    assert (wide[11:19] > -1.0).all()
    assert (wide[21:] == FLOOR_DB).all()
    high = finish(spectrogram(path, 0, RATE, 5, 20, low_hz=23_000.0, high_hz=40_000.0))
    assert (high.levels_db == FLOOR_DB).all()


def test_one_frame_and_bad_samples(tmp_path: Path) -> None:
    short = finish(spectrogram(write(tmp_path / "one.wav", np.array([0.5])), 0, 1, 8, 8))
    assert np.isfinite(short.levels_db).all()
    empty = finish(spectrogram(tmp_path / "one.wav", 0, 0, 8, 8))
    assert empty.levels_db.shape == (8, 8)
    samples = tone(1000.0)
    clean = finish(
        spectrogram(write(tmp_path / "x.wav", np.where(np.arange(RATE) == 9000, 0.0, samples)), 0, RATE, 5, 9)
    )
    samples[9000] = np.nan
    found = finish(spectrogram(write(tmp_path / "x.wav", samples), 0, RATE, 5, 9))
    assert np.array_equal(found.levels_db, clean.levels_db)


def test_a_format_that_must_be_decoded_from_the_start_gives_the_same(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.ogg", 0.3 * tone(300.0, 6.0) * np.linspace(0, 1, 6 * RATE), RATE, subtype="VORBIS")
    decoded, _ = soundfile.read(tmp_path / "x.ogg")
    path = write(tmp_path / "x.wav", decoded)
    for span in ((2.5 * RATE, 3 * RATE), (0, 6 * RATE)):
        lossy, plain = (finish(spectrogram(name, *span, 12, 20)) for name in (tmp_path / "x.ogg", path))
        assert lossy.levels_db == pytest.approx(plain.levels_db, abs=1e-4)


def test_it_says_how_far_it_is_and_refuses_what_it_can_not_draw(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", tone(1000.0))
    events = [event for event in spectrogram(path, 0, RATE, 25, 10) if isinstance(event, Progress)]
    assert [event.done for event in events] == list(range(1, 26))
    assert {event.total for event in events} == {25}
    for wrong in ({"columns": 0}, {"rows": 0}, {"low_hz": 0.0}, {"high_hz": 10.0}, {"last_frame": -1}):
        words = {"first_frame": 0, "last_frame": RATE, "columns": 5, "rows": 5, **wrong}
        with pytest.raises(ValueError, match="Hz"):
            finish(spectrogram(path, **words))
    with pytest.raises(UnbakeError, match="no such file"):
        finish(spectrogram(tmp_path / "gone.wav", 0, 10, 5, 5))
