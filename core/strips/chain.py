"""From a session's strip to a stage that runs: processors in order, then the fader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from core.errors import UnbakeError
from core.session.document import Strip
from core.session.processors import EQUALISERS, Gain, Processor, Width
from core.strips.eq import Equaliser, Sections, sections
from core.strips.image import Level, PairWidth, db_to_gain, fader
from core.strips.stage import Series, Stage


def build_strip(name: str, strip: Strip, sample_rate: int, speakers: Sequence[str]) -> Series:
    """The stage P of a strip: its active processors, gain, balance and polarity.

    Raises UnbakeError naming the key path, such as `strips.bass.chain[1]`, when a processor can't run on this source.
    """
    stages = build_chain(f"strips.{name}.chain", strip.chain, sample_rate, speakers)
    if strip.gain_db != 0.0 or strip.pan != 0.0 or strip.polarity != 1:
        try:
            stages.append(fader(strip.gain_db, strip.pan, strip.polarity, speakers))
        except UnbakeError as error:
            raise UnbakeError(error.what, where=f"strips.{name}.pan") from error
    return Series(stages)


def build_chain(
    path: str, processors: Iterable[Processor], sample_rate: int, speakers: Sequence[str], *, first: int = 0
) -> list[Stage]:
    """Stages of the active processors. Neighbouring equalisers run as one cascade, which computes the same.

    Errors name `path[n]`, counting from `first`.
    """
    stages: list[Stage] = []
    waiting: list[Sections] = []

    def flush() -> None:
        if waiting:
            stages.append(Equaliser(np.concatenate(waiting), len(speakers)))
            waiting.clear()

    for place, processor in enumerate(processors, first):
        if not processor.active:
            continue
        try:
            if isinstance(processor, EQUALISERS):
                waiting.append(sections(processor, sample_rate))
                continue
            flush()
            stages.append(_build(processor, speakers))
        except UnbakeError as error:
            raise UnbakeError(error.what, where=f"{path}[{place}]", remedy=error.remedy) from error
    flush()
    return stages


def _build(processor: Processor, speakers: Sequence[str]) -> Stage:
    match processor:
        case Gain(gain_db=gain_db):
            return Level(np.full(len(speakers), db_to_gain(gain_db)))
        case Width(amount=amount):
            return PairWidth(amount, speakers)
        case _:
            raise TypeError(f"{type(processor).__name__} is not a strip processor")
