"""Which engine carries sound along a map, by the name of its mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from core.errors import UnbakeError
from core.session.timemap import TimeMap, WarpMode
from core.warp.engines.slices import Slices, Tail
from core.warp.engines.voicing import VOICINGS

if TYPE_CHECKING:
    from core.events import Operation
    from core.warp.engines.course import Attacks
    from core.warp.engines.sound import Sound, Warper


MOST_CENTS: Final = 2400.0


class Options(msgspec.Struct, frozen=True):
    """What single engines can do beside following the map.

    `cents` is how much higher sound is made, -2400 to 2400 (repitch: beyond what its speed does), `formants` whether
    those stay meanwhile (rubberband); `tail` what becomes of slices that are too short (beats).
    """

    cents: float = 0.0
    formants: bool = False
    tail: Tail = "crossfade"


PLAIN: Final = Options()


def needs_attacks(mode: WarpMode) -> bool:
    """Whether an engine asks where sounds begin."""
    return mode == "beats" or (mode in VOICINGS and VOICINGS[mode].attacks)


def check_options(mode: WarpMode, options: Options) -> None:
    """Raises UnbakeError for what the engine of a mode can't do."""
    if abs(options.cents) > MOST_CENTS:
        raise UnbakeError(f"the pitch must be within {MOST_CENTS:g} cents, but it is {options.cents:g}")
    if options.cents and mode not in ("repitch", "rubberband"):
        raise UnbakeError(f"mode {mode} keeps the pitch", remedy="choose --mode repitch or rubberband")
    if options.formants and (mode != "rubberband" or not options.cents):
        raise UnbakeError("formants are kept where the pitch is moved", remedy="choose --mode rubberband and --cents")
    if options.tail != "crossfade" and mode != "beats":
        raise UnbakeError(f"mode {mode} has no tails", remedy="choose --mode beats")


def warper_of(
    mode: WarpMode,
    guide: Sound,
    sounds: Sequence[Sound],
    time_map: TimeMap,
    frames: int,
    sample_rate: int,
    attacks: Attacks,
    options: Options,
) -> Operation[Warper]:
    """The engine of a mode for sounds of `frames` frames. `attacks` are the guide's.

    One of rubberband has files to `close`. Raises UnbakeError when the map is not for such sounds, for options that the
    mode has not, and where something that the engine needs is missing.
    """
    check_options(mode, options)
    time_map.check_fits(frames)
    # scipy and numba are only for those who warp
    from core.warp.engines.linked import LinkedWarp
    from core.warp.engines.repitch import Repitch
    from core.warp.engines.rubberband import rubberband
    from core.warp.engines.sound import warped_sounds

    if mode in VOICINGS:
        return LinkedWarp(guide, sounds, time_map, frames, sample_rate, attacks, VOICINGS[mode])
    if mode == "beats":
        return Slices(sounds, time_map, frames, sample_rate, attacks[0], options.tail)
    if mode == "rubberband":
        return (
            yield from rubberband(sounds, time_map, frames, sample_rate, cents=options.cents, formants=options.formants)
        )
    if options.cents:
        raised = 2.0 ** (options.cents / 1200.0)
        longer = max(1, round(frames * raised))
        stretched = LinkedWarp(guide, sounds, TimeMap(((0, 0), (frames, longer))), frames, sample_rate, attacks)
        sounds = warped_sounds(stretched, [sound.channels for sound in sounds])
        time_map, frames = faster(time_map, frames, longer), longer
    return Repitch(sounds, time_map, frames, sample_rate)


def faster(time_map: TimeMap, frames: int, longer: int) -> TimeMap:
    """The map for what was stretched from `frames` to `longer` frames beforehand, to the same places."""
    found: list[tuple[int, int]] = []
    for source, target in time_map.vertices(frames):
        anchor = round(source * longer / frames), round(target)
        if anchor[1] >= 0 and (not found or (anchor[0] > found[-1][0] and anchor[1] > found[-1][1])):
            found.append(anchor)
    try:
        return TimeMap(tuple(found))
    except ValueError as error:
        raise UnbakeError(f"with this pitch {error}", remedy="choose a smaller pitch or a gentler map") from error
