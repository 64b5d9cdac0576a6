"""Sensitivity: how much of what a network was unsure of a stem keeps, from 0 to 10; 5 is the network's own answer.

Below 5 a stem takes in a part of everything else where it is weak: bleed, and with it fewer holes and less of the
watery sound of a mask that opens and shuts. Above 5 it gives away a part of itself where it is weak: less bleed, and
more of that sound. What leaves one stem goes to the others, the residual among them, so the sum stays the source.

How weak a stem is, in a bin of a spectrum, is said by two masks of its magnitude a against that of all the rest, b:
`m(p) = a^p / (a^p + b^p)`, the generalised Wiener filters of A. Liutkus and R. Badeau ("Generalized Wiener filtering
with fractional power spectrograms", ICASSP 2015), with p = 4^((sensitivity - 5) / 5): 1/4 at 0, 1 at 5, 4 at 10, where
it comes near a binary mask (O. Yilmaz and S. Rickard, IEEE TSP 52(7), 2004). A stem below 5 takes
`max(0, (m(p) - m(1)) / (1 - m(1)))` of every other part, one above 5 gives away `max(0, 1 - m(p) / m(1))` of itself,
to the others by their magnitudes. Where all parts have the network's answer that is nothing, so it stays whole.
"""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from core.audio.hashes import check_unchanged, fingerprint
from core.audio.probe import probe
from core.errors import UnbakeError
from core.separation.assemble import RESIDUAL, file_tracks
from core.separation.combine import Spectral
from core.separation.layout import groups_of
from core.separation.separate import describe, put, reuse_or_make, stored_bytes
from core.separation.store import Recipe, StemSet, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from core.events import Operation
    from core.separation.assemble import Track
    from core.separation.layout import Group

NEUTRAL = 5.0
LOWEST, HIGHEST = 0.0, 10.0
VERSION = "masks-1"
"""Raised whenever other samples come out; it is part of the key of every set that is made here."""
SECONDS = 4096 / 44_100
"""Length of a spectrum, taken to the next power of two in frames."""
FRAMES_AT_ONCE = 16_384
_NOTHING = 1e-30
"""Added where a sum of magnitudes may be nothing: far under what 32-bit floats hold of audio."""


def effective(levels: Mapping[str, float]) -> dict[str, float]:
    """The sensitivities that change anything, by stem in alphabetical order."""
    return {name: float(levels[name]) for name in sorted(levels) if levels[name] != NEUTRAL}


def recipe_of(base: Recipe, levels: Mapping[str, float]) -> Recipe:
    """What decides the samples of stems made from those of `base`; `base` itself where nothing changes.

    Raises UnbakeError naming `sensitivity.STEM` for a stem that `base` does not have and a level outside 0 to 10.
    """
    for name, level in levels.items():
        where = f"separation.sensitivity.{name}"
        if name not in base.stems:
            what = f'there is no stem "{name}" to have a sensitivity'
            raise UnbakeError(what, where=where, remedy=f"there are: {', '.join(base.stems)}")
        if not LOWEST <= level <= HIGHEST:
            raise UnbakeError(f"is {level:g}, outside {LOWEST:g} to {HIGHEST:g}", where=where)
    heard = effective(levels)
    if not heard:
        return base
    said = ", ".join(f"{name} {level!r}" for name, level in heard.items())
    return msgspec.structs.replace(base, sensitivity=f"{said} ({VERSION})")


def applied(source: Path, base: StemSet, levels: Mapping[str, float], store: Store | None = None) -> Operation[StemSet]:
    """The stems of a set in the store at other sensitivities, out of the store or made now; the set itself at 5.

    Yields Progress of "writing stems" and "checking stems". Closing it leaves nothing behind. Raises UnbakeError as
    `recipe_of` does, for a source that changes meanwhile, and a store without room.
    """
    store = store or Store()
    recipe = recipe_of(store.recipe_of(base), levels)
    if not recipe.sensitivity:
        return base
    return (yield from reuse_or_make(recipe, store, lambda: _make(source, base, recipe, effective(levels), store)))


