"""Waveform columns are the lowest and highest samples that they stand for, at every zoom and while they are found."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from core.errors import UnbakeError
from core.events import Progress, finish
from core.measure import overview as overviews
from core.measure.overview import MAX_READ_FRAMES, Overview, read_columns, scan

Samples = NDArray[np.floating]


def noise(frames: int, channels: int = 2, seed: int = 1) -> Samples:
    """Noise whose level wanders, so that no two stretches are alike: float32 [frames, channels]."""
    rng = np.random.default_rng(seed)
    level = np.interp(np.arange(frames), np.linspace(0, frames, 50), rng.uniform(0.01, 0.9, 50))
    return (rng.uniform(-1, 1, (frames, channels)) * level[:, None]).astype(np.float32)


def write(path: Path, samples: Samples, rate: int = 44_100, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def extremes(samples: Samples, first: float, last: float) -> tuple[float, float]:
    part = samples[max(0, int(first)) : max(0, int(last))]
    return (float(part.min()), float(part.max())) if part.size else (np.nan, np.nan)


@pytest.fixture
def every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a scan speak after every block."""
    monkeypatch.setattr(overviews, "REDRAW_SECONDS", 0.0)


@pytest.mark.parametrize(("channels", "rate"), [(1, 8_000), (2, 44_100), (8, 384_000)])
def test_columns_hold_their_frames_and_little_else(tmp_path: Path, channels: int, rate: int) -> None:
    samples = noise(250_001, channels)
    found = finish(scan(write(tmp_path / "x.wav", samples, rate)))
    assert found.complete
    rng = np.random.default_rng(2)
    for _ in range(150):
        first, last = np.sort(rng.uniform(-1000, 251_000, 2) if rng.random() < 0.5 else rng.integers(0, 250_001, 2))
        if last - first < 64:
            continue
        count = int(rng.integers(1, 60))
        low, high = found.columns(float(first), float(last), count)
        width = (last - first) / count
        margin = max(width / 4, found.frames_per_bin)
        for column in range(count):
            start, end = first + column * width, first + (column + 1) * width
            if end <= 0 or start >= 250_001:
                assert np.isnan([low[column], high[column]]).all()
                continue
            lowest, highest = extremes(samples, np.floor(start - margin), np.ceil(end + margin))
            assert lowest <= low[column] <= high[column] <= highest
            if np.ceil(end) - np.ceil(start) >= 1:
                lowest, highest = extremes(samples, np.ceil(start), np.ceil(end))
                assert np.isnan(lowest) or low[column] <= lowest <= highest <= high[column]


@pytest.mark.parametrize("width", [64, 128, 1024, 8192])
def test_columns_that_begin_and_end_with_bins_are_exact(tmp_path: Path, width: int) -> None:
    samples = noise(100_001)
    found = finish(scan(write(tmp_path / "x.wav", samples)))
    assert found.frames_per_bin == 64
    count = -(-100_001 // width)
    low, high = found.columns(0, count * width, count)
    for column in range(count):
        assert (low[column], high[column]) == extremes(samples, column * width, (column + 1) * width)


def test_one_column_is_the_whole_file(tmp_path: Path) -> None:
    samples = noise(70_000)
    found = finish(scan(write(tmp_path / "x.wav", samples)))
    low, high = found.columns(0, 70_000, 1)
    assert (low[0], high[0]) == (samples.min(), samples.max())
    assert (low.dtype, high.dtype) == (np.float32, np.float32)


def test_bins_longer_than_what_is_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overviews, "MAX_BINS", 4)
    samples = noise(200_000)
    found = finish(scan(write(tmp_path / "x.wav", samples)))
    assert found.frames_per_bin == 65_536
    low, high = found.columns(0, 4 * 65_536, 4)
    for column in range(4):
        assert (low[column], high[column]) == extremes(samples, column * 65_536, (column + 1) * 65_536)


@pytest.mark.usefixtures("every_block")
def test_what_is_known_while_it_fills_is_what_is_known_in_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise(300_000))
    final = finish(scan(path)).columns(0, 300_000, 100)
    growing = Overview(300_000)
    assert np.isnan(growing.columns(0, 300_000, 100)).all()
    assert not growing.complete
    filled = []
    for event in scan(path, overview=growing):
        assert isinstance(event, Progress)
        assert event.done == growing.filled_frames
        filled.append(growing.filled_frames)
        columns = growing.columns(0, 300_000, 100)
        known = np.arange(1, 101) * 3000 + 750 <= growing.filled_frames
        for now, later in zip(columns, final, strict=True):
            assert np.array_equal(now[known], later[known])
            assert np.isnan(now[np.arange(100) * 3000 >= growing.filled_frames]).all()
            seen = ~np.isnan(now)
            assert np.array_equal(now[seen], later[seen])
    assert len(filled) > 5
    assert filled == sorted(set(filled))
    assert growing.complete
    assert np.array_equal(growing.columns(0, 300_000, 100), final)


