"""The curves that editors show are what stages do to a level that stands still; meters tell how far gains are moved."""

from __future__ import annotations

import numpy as np
import pytest

from core.audio.formats import AudioInfo
from core.recombine.graph import build_master
from core.session.document import Strip
from core.session.processors import (
    Bell,
    Compressor,
    DeEsser,
    Dither,
    DynamicBell,
    Gain,
    Gate,
    Limiter,
    Processor,
    StripProcessor,
    TransientShaper,
)
from core.strips.chain import build_strip
from core.strips.curves import DYNAMICS, StaticCurve, static_curve
from core.strips.stage import Aligned, Series, moving

RATE = 44_100
STEREO = ("L", "R")
INFO = AudioInfo("", "WAV", "FLOAT", RATE, 2, 1, STEREO, lossless=True)
STEADY: tuple[StripProcessor, ...] = (
    Compressor(threshold_db=-30.0, ratio=4.0, makeup_db=3.0),
    Compressor(threshold_db=-24.0, ratio=20.0, knee_db=0.0, mix=0.5),
    Compressor(threshold_db=-20.0, ratio=2.0, knee_db=24.0, makeup_db=-2.0),
    Gate(threshold_db=-20.0, ratio=3.0),
    Gate(threshold_db=-25.0, ratio=50.0, range_db=30.0, knee_db=12.0),
    DynamicBell(freq_hz=1000.0, threshold_db=-30.0, range_db=-9.0),
    DynamicBell(freq_hz=1000.0, threshold_db=-30.0, range_db=6.0, acts="below"),
)


def curve_of(processor: Processor, count: int = 600) -> StaticCurve:
    found = static_curve(processor, count)
    assert found is not None
    return found


def tone(level_db: float, seconds: float = 2.0) -> np.ndarray:
    """A sine whose peaks have this level, and come often: float64 [2, frames]."""
    wave = np.sin(2 * np.pi * 1000.0 * np.arange(round(seconds * RATE)) / RATE)
    return 10.0 ** (level_db / 20.0) * np.stack([wave, wave])


@pytest.mark.parametrize("level_db", [-50.0, -32.0, -24.0, -18.0, -3.0])
@pytest.mark.parametrize("processor", STEADY, ids=lambda each: type(each).__name__)
def test_a_level_that_stands_still_comes_out_as_the_curve_says(processor: StripProcessor, level_db: float) -> None:
    stage = build_strip("bass", Strip(chain=(processor,)), RATE, STEREO)
    sound = tone(level_db)
    out = stage.process(sound)
    reached_db = 20.0 * np.log10(np.abs(out[:, -RATE // 2 :]).max() / np.abs(sound[:, -RATE // 2 :]).max())
    curve = curve_of(processor)
    # between two peaks a release has begun, which is what a standing level has none of
    assert reached_db == pytest.approx(float(np.interp(level_db, curve.heard_db, curve.gain_db)), abs=0.25)


@pytest.mark.parametrize("processor", STEADY, ids=lambda each: type(each).__name__)
def test_a_meter_tells_what_the_gain_is_moved_by(processor: StripProcessor) -> None:
    aligned = Aligned(build_strip("bass", Strip(chain=(Gain(gain_db=-3.0), processor)), RATE, STEREO), _of(tone(-15.0)))
    aligned.read(RATE)
    aligned.read(512)  # what came before has no part in it
    ((place, moved_db),) = aligned.moved_db().items()
    assert place == 1
    unmixed = {name: value for name, value in (("makeup_db", 0.0), ("mix", 1.0)) if hasattr(processor, name)}
    plain = type(processor)(**{**{f: getattr(processor, f) for f in processor.__struct_fields__}, **unmixed})
    curve = curve_of(plain)
    assert moved_db == pytest.approx(float(np.interp(-18.0, curve.heard_db, curve.gain_db)), abs=0.3)


def _of(sound: np.ndarray):
    place = 0

    def read(frames: int) -> np.ndarray:
        nonlocal place
        block = sound[:, place : place + frames]
        place += frames
        return np.pad(block, ((0, 0), (0, frames - block.shape[1])))

    return read


def test_sibilants_and_attacks_move_their_meters() -> None:
    noise = np.random.default_rng(1).standard_normal((2, RATE)) * 0.1
    softer = DeEsser(freq_hz=5000.0, threshold_db=-20.0, range_db=6.0)
    esser = build_strip("vocals", Strip(chain=(softer,)), RATE, STEREO)
    esser.process(noise)
    (meter,) = moving(esser)
    assert -6.0 <= meter.moved_db < -2.0
    shaper = build_strip("drums", Strip(chain=(TransientShaper(attack_db=9.0, sustain_db=-6.0),)), RATE, STEREO)
    (meter,) = moving(shaper)
    shaper.process(np.zeros((2, RATE)))
    assert meter.moved_db == pytest.approx(0.0, abs=0.01)
    shaper.process(noise[:, :2000])
    assert meter.moved_db > 5.0
    curve = curve_of(TransientShaper(attack_db=9.0, sustain_db=-6.0))
    assert (curve.gain_db.max(), curve.gain_db.min()) == (9.0, -6.0)


def test_places_are_those_of_the_chain_and_of_the_master() -> None:
    keyed = DynamicBell(freq_hz=80.0, range_db=-6.0, sidechain="drums")
    chain = (Bell(freq_hz=100.0, gain_db=1.0), Compressor(ratio=2.0, bypass=True), Compressor(ratio=2.0), keyed)
    assert [each.place for each in moving(build_strip("bass", Strip(chain=chain), RATE, STEREO))] == [2, 3]
    master = (Dither(), Gain(gain_db=0.0), Compressor(ratio=2.0), Limiter())
    assert [each.place for each in moving(Series(build_master(master, INFO)))] == [2, 3]


def test_a_limiter_tells_what_it_takes_away() -> None:
    (limiter,) = build_master((Limiter(ceiling_dbtp=-6.0),), INFO)
    limiter.process(tone(-7.0))
    (meter,) = moving(limiter)
    assert meter.moved_db == 0.0
    limiter.process(tone(0.0))
    assert meter.moved_db == pytest.approx(-6.0, abs=0.1)
    curve = curve_of(Limiter(ceiling_dbtp=-6.0))
    assert (curve.heard_db + curve.gain_db).max() == pytest.approx(-6.0)


def test_every_processor_of_dynamics_has_a_curve_at_its_limits_and_no_other() -> None:
    assert static_curve(Gain(), 10) is None
    assert set(DYNAMICS) == {Compressor, Gate, DeEsser, DynamicBell, TransientShaper, Limiter}
    for processor in (
        *(Compressor(), Gate(), TransientShaper(), Limiter()),
        DeEsser(freq_hz=10.0),
        DynamicBell(freq_hz=10.0),
        Compressor(threshold_db=-100.0, ratio=100.0, knee_db=24.0),
        Compressor(threshold_db=0.0, ratio=100.0, makeup_db=24.0, mix=0.0),
        Gate(threshold_db=-100.0, ratio=100.0, range_db=100.0),
        DynamicBell(freq_hz=10.0, threshold_db=-100.0, range_db=-24.0, acts="below"),
    ):
        for count in (2, 3, 500):
            curve = curve_of(processor, count)
            assert len(curve.heard_db) == len(curve.gain_db) == count
            assert np.isfinite(curve.gain_db).all()
            assert (np.diff(curve.heard_db) > 0).all()
