"""From a session's strip to a stage that runs: processors in order, then the fader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from core.errors import UnbakeError
from core.session.document import EqPhase, Strip
from core.session.processors import (
    AllPass,
    Compressor,
    DeEsser,
    Delay,
    DynamicBell,
    EqualiserBand,
    Gain,
    Gate,
    MonoBelow,
    Processor,
    Saturation,
    TransientShaper,
    Vst3,
    Width,
)
from core.strips.dynamic_eq import DynamicBellStage
from core.strips.dynamics import CompressorStage, DeEsserStage, GateStage
from core.strips.eq import Equaliser, Sections, check_frequency, sections
from core.strips.image import (
    Level,
    LevelOverTime,
    PairMono,
    PairPart,
    PairWidth,
    TimeShift,
    check_pairs,
    db_to_gain,
    fader,
)
from core.strips.linear import PartitionedFir, linear_taps
from core.strips.plugins import PluginStage
from core.strips.saturation import SaturationStage
from core.strips.sidechain import Keyed, Own, Riding
from core.strips.stage import Moving, Series, Stage
from core.strips.transients import TransientStage


def build_strip(name: str, strip: Strip, sample_rate: int, speakers: Sequence[str]) -> Series:
    """The stage P of a strip: its active processors, gain, balance and polarity.

    It takes the channels of the stem, followed by those of each of `strip.sidechains`, and gives those of the stem.
    Raises UnbakeError naming the key path, such as `strips.bass.chain[1]`, when a processor can't run on this source.
    """
    path, sides = f"strips.{name}.chain", strip.sidechains
    if name in sides:
        raise UnbakeError("a stem can't be its own side-chain", where=f"{path}[{listener(strip, name)}].sidechain")
    stages = build_chain(path, strip.chain, sample_rate, speakers, eq_phase=strip.eq_phase, sides=sides)
    if sides:
        channels, others = len(speakers), len(speakers) * len(sides)
        ridden = [each if isinstance(each, Keyed) else Riding(each, channels, others) for each in stages]
        stages = [*ridden, Own(channels)]
    if strip.gain_db != 0.0 or strip.pan != 0.0 or strip.polarity != 1:
        try:
            stages.append(fader(strip.gain_db, strip.pan, strip.polarity, speakers))
        except UnbakeError as error:
            raise UnbakeError(error.what, where=f"strips.{name}.pan") from error
    return Series(stages)


def listener(strip: Strip, side: str) -> int:
    """The place in a chain of the first processor that listens to a stem; ValueError when none does."""
    return [isinstance(each, DynamicBell) and each.active and each.sidechain for each in strip.chain].index(side)


def build_chain(
    path: str,
    processors: Iterable[Processor],
    sample_rate: int,
    speakers: Sequence[str],
    *,
    first: int = 0,
    eq_phase: EqPhase = "minimum",
    sides: Sequence[str] = (),
) -> list[Stage]:
    """Stages of the active processors. Neighbouring equalisers of one placement run as one cascade.

    A processor that listens to another stem finds it among `sides`, whose channels follow its own. Errors name
    `path[n]`, counting from `first`.
    """
    stages: list[Stage] = []
    waiting: list[EqualiserBand] = []

    def flush() -> None:
        if waiting:
            stages.append(_cascade(waiting, sample_rate, speakers, eq_phase))
            waiting.clear()

    for place, processor in enumerate(processors, first):
        if not processor.active:
            continue
        if isinstance(processor, DynamicBell) and processor.sidechain not in ("", *sides):
            raise UnbakeError("the master stage has no side-chain", where=f"{path}[{place}].sidechain")
        if isinstance(processor, Vst3):
            flush()
            stages.append(PluginStage(processor, f"{path}[{place}]", sample_rate, len(speakers)))
            continue
        try:
            if isinstance(processor, EqualiserBand):
                check_frequency(processor.freq_hz, sample_rate)
                check_pairs(processor, speakers)
                if waiting and waiting[0].placement != processor.placement:
                    flush()
                waiting.append(processor)
                continue
            flush()
            stage = _build(processor, sample_rate, speakers)
            if isinstance(stage, Moving):
                stage.place = place
            if isinstance(stage, DynamicBellStage) and isinstance(processor, DynamicBell) and processor.sidechain:
                stage = Keyed(stage, len(speakers), len(speakers) * (1 + sides.index(processor.sidechain)))
            stages.append(stage)
        except UnbakeError as error:
            raise UnbakeError(error.what, where=f"{path}[{place}]", remedy=error.remedy) from error
    flush()
    return stages


def _cascade(bands: Sequence[EqualiserBand], sample_rate: int, speakers: Sequence[str], eq_phase: EqPhase) -> Stage:
    """Equalisers of one placement as one stage."""

    def build(channels: int) -> Stage:
        if eq_phase == "minimum":
            return Equaliser(of(bands), channels)
        stages: list[Stage] = []
        if levels := [band for band in bands if not isinstance(band, AllPass)]:
            stages.append(PartitionedFir(linear_taps(of(levels), sample_rate), channels))
        if turns := [band for band in bands if isinstance(band, AllPass)]:  # turning phase is all that they do
            stages.append(Equaliser(of(turns), channels))
        return Series(stages)

    def of(some: Sequence[EqualiserBand]) -> Sections:
        return np.concatenate([sections(band, sample_rate) for band in some])

    placement = bands[0].placement
    return build(len(speakers)) if placement == "all" else PairPart(placement, speakers, build)


def _build(processor: Processor, sample_rate: int, speakers: Sequence[str]) -> Stage:
    channels = len(speakers)
    match processor:
        case Gain(gain_db=gain_db, points=points) if points:
            return LevelOverTime(gain_db, points, sample_rate)
        case Gain(gain_db=gain_db):
            return Level(np.full(channels, db_to_gain(gain_db)))
        case Width(amount=amount):
            check_pairs(processor, speakers)
            return PairWidth(amount, speakers)
        case MonoBelow(freq_hz=freq_hz):
            check_frequency(freq_hz, sample_rate)
            check_pairs(processor, speakers)
            return PairMono(freq_hz, sample_rate, speakers)
        case Delay(frames=frames):
            return TimeShift(frames, channels)
        case DynamicBell(freq_hz=freq_hz):
            check_frequency(freq_hz, sample_rate)
            return DynamicBellStage(processor, sample_rate, channels)
        case TransientShaper():
            return TransientStage(processor, sample_rate, channels)
        case Compressor():
            return CompressorStage(processor, sample_rate)
        case Gate():
            return GateStage(processor, sample_rate)
        case Saturation():
            return SaturationStage(processor, sample_rate, channels)
        case DeEsser(freq_hz=freq_hz):
            check_frequency(freq_hz, sample_rate)
            return DeEsserStage(processor, sample_rate, channels)
        case _:
            raise TypeError(f"{type(processor).__name__} is not a strip processor")