@pytest.mark.usefixtures("every_block")
def test_a_sketch_of_the_whole_file_comes_first_and_is_called_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "SKETCH_FROM_FRAMES", 0)
    frames = 3_000_000
    samples = np.repeat(np.array([0.1, 0.4, 0.2, 0.8], np.float32), frames // 4)[:, None] * np.array([[1.0, -0.5]])
    spike = 683 * frames // 1024 + 2000  # between two of the sketch's windows
    samples[spike, 0] = 1.0
    growing = Overview(frames)
    events = scan(write(tmp_path / "x.wav", samples), overview=growing)
    for _ in range(16):
        assert isinstance(event := next(events), Progress)
        assert (event.stage, growing.sketched, growing.filled_frames) == ("sketch", True, 0)
    coarse = growing.columns(0, frames, 8)
    assert np.allclose(coarse[1], np.repeat([0.1, 0.4, 0.2, 0.8], 2), atol=0)
    assert np.allclose(coarse[0], -0.5 * coarse[1])
    for event in events:
        assert isinstance(event, Progress)
        high = growing.columns(spike - 50_000, spike + 50_000, 1)[1][0]
        assert high == np.float32(1.0 if growing.filled_frames > spike + 60_000 else 0.2)
        assert growing.sketched == (growing.filled_frames < frames)
        assert growing.peak_db(2_900_000, 100) is None or growing.filled_frames > 2_900_000
    assert growing.columns(0, frames, 8)[1][5] == 1.0


@pytest.mark.usefixtures("every_block")
def test_a_format_that_can_not_go_anywhere_at_once_has_no_sketch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "SKETCH_FROM_FRAMES", 0)
    soundfile.write(tmp_path / "x.ogg", noise(200_000), 44_100, subtype="VORBIS")
    stages = {event.stage for event in scan(tmp_path / "x.ogg") if isinstance(event, Progress)}
    assert stages == {"overview"}


def test_two_hours_take_no_more_memory_than_two_minutes(tmp_path: Path) -> None:
    frames = 2 * 3600 * 22_050
    header = struct.pack("<4sI8sIHHIIHH", b"RIFF", 36 + 2 * frames, b"WAVEfmt ", 16, 1, 1, 22_050, 44_100, 2, 16)
    header += struct.pack("<4sI", b"data", 2 * frames)
    with (tmp_path / "long.wav").open("wb") as file:
        file.write(header)
        file.truncate(44 + 2 * frames)
        file.seek(44 + 2 * (frames - 100))
        file.write(struct.pack("<h", 16_384))
    tracemalloc.start()
    try:
        operation = scan(tmp_path / "long.wav")
        first = next(operation)
        found = finish(operation)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(first, Progress)
    assert first.stage == "sketch"
    assert peak < 6_000_000
    assert found.complete
    assert found.columns(frames - 1000, frames, 1)[1][0] == 0.5
    assert found.peak_db(frames - 100, 1000) == pytest.approx(-6.0206, abs=1e-3)
    assert np.array_equal(found.columns(0, 0.9 * frames, 50), np.zeros((2, 50)))


def brute_columns(samples: Samples, first: float, last: float, count: int) -> Samples:
    edges = np.linspace(first, last, count + 1)
    columns = np.full((2, count), np.nan)
    for column, (start, end) in enumerate(itertools.pairwise(edges)):
        frames = [n for n in range(int(np.ceil(start)), int(np.ceil(end))) if 0 <= n < len(samples)]
        if not np.ceil(start) < np.ceil(end):
            frames = [int(np.floor((start + end) / 2))]
        frames = [n for n in frames if 0 <= n < len(samples)]
        if frames:
            columns[:, column] = samples[frames].min(), samples[frames].max()
    return columns


def test_columns_read_from_the_samples_are_exact_down_to_one(tmp_path: Path) -> None:
    samples = noise(80_000, 3)
    path = write(tmp_path / "x.wav", samples)
    rng = np.random.default_rng(5)
    for span in (3, 20, 400, 5000, 80_000):
        for _ in range(4):
            first = rng.uniform(-span / 4, 80_000 - span / 2)
            count = int(rng.integers(1, 300))
            found = read_columns(path, first, first + span, count)
            assert np.array_equal(found, brute_columns(samples, first, first + span, count), equal_nan=True)
    assert np.array_equal(
        read_columns(path, 100, 110, 10), [samples[100:110].min(axis=1), samples[100:110].max(axis=1)]
    )
    assert np.isnan(read_columns(path, 90_000, 91_000, 10)).all()


def test_a_span_that_is_the_pyramids_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise(1000))
    with pytest.raises(ValueError, match="are more than"):
        read_columns(path, 0, MAX_READ_FRAMES + 1, 400)


