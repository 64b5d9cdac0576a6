"""Ensembles: TOML files that say which models make which stem, and how their estimates become one.

    name = "two-voices"
    about = "..."

    [[take]]                    # one stem of the result
    stem = "vocals"
    combine = "mean"            # mean, median, quietest, loudest or bands
    [[take.from]]
    model = "some-vocal-model"
    weight = 2.0
    [[take.from]]
    model = "some-instrumental-model"
    stem = "residual"           # what its stems leave of the mix

    [[take]]                    # made from that stem instead of the mix
    of = "vocals"
    stem = "vocals-dry"
    [[take.from]]
    model = "some-dereverb-model"
    stem = "dry"

The built-in ones lie in `models/ensembles`, the user's own in `ensembles` below `UNBAKE_HOME`. What an ensemble does to
sound is the business of `core.separation.together`.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from core import places
from core.errors import UnbakeError
from core.separation.assemble import RESIDUAL
from core.separation.variant import Variant
from core.session import toml
from models import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

Combine = Literal["mean", "median", "quietest", "loudest", "bands"]
STEM_NAME = r"[A-Za-z0-9][A-Za-z0-9 _-]*"
SHIFT_SECONDS = 0.5
"""Shifted variants are spread over so much time, as Demucs does with its random ones."""


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model's estimate of a stem.

    `stem` is the model's own name for it ("" for the take's), or "residual". `weight` counts in a mean; `from_hz` is
    where a band begins. `overlap` is in passes (None: what is asked for, else the ensemble's). The model
    hears the mix `shifts` times, each a little later, and if asked so with its polarity inverted and its channels
    swapped too; the mean of all is its estimate (test-time augmentation).
    """

    model: str
    stem: str = ""
    weight: Annotated[float, Meta(gt=0.0, le=1000.0)] = 1.0
    from_hz: Annotated[float, Meta(ge=0.0, le=192_000.0)] = 0.0
    overlap: Annotated[float, Meta(ge=1.25, le=16.0)] | None = None
    shifts: Annotated[int, Meta(ge=1, le=8)] = 1
    invert: bool = False
    swap: bool = False

    def variants(self, sample_rate: int) -> list[Variant]:
        """The ways in which the model hears the mix; `sample_rate` is the network's, in Hz."""
        # a shift by whole hops of a network's spectra would teach nothing: an odd number of frames is none
        step = round(SHIFT_SECONDS * sample_rate / self.shifts) | 1
        return [
            Variant(step * number, inverted, swapped)
            for number in range(self.shifts)
            for inverted in ((False, True) if self.invert else (False,))
            for swapped in ((False, True) if self.swap else (False,))
        ]


