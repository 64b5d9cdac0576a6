"""Clicks where beats are, and what is heard when a key is pressed."""

from __future__ import annotations

import numpy as np
import pytest

from core.audition.click import BAR_PEAK, BEAT_PEAK, click_track
from core.audition.tapping import TapClock

RATE = 48_000


def test_clicks_begin_on_their_frames_and_bars_are_louder_and_higher() -> None:
    found = click_track(30_000, (1_000, 9_000, 17_000), (9_000,), RATE, 2)
    assert found.shape == (2, 30_000)
    assert np.array_equal(found[0], found[1])
    assert not found[0, :1_001].any()
    peaks = [np.abs(found[0, at : at + 1_400]).max() for at in (1_000, 9_000, 17_000)]
    assert peaks[0] == peaks[2] < peaks[1]
    assert peaks[0] <= BEAT_PEAK
    assert peaks[1] <= BAR_PEAK
    crossings = [np.count_nonzero(np.diff(np.sign(found[0, at + 1 : at + 900]))) for at in (1_000, 9_000)]
    assert crossings[1] > 1.4 * crossings[0]


def test_clicks_are_counted_from_the_first_frame_and_cut_at_both_ends() -> None:
    whole = click_track(20_000, (100, 4_990, 9_990), (), RATE, 1)
    part = click_track(5_000, (100, 4_990, 9_990), (), RATE, 1, first=5_000)
    assert np.array_equal(part, whole[:, 5_000:10_000])
    assert not click_track(100, (), (), RATE, 1).any()


def test_a_tap_is_what_is_heard_by_the_usual_of_what_was_said() -> None:
    clock = TapClock(RATE)
    assert clock.seconds(5.0) is None
    rng = np.random.default_rng(1)
    for step in range(60):
        late = rng.uniform(0.0, 0.012)
        clock.heard(RATE + round(step * 0.05 * RATE), 100.0 + step * 0.05 + late)
    assert clock.seconds(103.0) == pytest.approx(4.0, abs=0.008)


def test_a_jump_is_another_place_at_once_and_a_stop_is_none() -> None:
    clock = TapClock(RATE)
    for step in range(20):
        clock.heard(round(step * 0.05 * RATE), 10.0 + step * 0.05)
    clock.heard(RATE * 60, 11.0)
    assert clock.seconds(11.5) == pytest.approx(60.5)
    clock.stop()
    assert clock.seconds(11.6) is None
