"""A stretch of a session along its time map, made at once to be listened to: a render begins at the first frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES, Block
from core.audio.read import open_reader
from core.events import Operation, finish
from core.recombine.graph import Graph, build_master, open_strip
from core.recombine.warping import Pulled
from core.session.document import Session, Strip
from core.session.timemap import Anchor, Drawn, StripWarp, TimeMap, straightened
from core.strips.stage import Aligned, Series
from core.warp.engines.course import Attacks
from core.warp.engines.modes import PLAIN, warper_of
from core.warp.engines.sound import FileSound, Sound, Warper
from core.warp.rhythm.attacks import attacks_of

BEFORE_SECONDS: Final = 0.5
"""So much of what comes before is warped, too: engines and the master stage come to rest in it."""
APART_FRAMES: Final = 64
"""An anchor that is nearer to an end of the stretch is left out: whole frames would make too much of it."""


class Excerpt(NamedTuple):
    """Frames `first` to `last` of a source along their own map; the first one goes to frame `start` of the target."""

    time_map: TimeMap
    first: int
    last: int
    start: int


def excerpt(time_map: TimeMap, frames: int, first: int, last: int, before: int = 0) -> Excerpt:
    """What target frames `first` to `last` are made of, in a file of `frames` frames, with `before` more in front."""
    straight = straightened(time_map)
    drawn = Drawn(straight, frames)
    low = max(0, min(frames, int(drawn.source(first)) - before))
    high = max(low, min(frames, round(drawn.source(last)) + before))
    start = round(drawn.target(low))
    inner = [(source, target) for source, target in straight.anchors if low <= source <= high]
    kept = [each for each in inner if low + APART_FRAMES <= each[0] <= high - APART_FRAMES]
    ends: list[Anchor] = [(low, start), *kept, (high, round(drawn.target(high)))]
    if high - low < 2 * APART_FRAMES:
        ends = ends[:1]
    moved = tuple((source - low, target - start) for source, target in ends)
    return Excerpt(TimeMap(moved), low, high, start)


def stretch_of(session: Session, stems: Mapping[str, Path], first: int, last: int) -> Operation[Iterator[Block]]:
    """Blocks of the repaired master from target frame `first` to before `last`, through its master stage.

    As good as what a render holds there, though not the same to the bit: engines begin afresh a little before. To be
    read to its end. Raises UnbakeError as a render does.
    """
    attacks = yield from attacks_of(session.source.path)
    return _blocks(session, stems, first, last, attacks)


def _blocks(session: Session, stems: Mapping[str, Path], first: int, last: int, attacks: Attacks) -> Iterator[Block]:
    frames = session.source.frames
    part = excerpt(session.warp, frames, first, last, round(BEFORE_SECONDS * session.source.sample_rate))
    inside = (attacks[0] >= part.first) & (attacks[0] < part.last)
    near = attacks[0][inside] - part.first, attacks[1][inside]
    with ExitStack() as stack:
        by_mode = _opened(session, stems, part.first, stack)
        source = Path(session.source.path)
        info = msgspec.structs.replace(stack.enter_context(open_reader(source)).info, frames=session.frames)
        warpers: list[Warper] = []
        for mode, sounds in by_mode.items():
            reader = stack.enter_context(open_reader(source))
            reader.seek(part.first)
            sound = Pulled(reader.info.channels, *(each.read for each in sounds))
            length, rate = part.last - part.first, reader.info.sample_rate
            warpers.append(
                finish(warper_of(mode, FileSound(reader), [sound], part.time_map, length, rate, near, PLAIN))
            )

        def read(count: int) -> Block:
            return np.sum([warper.read(count)[0] for warper in warpers], axis=0)

        output = Aligned(Series(build_master(session.master, info)), read)
        stack.callback(output.close)
        output.reset(max(0, part.start))
        skipped = first - part.start
        while skipped > 0:
            skipped -= output.read(min(skipped, BLOCK_FRAMES)).shape[1]
        for start in range(first, last, BLOCK_FRAMES):
            yield output.read(min(BLOCK_FRAMES, last - start))


def _opened(session: Session, stems: Mapping[str, Path], first: int, stack: ExitStack) -> dict[StripWarp, list[Sound]]:
    """What each engine carries, from a frame of the source on: the master, and what other engines carry for it."""
    apart = [name for name in session.changed if session.warped_apart(name)]
    taken = {name: _taken_out(session.strips[name]) for name in apart}
    bare = msgspec.structs.replace(session.unwarped, strips={**session.strips, **taken}, master=())
    bus = stack.enter_context(Graph(bare, stems))
    bus.seek(first)
    found: dict[StripWarp, list[Sound]] = {"linked": [Pulled(bus.info.channels, bus.read)]}
    for name in apart:
        strip = session.strips[name]
        delta = open_strip(name, strip, stems, bus.info, stack, part="wet")
        delta.seek(first)
        found.setdefault(strip.warp, []).append(delta)
    return found


def _taken_out(strip: Strip) -> Strip:
    """What is left of a strip whose sound goes another way: in `replace` its stem is still taken out of the master."""
    return Strip(mode="cancel", budget=strip.budget) if strip.mode == "replace" else Strip()
