"""A stream over time: windows with known levels, few of them however long it is, and its worst sample."""

from __future__ import annotations

import numpy as np
import pytest

from core.measure.course import LEAST_SECONDS, MOST_WINDOWS, CourseMeter
from core.measure.figures import Place

RATE = 8000
WINDOW = round(LEAST_SECONDS * RATE)


def test_windows_tell_peak_and_rms_and_the_last_one_is_cut_short() -> None:
    sound = np.zeros((2, 3 * WINDOW + WINDOW // 2))
    sound[:, :WINDOW] = 0.5
    sound[1, 2 * WINDOW :] = -0.1
    meter = CourseMeter(RATE, sound.shape[1])
    for start in range(0, sound.shape[1], 301):
        meter.push(sound[:, start : start + 301])
    course = meter.course()
    assert course.window_seconds == LEAST_SECONDS
    half, tenth = 20 * np.log10(0.5), -20.0
    assert course.peak_dbfs == (pytest.approx(half), None, pytest.approx(tenth), pytest.approx(tenth))
    one_of_two = tenth - 10 * np.log10(2)
    assert course.rms_dbfs == (pytest.approx(half), None, pytest.approx(one_of_two), pytest.approx(one_of_two))
    assert meter.peak_dbfs == pytest.approx(half)
    assert meter.rms_dbfs == pytest.approx(10 * np.log10(np.mean(sound**2)))


def test_the_worst_place_is_the_first_sample_that_large() -> None:
    sound = np.zeros((2, 5 * WINDOW))
    sound[1, 700] = -0.25
    sound[0, 900] = 0.25
    meter = CourseMeter(RATE, sound.shape[1])
    meter.push(sound)
    assert meter.worst is not None
    assert meter.worst.peak_dbfs == pytest.approx(20 * np.log10(0.25))
    assert meter.worst == Place(700, 1, 700 / RATE, meter.worst.peak_dbfs)


def test_silence_has_no_worst_place() -> None:
    meter = CourseMeter(RATE, WINDOW)
    meter.push(np.zeros((1, WINDOW)))
    assert (meter.worst, meter.peak_dbfs, meter.course().peak_dbfs) == (None, None, (None,))


@pytest.mark.parametrize("seconds", [60, 7200])
def test_a_long_stream_has_no_more_windows_than_are_drawn(seconds: int) -> None:
    frames = seconds * 1000
    meter, block = CourseMeter(1000, frames), np.full((1, 60_000), 0.5)
    for _ in range(frames // 60_000):
        meter.push(block)
    course = meter.course()
    assert len(course.peak_dbfs) == len(course.rms_dbfs) == MOST_WINDOWS
    assert course.window_seconds == seconds / MOST_WINDOWS