def test_bad_samples_are_silence(tmp_path: Path) -> None:
    samples = 0.25 * np.ones((10_000, 2), np.float32)
    samples[1000, 0], samples[5000, 1], samples[5001, 1] = np.nan, np.inf, -np.inf
    path = write(tmp_path / "x.wav", samples)
    found = finish(scan(path))
    for low, high in (found.columns(0, 10_000, 1), read_columns(path, 0, 10_000, 1)):
        assert (low[0], high[0]) == (0.0, 0.25)
    assert read_columns(path, 999, 1001, 2)[0].tolist() == [0.25, 0.0]


def test_samples_beyond_what_a_float32_holds_stay_finite(tmp_path: Path) -> None:
    found = finish(scan(write(tmp_path / "x.wav", np.array([[1e300], [-1e300]]), subtype="DOUBLE")))
    assert np.isfinite(found.columns(0, 2, 1)).all()


def test_one_frame_silence_and_no_frame_at_all(tmp_path: Path) -> None:
    found = finish(scan(write(tmp_path / "one.wav", np.array([[0.5, -0.25]]))))
    low, high = found.columns(0, 1, 3)
    assert (low.tolist(), high.tolist()) == ([-0.25] * 3, [0.5] * 3)
    assert np.array_equal(found.columns(0, 4, 2)[1], [0.5, np.nan], equal_nan=True)
    silent = finish(scan(write(tmp_path / "silent.wav", np.zeros((5000, 2)))))
    assert np.array_equal(silent.columns(0, 5000, 7), np.zeros((2, 7)))
    assert silent.peak_db(2500, 100) is None
    nothing = Overview(0)
    assert nothing.complete
    assert np.isnan(nothing.columns(0, 100, 5)).all()
    assert nothing.peak_db(0, 100) is None
    assert nothing.columns(0, 100, 0)[0].shape == (0,)


def test_peaks_around_a_frame(tmp_path: Path) -> None:
    samples = np.concatenate([np.full((50_000, 1), 0.5), np.full((50_000, 1), -0.125)])
    found = finish(scan(write(tmp_path / "x.wav", samples)))
    assert found.peak_db(20_000, 4096) == pytest.approx(-6.0206, abs=1e-4)
    assert found.peak_db(80_000, 4096) == pytest.approx(-18.0618, abs=1e-4)
    assert found.peak_db(0, 10) == pytest.approx(-6.0206, abs=1e-4)
    assert found.peak_db(200_000, 4096) is None


@pytest.mark.usefixtures("every_block")
def test_a_file_that_gets_shorter_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise(300_000))
    growing = Overview(300_000)
    operation = scan(path, overview=growing)
    next(operation)
    os.truncate(path, 400_000)
    with pytest.raises(UnbakeError, match=r"x\.wav"):
        finish(operation)
    assert 0 < growing.filled_frames < 300_000
    assert not np.isnan(growing.columns(0, growing.filled_frames, 5)).any()


def test_a_missing_file_and_another_one_than_expected(tmp_path: Path) -> None:
    with pytest.raises(UnbakeError, match="no such file"):
        finish(scan(tmp_path / "gone.wav"))
    with pytest.raises(UnbakeError, match="no such file"):
        read_columns(tmp_path / "gone.wav", 0, 10, 5)
    path = write(tmp_path / "x.wav", noise(1000))
    with pytest.raises(UnbakeError, match="has 1000 frames where 999 were expected"):
        finish(scan(path, overview=Overview(999)))
    with pytest.raises(ValueError, match="filled already"):
        finish(scan(path, overview=finish(scan(path))))


def test_views_are_drawn_without_scipy_and_torch(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise(20_000))
    script = f"""
import sys
from core.events import finish
from core.measure.overview import scan
from core.measure.spectrogram import spectrogram
from core.measure.spectrum import average_spectrum, log_frequencies
finish(scan({str(path)!r}))
finish(spectrogram({str(path)!r}, 0, 20_000, 10, 10))
average_spectrum({str(path)!r}, 0, 20_000, log_frequencies(10))
print(sorted({{"scipy", "torch"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("every_block")
def test_another_thread_never_sees_what_is_not_so(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise(2_000_000, 1))
    final = finish(scan(path)).columns(0, 2_000_000, 300)
    growing = Overview(2_000_000)
    filling = threading.Thread(target=lambda: finish(scan(path, overview=growing)))
    filling.start()
    alive, known = True, np.zeros(300, bool)
    while alive:
        alive = filling.is_alive()
        low, high = growing.columns(0, 2_000_000, 300)
        known = ~np.isnan(low)
        assert np.array_equal(low[known], final[0][known])
        assert np.array_equal(high[known], final[1][known])
    assert known.all()
    assert growing.complete
