"""Rubber Band's command: exact lengths, copies that are copies, pitch, headroom, and what is left when it fails."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import places
from core.errors import UnbakeError
from core.events import Progress, finish
from core.session.timemap import TimeMap
from core.warp.engines import rubberband as module
from core.warp.engines.rubberband import find, rubberband
from tests.warp.engine_sounds import Samples, drained, noise

RATE = 44_100
installed = pytest.mark.skipif(find() is None, reason="the rubberband command is not installed")


def warped(sounds: list[np.ndarray], time_map: TimeMap, rate: int = RATE, **how: Any) -> list[np.ndarray]:
    operation = rubberband([Samples(each) for each in sounds], time_map, sounds[0].shape[1], rate, **how)
    with finish(operation) as warper:
        made = drained(warper, (5000, 12_345))
    assert left() == []
    return made


def left() -> list[Path]:
    """What lies where the temporary files lay."""
    return list(places.cache().glob("*"))


def bursts(frames: int, places: np.ndarray, rate: int = RATE) -> np.ndarray:
    sound = np.zeros((1, frames))
    length = rate // 20
    for place in places.tolist():
        sound[0, place : place + length] += noise(length, 1, place)[0] * np.exp(-np.arange(length) / (rate / 120))
    return sound


def lateness(sound: np.ndarray, place: int, made: np.ndarray, target: int) -> int:
    """By how many frames a burst lies later than it should, found by its envelope."""

    def envelope(samples: np.ndarray) -> np.ndarray:
        return np.convolve(np.abs(samples), np.ones(32) / 32, "same")

    shape = envelope(sound[place - 200 : place + 300])
    around = envelope(made[target - 1200 : target + 1300])
    return int(np.correlate(around, shape - shape.mean(), "valid").argmax()) - 1000


@installed
@pytest.mark.parametrize(("engine", "most"), [("r3", 100), ("r2", 400)])
def test_a_local_warp_is_of_exact_length_near_its_places_and_exact_outside(engine: str, most: int) -> None:
    frames = 5 * RATE
    at = np.arange(11_025, frames - 11_025, 11_025)
    sound = bursts(frames, at)
    for factor in (0.8, 1.07, 1.25):
        end = RATE + round(2 * RATE * factor)
        (made,) = warped([sound], TimeMap(((RATE, RATE), (3 * RATE, end))), engine=engine)
        assert made.shape == (1, end + 2 * RATE)
        np.testing.assert_array_equal(made[:, :RATE], sound[:, :RATE])
        np.testing.assert_array_equal(made[:, end:], sound[:, 3 * RATE :])
        for place in at[(at > 1.1 * RATE) & (at < 2.9 * RATE)].tolist():
            target = round(RATE + (place - RATE) * factor)
            assert abs(lateness(sound[0], place, made[0], target)) <= most


@installed
def test_a_whole_file_silence_before_it_and_a_head_cut_off() -> None:
    frames = 2 * RATE
    at = np.arange(11_025, frames - 11_025, 11_025)
    sound = bursts(frames, at)
    for first in (((0, 0)), ((0, 7000)), ((7000, 0))):
        time_map = TimeMap((first, (frames, first[1] + round(1.07 * (frames - first[0])))))
        (made,) = warped([sound], time_map)
        assert made.shape[1] == time_map.length(frames)
        assert not made[:, : first[1]].any()
        for place in at[2:].tolist():
            target = round(first[1] + (place - first[0]) * 1.07)
            assert abs(lateness(sound[0], place, made[0], target)) <= 100


@installed
@pytest.mark.parametrize("cents", [-500.0, 50.0, 700.0])
def test_pitch_goes_where_it_is_sent_and_the_length_stays(cents: float) -> None:
    frames = 2 * RATE
    sound = 0.3 * np.sin(2 * np.pi * 440.0 / RATE * np.arange(frames))[None]
    (made,) = warped([sound], TimeMap(), cents=cents, formants=cents < 0)
    assert made.shape == sound.shape
    inner = made[0, RATE // 2 : -RATE // 2] * np.hanning(frames - RATE)
    found_hz = np.abs(np.fft.rfft(inner, 1 << 20)).argmax() * RATE / (1 << 20)
    assert abs(1200 * np.log2(found_hz / 440.0) - cents) < 1.0


@installed
def test_sound_beyond_full_scale_is_not_cut() -> None:
    frames = RATE
    sound = 5.0 * np.sin(2 * np.pi * 220.0 / RATE * np.arange(frames))[None]
    (made,) = warped([sound], TimeMap(((0, 0), (frames, round(1.1 * frames)))))
    assert 4.5 < np.abs(made[0, 5000:-5000]).max() < 6.5


@installed
def test_what_comes_back_cut_is_made_again_more_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADROOM", 4.0)
    frames = RATE // 2
    sound = 0.9 * np.sin(2 * np.pi * 220.0 / RATE * np.arange(frames))[None]
    (made,) = warped([sound], TimeMap(((0, 0), (frames, round(1.1 * frames)))))
    assert 0.8 < np.abs(made[0, 5000:-5000]).max() < 1.2


@installed
def test_sounds_go_together_each_with_its_channels_at_any_rate() -> None:
    for rate, channels in ((8000, (1,)), (384_000, (8,)), (48_000, (2, 1, 2))):
        sounds = [noise(3000, count, count) for count in channels]
        made = warped(sounds, TimeMap(((0, 0), (3000, 3300))), rate)
        assert [each.shape for each in made] == [(count, 3300) for count in channels]
        assert all(each.any() for each in made)


@installed
def test_silence_and_a_single_frame() -> None:
    (made,) = warped([np.zeros((2, 5000))], TimeMap(((0, 0), (5000, 4500))))
    assert not made.any()
    (made,) = warped([noise(1)], TimeMap(((0, 0), (1, 8))))
    assert made.shape == (2, 8)
    (made,) = warped([noise(1)], TimeMap(), cents=100.0)
    assert made.shape == (2, 1)


@installed
def test_a_smooth_map_and_blocks_of_any_size() -> None:
    frames = RATE
    time_map = TimeMap(((5000, 5000), (20_000, 22_000), (40_000, 41_000)), "smooth")
    sound = noise(frames)
    with finish(rubberband([Samples(sound)], time_map, frames, RATE)) as warper:
        whole = warper.read(warper.frames)[0]
    np.testing.assert_array_equal(warped([sound], time_map)[0], whole)
    np.testing.assert_array_equal(whole[:, :5000], sound[:, :5000])
    np.testing.assert_array_equal(whole[:, 41_000:], sound[:, 40_000:])


@installed
def test_it_tells_how_far_it_is() -> None:
    frames = 6 * RATE
    told = list(rubberband([Samples(noise(frames))], TimeMap(((0, 0), (frames, round(1.1 * frames)))), frames, RATE))
    stages = [event.stage for event in told if isinstance(event, Progress)]
    assert "reading for Rubber Band" in stages
    done = [each.done for each in told if isinstance(each, Progress) and each.stage == "warping with Rubber Band"]
    assert len(set(done)) > 5
    assert done[-1] <= 100


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, version: str = "3.1.2") -> None:
    """Puts a command of that name first in the search path."""
    command = folder / "bin" / "rubberband"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nif [ "$1" = -V ]; then echo {version} >&2; exit 0; fi\n{script}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")


def stretch(sound: np.ndarray, factor: float = 1.1, **how: Any) -> Any:
    frames = sound.shape[1]
    return rubberband([Samples(sound)], TimeMap(((0, 0), (frames, round(factor * frames)))), frames, RATE, **how)


def test_what_is_not_stretched_needs_no_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sound = noise(10_000)
    sound[:, 500] = -0.0
    assert warped([sound], TimeMap())[0].tobytes() == sound.tobytes()
    (moved,) = warped([sound], TimeMap(((4000, 4500),)))
    np.testing.assert_array_equal(moved, np.pad(sound, ((0, 0), (500, 0))))


def test_a_missing_command_an_old_one_and_a_pitch_for_r2_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UnbakeError, match="can't hit a pitch"):
        finish(stretch(noise(100), engine="r2", cents=10.0))
    with pytest.raises(UnbakeError, match="anchor 2 is at source frame 101, but the file has 100"):
        finish(rubberband([Samples(noise(100))], TimeMap(((0, 0), (101, 90))), 100, RATE))
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        assert find() is None
        with pytest.raises(UnbakeError, match=r"rubberband: is not installed \(apt-get install rubberband-cli"):
            finish(stretch(noise(100)))
    fake(tmp_path, monkeypatch, "exit 0", version="2.0.2")
    assert find() == "2.0.2"
    with pytest.raises(UnbakeError, match=r"is version 2\.0\.2, which has no R3"):
        finish(stretch(noise(100)))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'Pass 1' >&2; echo 'ERROR: it is Monday' >&2; exit 3",
            'exit status 3; it last said "ERROR: it is Monday"',
        ),
        ("kill -SEGV $$", "segmentation fault"),
    ],
)
def test_a_command_that_fails_is_told_in_one_line(
    script: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake(tmp_path, monkeypatch, script)
    with pytest.raises(UnbakeError) as caught:
        finish(stretch(noise(100)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left() == []


def test_a_command_that_writes_too_little_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path, monkeypatch, 'for last; do :; done; cp silence.w64 "$last"')
    with pytest.raises(UnbakeError, match=r"rubberband: wrote \d+ of \d+ frames"):
        finish(stretch(noise(100_000)))
    assert left() == []


def test_closing_ends_the_command_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    operation = stretch(noise(100))
    pid = tmp_path / "pid"
    started = time.monotonic()
    while not (pid.exists() and pid.read_text()):
        next(operation)
    operation.close()
    assert time.monotonic() - started < 20.0
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert left() == []


def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(UnbakeError, match="no space left"):
        finish(rubberband([Samples(noise(1))], TimeMap(((0, 0), (10**14, 10**14 + 10**13))), 10**14, RATE))
    assert left() == []