class Take(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stem, made of what one or more models give.

    `of` is the stem it is made from, "" for the mix. A stem from which others are made is not in the result: what they
    leave of it is, under the name `rest` ("" for NAME-rest).
    """

    stem: Annotated[str, Meta(pattern=rf"^{STEM_NAME}$")]
    members: Annotated[tuple[Member, ...], Meta(min_length=1)] = msgspec.field(name="from")
    combine: Combine = "mean"
    of: str = ""
    rest: Annotated[str, Meta(pattern=rf"^({STEM_NAME})?$")] = ""


class Ensemble(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several models that work together under one name."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    about: str
    takes: Annotated[tuple[Take, ...], Meta(min_length=1)] = msgspec.field(name="take")
    overlap: Annotated[float, Meta(ge=1.25, le=16.0)] = 2.0

    def parts_of(self, stem: str) -> tuple[Take, ...]:
        """The takes made from a stem ("" for the mix)."""
        return tuple(take for take in self.takes if take.of == stem)

    def depth_of(self, take: Take) -> int:
        """0 for a take made from the mix, else one more than that of the take it is made from."""
        parents = [other for other in self.takes if other.stem == take.of]
        return 1 + self.depth_of(parents[0]) if parents else 0

    def rest_of(self, take: Take) -> str:
        """The name of what is left of a take when its parts are taken out; "" when it has none."""
        return (take.rest or f"{take.stem}-rest") if self.parts_of(take.stem) else ""

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems of the result, in the order of the takes."""
        return tuple(self.rest_of(take) or take.stem for take in self.takes)

    @property
    def models(self) -> tuple[str, ...]:
        """The models it takes, each once."""
        return tuple(dict.fromkeys(member.model for take in self.takes for member in take.members))

    def version(self, networks: Sequence[str]) -> str:
        """Changes whenever the samples it gives could change; `networks` are the versions of its models."""
        pinned = msgspec.json.encode((self.takes, networks), order="deterministic")
        return f"ensemble-{VERSION}-{hashlib.sha256(pinned).hexdigest()[:16]}"


VERSION = 1
"""Raised whenever the way estimates are combined changes the samples."""


def parse(text: str, where: str) -> Ensemble:
    """An ensemble from its TOML. Raises UnbakeError naming file, line and key."""
    origin = toml.Origin(where, text)
    ensemble = origin.convert(toml.parse(text, where), Ensemble)
    for number, take in enumerate(ensemble.takes):
        check_take(ensemble, number, take, origin)
    names = [*ensemble.stems]
    for name in names:
        if name == RESIDUAL or names.count(name) > 1:
            origin.fail(f'"{name}" can\'t be the name of two stems, nor of what no stem holds', ("take",))
    return ensemble


def check_take(ensemble: Ensemble, number: int, take: Take, origin: toml.Origin) -> None:
    """Refuses what a take says and can't mean."""
    before = [other.stem for other in ensemble.takes[:number]]
    if take.stem in before:
        origin.fail(f'a take before this one is called "{take.stem}" too', ("take", number, "stem"))
    if take.of and take.of not in before:
        origin.fail(f'no take before this one makes "{take.of}"', ("take", number, "of"))
    if take.rest and not ensemble.parts_of(take.stem):
        origin.fail("nothing is made from this stem, so nothing is left of it", ("take", number, "rest"))
    edges = [member.from_hz for member in take.members]
    for place, member in enumerate(take.members):
        if member.weight != 1.0 and take.combine != "mean":
            origin.fail("only a mean has weights", ("take", number, "from", place, "weight"))
        if member.from_hz and take.combine != "bands":
            origin.fail('only combine = "bands" has bands', ("take", number, "from", place, "from_hz"))
    if take.combine == "bands" and (edges[0] != 0.0 or edges != sorted(set(edges))):
        origin.fail("bands begin at 0 Hz and rise", ("take", number, "from", 0, "from_hz"))


def check_stems(ensemble: Ensemble, where: str) -> None:
    """Refuses a stem that a model doesn't give, of the models that there are cards of."""
    cards = registry.cards()
    for take in ensemble.takes:
        for member in take.members:
            stem, card = member.stem or take.stem, cards.get(member.model)
            if card is not None and stem not in (*card.stems, RESIDUAL):
                what = f'take {take.stem}: the model {card.name} has no stem "{stem}"'
                raise UnbakeError(what, where=where, remedy=f"it has: {', '.join(card.stems)}")


def read(path: Path) -> Ensemble:
    """An ensemble from a file of the user's."""
    return parse(toml.read_text(path), str(path))


def all_ensembles() -> tuple[dict[str, Ensemble], list[str]]:
    """The ensembles that ship with unbake and the user's own, by name; and what is wrong with each that can't be read.

    The user's own replace built-in ones of the same name; one that is called as a model is, is none.
    """
    found: dict[str, Ensemble] = {}
    broken: list[str] = []
    built_in = resources.files("models") / "ensembles"
    for entry in sorted((entry for entry in built_in.iterdir() if entry.name.endswith(".toml")), key=str):
        ensemble = parse(entry.read_text(encoding="utf-8"), f"models/ensembles/{entry.name}")
        found[ensemble.name] = ensemble
    folder = places.home() / "ensembles"
    cards = registry.cards()
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        try:
            ensemble = read(path)
            if ensemble.name in cards:
                raise UnbakeError("a model has this name already", where=path, remedy="choose another name")
            check_stems(ensemble, str(path))
            found[ensemble.name] = ensemble
        except UnbakeError as error:
            broken.append(error.line())
    return found, broken


def find(name: str) -> Ensemble | None:
    """The ensemble of that name, None when there is none; a broken file that is called so is an error."""
    found, broken = all_ensembles()
    for problem in broken:
        if name not in found and re.search(rf"[/\\]{re.escape(name)}\.toml\b", problem):
            raise UnbakeError(problem)
    return found.get(name)
