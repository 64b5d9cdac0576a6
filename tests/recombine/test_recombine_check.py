"""The live check finds what a session changes, with the figures that were put in, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from core.errors import UnbakeError
from core.events import Progress, finish
from core.measure.figures import Level, Place
from core.recombine import check as checks
from core.recombine.check import ChangeBand, SessionCheck, check_session, octaves
from core.recombine.graph import Graph
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, Dither, Gain, Limiter, MasterProcessor

RATE = 44_100
FRAMES = 3 * RATE
STEMS = ("vocals", "bass")
NOTHING = Level(None, None, None)


def on_grid(samples: np.ndarray) -> np.ndarray:
    """Rounded to 24 bit, so that stems add up to their song exactly."""
    return np.rint(samples * 2**23) / 2**23


@pytest.fixture
def stems(tmp_path: Path) -> dict[str, Path]:
    """A song of 24 bit beside its stems: a 1 kHz tone of -12 dBFS peak as bass, noise as the others."""
    rng = np.random.default_rng(3)
    time = np.arange(FRAMES)[:, None] / RATE
    sounds = {
        "vocals": 0.05 * rng.standard_normal((FRAMES, 2)),
        "bass": 10 ** (-12 / 20) * np.sin(2 * np.pi * 1000 * time) * np.ones(2),
        "residual": 0.001 * rng.standard_normal((FRAMES, 2)),
    }
    sounds = {name: on_grid(sound) for name, sound in sounds.items()}
    for name, sound in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "song.wav", np.sum(list(sounds.values()), axis=0), RATE, subtype="PCM_24")
    return {name: tmp_path / f"{name}.wav" for name in sounds}


def session(stems: dict[str, Path], strips: dict[str, Strip], master: tuple[MasterProcessor, ...] = ()) -> Session:
    song = stems["bass"].with_name("song.wav")
    source = Source(str(song), "ab", RATE, 2, FRAMES, "WAV", "PCM_24")
    return Session(source=source, separation=Separation(stems=STEMS), strips=strips, master=master)


def checked(stems: dict[str, Path], strips: dict[str, Strip], *master: MasterProcessor) -> SessionCheck:
    return finish(check_session(session(stems, strips, master), stems))


def read(path: Path) -> np.ndarray:
    return soundfile.read(path)[0]


def test_an_untouched_session_is_identical_and_needs_no_stem(stems: dict[str, Path]) -> None:
    neutral = {"bass": Strip(chain=(Bell(freq_hz=100.0),)), "vocals": Strip(mode="parallel")}
    found = finish(check_session(session(stems, neutral), {}))
    assert found.identical
    assert found.passed
    assert (found.rest_dbfs, found.change, found.bands, found.strips) == (None, NOTHING, (), ())
    assert (found.stem_sum_known, found.stem_sum_dbfs) == (False, None)
    assert (found.master_active, found.overs) == (False, 0)
    peak = np.abs(read(stems["bass"].with_name("song.wav"))).max()
    assert found.peak_dbfs == pytest.approx(20 * np.log10(peak))


def test_a_strip_6_db_down_adds_the_tone_at_half_its_level(stems: dict[str, Path]) -> None:
    found = checked(stems, {"bass": Strip(gain_db=-6.0)})
    share = 20 * np.log10(1 - 10 ** (-6 / 20))
    assert found.change.peak_dbfs == pytest.approx(-12 + share, abs=1e-4)
    assert found.change.rms_dbfs == pytest.approx(-12 + share - 3.0103, abs=1e-4)
    assert found.change.lufs is not None
    assert not found.identical
    assert found.passed
    assert found.rest_dbfs is None or found.rest_dbfs < -300.0
    (strip,) = found.strips
    assert (strip.name, strip.peak_dbfs) == ("bass", pytest.approx(-12 + share, abs=1e-4))
    assert strip.rms_dbfs == pytest.approx(-12 + share - 3.0103, abs=1e-4)
    assert strip.strongest is not None
    assert strip.strongest.low_hz < 1000 < strip.strongest.high_hz
    assert strip.strongest.rms_dbfs == pytest.approx(strip.rms_dbfs, abs=0.01)


def test_bands_hold_source_and_change_side_by_side(stems: dict[str, Path]) -> None:
    found = checked(stems, {"bass": Strip(gain_db=-6.0)})
    assert (found.bands[0].low_hz, found.bands[-1].high_hz) == (0.0, RATE / 2)
    middle = next(band for band in found.bands if band.low_hz < 1000 < band.high_hz)
    assert middle.change_rms_dbfs == pytest.approx(found.change.rms_dbfs, abs=0.01)
    assert middle.source_rms_dbfs == pytest.approx(-12 - 3.0103, abs=0.1)
    top = found.bands[-1]
    assert top.source_rms_dbfs == pytest.approx(20 * np.log10(0.05) + 10 * np.log10(1 - 17_783 / 22_050), abs=0.1)
    assert top.change_rms_dbfs is None or top.change_rms_dbfs < -90.0
    total = 10 * np.log10(sum(10 ** (band.source_rms_dbfs / 10) for band in found.bands if band.source_rms_dbfs))
    assert total == pytest.approx(10 * np.log10(np.mean(read(stems["bass"].with_name("song.wav")) ** 2)), abs=1e-6)


def test_bands_are_thirds_and_octaves_are_the_sums_of_three(stems: dict[str, Path]) -> None:
    found = checked(stems, {"bass": Strip(gain_db=-6.0), "vocals": Strip(gain_db=3.0)})
    edges = [band.low_hz for band in found.bands[1:]]
    assert np.diff(np.log10(edges)) == pytest.approx(0.1, abs=1e-4)
    (vocals, bass) = found.strips
    assert [band.low_hz for band in bass.bands] == [band.low_hz for band in found.bands]
    for level, bands in ((vocals.rms_dbfs, vocals.bands), (bass.rms_dbfs, bass.bands)):
        powers = [10 ** (band.rms_dbfs / 10) for band in bands if band.rms_dbfs is not None]
        assert 10 * np.log10(sum(powers)) == pytest.approx(level, abs=1e-6)
    few = octaves(found.bands)
    lows = [0.0, 22.387, 44.668, 89.125, 177.828, 354.813, 707.946, 1412.538, 2818.383, 5623.413, 11220.185]
    assert [band.low_hz for band in few] == pytest.approx(lows, abs=0.01)
    assert [band.high_hz for band in few] == [*(band.low_hz for band in few[1:]), RATE / 2]
    for name in ("source_rms_dbfs", "change_rms_dbfs"):
        sums = [sum(10 ** (getattr(band, name) / 10) for band in bands) for bands in (found.bands, few)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-12)


def test_octaves_of_silence_are_silent() -> None:
    thirds = [ChangeBand(low, high, None, None) for low, high in pairwise([0.0, 17.783, 22.387, 28.184, 35.481])]
    assert octaves(thirds) == [ChangeBand(0.0, 22.387, None, None), ChangeBand(22.387, 35.481, None, None)]
    assert octaves([]) == []


def test_the_worst_place_and_the_course_are_told_overall_and_of_every_strip(stems: dict[str, Path]) -> None:
    for name, frame, channel, value in (("bass", 80_000, 1, -0.9), ("vocals", 20_001, 0, 0.5)):
        sound = np.zeros((FRAMES, 2))
        sound[frame, channel] = value
        soundfile.write(stems[name], sound, RATE, subtype="FLOAT")
    found = checked(stems, {"bass": Strip(mode="cancel"), "vocals": Strip(mode="cancel")})
    vocals, bass = found.strips
    assert found.worst is not None
    assert found.worst.peak_dbfs == pytest.approx(20 * np.log10(0.9))
    assert found.worst == bass.worst == Place(80_000, 1, 80_000 / RATE, found.worst.peak_dbfs)
    assert vocals.worst is not None
    assert vocals.worst.peak_dbfs == pytest.approx(20 * np.log10(0.5))
    assert vocals.worst == Place(20_001, 0, 20_001 / RATE, vocals.worst.peak_dbfs)
    window = round(0.05 * RATE)
    for course, frames in (
        (found.course, {20_001: 0.5, 80_000: 0.9}), (vocals.course, {20_001: 0.5}), (bass.course, {80_000: 0.9})
    ):  # fmt: skip
        assert len(course.peak_dbfs) == -(-FRAMES // window)
        heard = {place: level for place, level in enumerate(course.peak_dbfs) if level is not None}
        assert heard == {frame // window: pytest.approx(20 * np.log10(value)) for frame, value in frames.items()}


def test_what_changes_nothing_has_no_worst_place(stems: dict[str, Path]) -> None:
    soundfile.write(stems["bass"], np.zeros((FRAMES, 2)), RATE, subtype="FLOAT")
    found = checked(stems, {"bass": Strip(gain_db=-6.0)})
    (strip,) = found.strips
    assert (found.worst, strip.worst, strip.strongest, set(strip.course.peak_dbfs)) == (None, None, None, {None})
    assert (checked(stems, {}).worst, checked(stems, {}).course.peak_dbfs) == (None, ())


def test_cancel_and_parallel(stems: dict[str, Path]) -> None:
    cancelled = checked(stems, {"bass": Strip(mode="cancel")})
    assert cancelled.change.peak_dbfs == pytest.approx(-12, abs=1e-4)
    tucked_under = checked(stems, {"bass": Strip(gain_db=-6.0, mode="parallel", blend=0.25)})
    assert tucked_under.change.peak_dbfs == pytest.approx(-12 - 6 + 20 * np.log10(0.25), abs=1e-4)
    assert cancelled.passed
    assert tucked_under.passed


def test_several_strips_are_told_apart_in_the_sessions_order(stems: dict[str, Path]) -> None:
    strips = {
        "residual": Strip(mode="cancel"),
        "bass": Strip(gain_db=-1.0, chain=(Bell(freq_hz=250.0, gain_db=-3.0),)),
        "vocals": Strip(gain_db=2.0),
    }
    found = checked(stems, strips)
    assert [strip.name for strip in found.strips] == ["vocals", "bass", "residual"]
    assert found.strips[2].peak_dbfs == pytest.approx(20 * np.log10(np.abs(read(stems["residual"])).max()))
    with Graph(session(stems, strips), stems) as graph:
        output = np.concatenate(list(graph.blocks(1000)), axis=1).T
    change = output - read(stems["bass"].with_name("song.wav"))
    assert found.change.peak_dbfs == pytest.approx(20 * np.log10(np.abs(change).max()), abs=1e-9)
    assert found.change.rms_dbfs == pytest.approx(10 * np.log10(np.mean(change**2)), abs=1e-9)
    assert found.rest_dbfs is None or found.rest_dbfs < -300.0
    assert found.passed


def test_a_sum_that_moves_something_else_does_not_pass(stems: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaking(Graph):
        def blocks(self, frames: int = 1000):
            for block in super().blocks(frames):
                yield block + 1e-6

    monkeypatch.setattr(checks, "Graph", Leaking)
    found = checked(stems, {"bass": Strip(gain_db=-6.0)})
    assert found.rest_dbfs == pytest.approx(-120.0, abs=1e-3)
    assert not found.passed
    untouched = finish(check_session(session(stems, {}), {}))
    assert (untouched.identical, untouched.passed) == (False, False)


def test_the_rest_is_looked_at_before_the_master_stage(stems: dict[str, Path]) -> None:
    found = checked(stems, {"bass": Strip(gain_db=-6.0)}, Gain(gain_db=-20.0))
    assert found.master_active
    assert found.rest_dbfs is None or found.rest_dbfs < -300.0
    song = read(stems["bass"].with_name("song.wav"))
    bass = read(stems["bass"])
    change = 0.1 * (song + (10 ** (-6 / 20) - 1) * bass) - song
    assert found.change.peak_dbfs == pytest.approx(20 * np.log10(np.abs(change).max()), abs=1e-9)
    assert found.strips[0].peak_dbfs == pytest.approx(-12 + 20 * np.log10(1 - 10 ** (-6 / 20)), abs=1e-4)
    alone = finish(check_session(session(stems, {}, (Gain(gain_db=-6.0),)), {}))
    assert (alone.identical, alone.rest_dbfs, alone.passed) == (False, None, True)
    assert alone.bands


def test_a_limiter_that_has_nothing_to_do_leaves_the_source_identical(stems: dict[str, Path]) -> None:
    found = finish(check_session(session(stems, {}, (Limiter(ceiling_dbtp=0.0),)), {}))
    assert found.identical
    assert found.master_active
    assert found.change == NOTHING
    dithered = finish(check_session(session(stems, {}, (Dither(bits=16),)), {}))
    assert (dithered.identical, dithered.master_active) == (True, False)


def test_the_stems_and_the_residual_add_up(stems: dict[str, Path]) -> None:
    found = checked(stems, {})
    assert (found.stem_sum_known, found.stem_sum_dbfs) == (True, None)
    moved = read(stems["vocals"])
    moved[50_000, 1] += 2.0**-10
    soundfile.write(stems["vocals"], moved, RATE, subtype="FLOAT")
    assert checked(stems, {}).stem_sum_dbfs == pytest.approx(-60.206, abs=1e-3)
    some = finish(check_session(session(stems, {}), {name: stems[name] for name in STEMS}))
    assert (some.stem_sum_known, some.stem_sum_dbfs) == (False, None)


def test_overs_are_counted_as_the_sources_format_counts_them(stems: dict[str, Path]) -> None:
    found = checked(stems, {"bass": Strip(gain_db=12.0)})
    song, bass = read(stems["bass"].with_name("song.wav")), read(stems["bass"])
    output = song + (bass * 10 ** (12 / 20) - bass)
    expected = np.count_nonzero((output >= 1 - 2.0**-24) | (output < -1 - 2.0**-24))
    assert found.overs == expected > 100
    assert found.peak_dbfs == pytest.approx(20 * np.log10(np.abs(output).max()))
    soundfile.write(stems["bass"].with_name("song.wav"), song, RATE, subtype="FLOAT")
    assert checked(stems, {"bass": Strip(gain_db=12.0)}).overs == np.count_nonzero(np.abs(output) > 1.0)
    limited = checked(stems, {"bass": Strip(gain_db=12.0)}, Limiter(ceiling_dbtp=-1.0))
    assert limited.overs == 0
    assert limited.passed


def test_stems_that_do_not_belong_to_the_source(stems: dict[str, Path]) -> None:
    soundfile.write(stems["bass"], np.zeros((FRAMES - 1, 2)), RATE, subtype="FLOAT")
    with pytest.raises(UnbakeError, match=r"bass\.wav: frames is 132299, but the source has 132300"):
        checked(stems, {"bass": Strip(gain_db=-6.0)})
    with pytest.raises(UnbakeError, match=r"bass\.wav: frames"):
        checked(stems, {"vocals": Strip(gain_db=-6.0)})
    with pytest.raises(UnbakeError, match=r"strips\.bass: there is no such stem"):
        finish(check_session(session(stems, {"bass": Strip(gain_db=-6.0)}), {}))


def test_a_stem_cut_short_is_named(stems: dict[str, Path]) -> None:
    content = stems["bass"].read_bytes()
    stems["bass"].write_bytes(content[: len(content) // 2])
    with pytest.raises(UnbakeError, match=r"bass\.wav: is truncated"):
        checked(stems, {"bass": Strip(gain_db=-6.0)})


@pytest.mark.parametrize("changed", ["bass", "vocals"])
def test_a_stem_that_holds_no_numbers_is_named_with_the_place(stems: dict[str, Path], changed: str) -> None:
    sound = read(stems["bass"])
    sound[88_200, 1] = np.nan
    soundfile.write(stems["bass"], sound, RATE, subtype="FLOAT")
    with pytest.raises(UnbakeError, match=r"bass\.wav: sample is NaN at 0:02\.000 \(frame 88200\), channel 2"):
        checked(stems, {changed: Strip(gain_db=-6.0)})


def test_it_says_how_far_it_is_writes_nothing_and_can_be_sent(stems: dict[str, Path]) -> None:
    folder = stems["bass"].parent
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    edited = session(stems, {"bass": Strip(gain_db=-6.0)})
    events = [event for event in check_session(edited, stems) if isinstance(event, Progress)]
    assert events[-1] == Progress("checking", FRAMES, FRAMES, 3.0)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    found = finish(check_session(edited, stems))
    assert msgspec.json.decode(msgspec.json.encode(found), type=SessionCheck) == found
