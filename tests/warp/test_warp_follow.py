"""One recording that follows another: how near it gets on real music, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from core.audio.read import open_reader, read_all
from core.errors import UnbakeError
from core.events import finish
from core.session.timemap import Drawn, TimeMap
from core.warp.engines.linked import LinkedWarp
from core.warp.engines.sound import FileSound
from core.warp.maps.follow import Followed, follow
from core.warp.rhythm.onsets import listen

RATE = 44_100


def followed(one: Path, other: Path) -> Followed:
    with open_reader(one) as reader, open_reader(other) as leader:
        return finish(follow(reader, leader))


def written(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, np.atleast_2d(samples).T, rate, subtype="FLOAT")
    return path


def wandering(frames: int, usual: float, seed: int) -> TimeMap:
    """A tempo that goes up and down by 4 percent, another one each second."""
    sources = np.arange(0, frames, RATE)
    stretches = usual * (1.0 + 0.04 * np.sin(np.arange(len(sources) - 1) * 0.8 + seed))
    targets = np.concatenate([[0], np.cumsum(RATE * stretches)])
    return TimeMap(tuple(zip(sources.tolist(), np.rint(targets).astype(int).tolist(), strict=True)))


def warped(guide: Path, path: Path, time_map: TimeMap, out: Path) -> Path:
    """`path` along a map as the linked engine carries it, which is exact to the sample at anchors."""
    with open_reader(guide) as reader:
        heard = finish(listen(reader))
    with open_reader(guide) as leader, open_reader(path) as reader:
        attacks = heard.onsets, heard.strengths_db
        engine = LinkedWarp(FileSound(leader), [FileSound(reader)], time_map, heard.frames, RATE, attacks)
        return written(out, engine.read(engine.frames)[0])


def off_ms(found: Followed, frames: int, true: Drawn) -> np.ndarray:
    """By how many ms the map is off, every 50 ms of what is followed."""
    drawn = Drawn(found.time_map, frames)
    times = np.arange(found.first_seconds, found.last_seconds, 0.05) * RATE
    return 1000.0 / RATE * np.asarray([drawn.target(at) - true.target(at) for at in times])


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    return data / "multitracks" / "eif-rubidium"


def test_a_stretched_mix_is_followed(folder: Path, tmp_path: Path) -> None:
    mix = folder / "mixture.flac"
    with open_reader(mix) as reader:
        frames = reader.info.frames
    time_map = wandering(frames, 1.07, 0)
    found = followed(mix, warped(mix, mix, time_map, tmp_path / "b.wav"))
    off = np.abs(off_ms(found, frames, Drawn(time_map, frames)))
    assert np.median(off) < 1.5
    assert np.quantile(off, 0.95) < 8.0
    assert off.max() < 30.0
    assert found.confidence > 0.6
    assert found.attacks > 100
    assert len(found.time_map.anchors) < 60
    assert found.last_seconds - found.first_seconds > 0.9 * frames / RATE


def test_another_balance_of_the_instruments_is_followed(folder: Path, tmp_path: Path) -> None:
    mix = folder / "mixture.flac"
    time_map = wandering(20 * RATE, 0.94, 2)
    gains = {"vocals": 0.3, "drums": 1.2, "bass": 0.5, "other": 0.8}
    balanced = sum(gain * read_all(folder / f"{name}.flac") for name, gain in gains.items())
    other = written(tmp_path / "balance.wav", np.asarray(balanced))
    found = followed(mix, warped(mix, other, time_map, tmp_path / "b.wav"))
    off = np.abs(off_ms(found, 20 * RATE, Drawn(time_map, 20 * RATE)))
    assert np.median(off) < 2.0
    assert np.quantile(off, 0.95) < 10.0
    assert 0.3 < found.confidence < 1.0


def test_music_without_clear_attacks_is_followed(data: Path, tmp_path: Path) -> None:
    theme = read_all(data / "masters" / "wesnoth_love_theme.flac")[:, 20 * RATE : 38 * RATE]
    one = written(tmp_path / "a.wav", theme)
    time_map = wandering(theme.shape[1], 1.05, 1)
    found = followed(one, warped(one, one, time_map, tmp_path / "b.wav"))
    off = np.abs(off_ms(found, theme.shape[1], Drawn(time_map, theme.shape[1])))
    assert np.median(off) < 12.0
    assert np.quantile(off, 0.95) < 60.0


def test_the_same_recording_is_not_stretched(folder: Path) -> None:
    found = followed(folder / "mixture.flac", folder / "mixture.flac")
    assert found.time_map.identity
    assert found.confidence > 0.98


def test_a_part_of_a_song_is_found_in_it(data: Path, tmp_path: Path) -> None:
    song = read_all(data / "mixes" / "Joshua_Morin_-_On_the_run.ogg")[:, 40 * RATE : 100 * RATE]
    one = written(tmp_path / "a.wav", song)
    part = song[:, 20 * RATE : 40 * RATE]
    other = written(tmp_path / "b.wav", soxr.resample(part.T, 1.02 * RATE, RATE).T)  # a tape that runs a little faster
    found = followed(one, other)
    assert 19.5 < found.first_seconds < 22.0
    assert 38.0 < found.last_seconds < 40.5
    truth = Drawn(TimeMap(((20 * RATE, 0), (40 * RATE, round(20 * RATE / 1.02)))), song.shape[1])
    off = np.abs(off_ms(found, song.shape[1], truth))
    assert np.quantile(off, 0.95) < 10.0
    back = followed(other, one)
    assert Drawn(back.time_map, part.shape[1]).target(0) == pytest.approx(20 * RATE, abs=0.02 * RATE)


def test_rates_channels_levels_and_silence_may_differ(folder: Path, tmp_path: Path) -> None:
    mix = read_all(folder / "mixture.flac")
    one = written(tmp_path / "a.wav", np.stack([mix[0], -mix[0]]))  # nothing is left of it in mono
    late = np.concatenate([np.zeros(3 * RATE), 0.01 * mix[0]])
    other = written(tmp_path / "b.wav", soxr.resample(late, RATE, 48_000), 48_000)
    found = followed(one, other)
    truth = Drawn(TimeMap(((0, 3 * RATE),)), mix.shape[1])
    off = np.abs(off_ms(found, mix.shape[1], truth))
    assert np.median(off) < 0.5
    assert np.quantile(off, 0.95) < 10.0


def test_clicks_are_followed_to_the_sample(tmp_path: Path) -> None:
    one, other = np.zeros(20 * RATE), np.zeros(24 * RATE)
    one[::22_050] = other[::26_460] = 1.0
    found = followed(written(tmp_path / "a.wav", one), written(tmp_path / "b.wav", other))
    drawn = Drawn(found.time_map, len(one))
    assert all(abs(drawn.target(number * 22_050) - number * 26_460) <= 1 for number in range(1, 39))


def test_another_key_is_heard_and_said(folder: Path, tmp_path: Path) -> None:
    mix = read_all(folder / "mixture.flac")
    up = 2.0 ** (3 / 12)
    other = written(tmp_path / "b.wav", soxr.resample(mix.T, up * RATE, RATE).T)  # played faster, and so higher
    found = followed(folder / "mixture.flac", other)
    assert found.semitones == 3
    truth = Drawn(TimeMap(((0, 0), (mix.shape[1], round(mix.shape[1] / up)))), mix.shape[1])
    assert np.quantile(np.abs(off_ms(found, mix.shape[1], truth)), 0.95) < 15.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("multitracks/eif-rubidium/mixture.flac", "multitracks/eif-lithium/mixture.flac"),
        ("mixes/Kevin_MacLeod_-_Vibe_Ace.hq.ogg", "multitracks/trackswitch/mixture.flac"),
        ("speech/198-209-0000.hq.ogg", "speech/5703-47212-0000.hq.ogg"),
    ],
)
def test_other_music_is_refused(data: Path, one: str, other: str) -> None:
    with pytest.raises(UnbakeError, match=r"does not play the same music as .*, as far as can be told") as refused:
        followed(data / one, data / other)
    assert refused.value.where == str(data / one)


def test_noise_silence_and_crumbs_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = [written(tmp_path / f"{number}.wav", 0.1 * rng.standard_normal(8 * RATE)) for number in range(2)]
    silence = written(tmp_path / "silence.wav", np.zeros(8 * RATE))
    crumb = written(tmp_path / "crumb.wav", np.zeros(1))
    with pytest.raises(UnbakeError, match="does not play the same music"):
        followed(*noise)
    with pytest.raises(UnbakeError, match=r"silence\.wav: is silent"):
        followed(noise[0], silence)
    with pytest.raises(UnbakeError, match=r"crumb\.wav: is 2\.27e-05 s long"):
        followed(crumb, noise[0])


def test_a_pause_in_the_other_becomes_a_gap(folder: Path, tmp_path: Path) -> None:
    mix = read_all(folder / "mixture.flac")
    with_pause = np.concatenate([mix[:, : 10 * RATE], np.zeros((2, RATE)), mix[:, 10 * RATE :]], axis=1)
    found = followed(folder / "mixture.flac", written(tmp_path / "b.wav", with_pause))
    drawn = Drawn(found.time_map, mix.shape[1])
    for seconds, later in ((2, 0), (8, 0), (12, 1), (18, 1)):
        assert drawn.target(seconds * RATE) == pytest.approx((seconds + later) * RATE, abs=0.03 * RATE)