def _make(source: Path, base: StemSet, recipe: Recipe, levels: Mapping[str, float], store: Store) -> Operation[StemSet]:
    """Makes the set. The caller holds the lock of its recipe."""
    before = fingerprint(source)
    info = probe(source)
    folder = store.partial_folder(recipe.key())
    files = {**{name: Path(path) for name, path in base.stems.items()}, RESIDUAL: Path(base.residual)}
    try:
        describe(folder, info, recipe)
        store.check_room(stored_bytes(info, len(base.stems)))
        tracks = functools.partial(respread, files, levels, groups_of(info.speakers), info.sample_rate)
        return (
            yield from put(
                recipe,
                info,
                tracks,
                store,
                lambda: check_unchanged(source, before),
                device=base.device,
                computed_by=f"sensitivity, from {Path(base.folder).name}",
                notes=base.notes,
            )
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def respread(
    files: Mapping[str, Path], levels: Mapping[str, float], groups: Sequence[Group], sample_rate: int
) -> Iterator[Mapping[str, Track]]:
    """The stems of a set at other sensitivities as tracks, from its files, the residual last among them."""
    size = 1 << max(8, round(math.log2(SECONDS * sample_rate)))
    names = [name for name in files if name != RESIDUAL]
    powers = [4.0 ** ((levels.get(name, NEUTRAL) - NEUTRAL) / NEUTRAL) for name in names]
    channels = [list(group.channels) for group in groups]

    def change(spectra: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return changes(spectra, powers, channels).reshape(-1, *spectra.shape[2:])

    with contextlib.ExitStack() as stack:
        heard = stack.enter_context(file_tracks(files))
        own = stack.enter_context(file_tracks({name: files[name] for name in names}))
        together = Together(Spectral(list(heard.values()), change, size=size), len(names))
        yield {name: Changed(own[name], together, place) for place, name in enumerate(names)}


def changes(
    spectra: NDArray[np.complex128], powers: Sequence[float], groups: Sequence[Sequence[int]]
) -> NDArray[np.complex128]:
    """What is to be added to stems, from the spectra of all parts, the residual last.

    Takes complex128 [parts, channels, spectra, bins], gives the same without the last part. `powers` are the exponents
    of the stems. The channels of a group have their magnitudes in common, so that nothing moves between them; a channel
    of no group stays as it is.
    """
    added = np.zeros((len(powers), *spectra.shape[1:]), np.complex128)
    for group in groups:
        parts = spectra[:, list(group)]
        magnitudes = np.sqrt(np.sum(parts.real**2 + parts.imag**2, axis=1))
        flows = _flows(parts, magnitudes, powers)
        # A part can give away no more than it is, though several may ask for it.
        given = 1.0 / np.maximum(1.0, flows.sum(axis=0))
        moved = flows * given
        for stem in range(len(powers)):
            gained = np.einsum("psb,pcsb->csb", moved[stem], parts)
            added[stem, list(group)] = gained - moved[:, stem].sum(axis=0) * parts[stem]
    return added


def _flows(
    parts: NDArray[np.complex128], magnitudes: NDArray[np.float64], powers: Sequence[float]
) -> NDArray[np.float64]:
    """Which share of every part goes to which: [to, from, spectra, bins]."""
    flows = np.zeros((len(parts), *magnitudes.shape))
    whole = parts.sum(axis=0)
    for stem, power in enumerate(powers):
        if power == 1.0:
            continue
        rest = whole - parts[stem]
        own, other = magnitudes[stem], np.sqrt(np.sum(rest.real**2 + rest.imag**2, axis=0))
        louder = np.maximum(own, other) + _NOTHING
        own, other = own / louder, other / louder  # powers of what is near 1 neither vanish nor overflow
        first = own / (own + other + _NOTHING)
        mask = own**power / (own**power + other**power + _NOTHING)
        others = [place for place in range(len(parts)) if place != stem]
        if power < 1.0:
            flows[stem, others] += np.maximum(0.0, (mask - first) / (1.0 - first + _NOTHING))
        else:
            leaving = np.maximum(0.0, 1.0 - mask / (first + _NOTHING)) * (own > 0.0)
            shares = magnitudes[others] / (magnitudes[others].sum(axis=0) + _NOTHING)
            shares[-1] += 1.0 - shares.sum(axis=0)  # where all others are silent the residual takes it
            flows[others, stem] += leaving * shares
    return flows


class Together:
    """Several stems that come out of one stream of spectra, each read by itself, all by the same number of frames."""

    def __init__(self, spectral: Spectral, stems: int) -> None:
        self._spectral, self._stems = spectral, stems
        self._waiting: list[deque[NDArray[np.float32]]] = [deque() for _ in range(stems)]

    def read(self, place: int, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames of one of them, float32 [channels, frames]; ValueError for another number."""
        if not self._waiting[place]:
            parts = [self._spectral.read(min(FRAMES_AT_ONCE, frames - at)) for at in range(0, frames, FRAMES_AT_ONCE)]
            block = np.concatenate(parts, axis=1)
            for waiting, stem in zip(self._waiting, np.split(block, self._stems), strict=True):
                waiting.append(stem)
        found = self._waiting[place].popleft()
        if found.shape[1] != frames:
            raise ValueError(f"{found.shape[1]} frames were read of another stem, and {frames} of this one")
        return found


class Changed:
    """A stem with what goes to it and from it: where that is nothing, its very samples."""

    def __init__(self, own: Track, together: Together, place: int) -> None:
        self._own, self._together, self._place = own, together, place

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        return self._own.read(frames) + self._together.read(self._place, frames)
