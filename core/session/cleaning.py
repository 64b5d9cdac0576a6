"""Steps of the clean-up bench as data: what each may be told, one class for each `type` that `[[cleanup]]` may name.

What they do to sound lives in `core.cleanup`. A figure that is 0 where `named` calls that "found" is measured in the
file each time. Fields are annotated as those of `core.session.processors` are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from core.session.processors import DB_STEPS, SHARE_STEPS, Processor

Apply = Literal["separation", "master"]
NOTHING = "nothing"
"""Stands in the place of a hash where a step took nothing away."""

Sensitivity = Annotated[
    float,
    Meta(
        ge=0.0,
        le=10.0,
        title="sensitivity",
        description="higher finds more, and is wrong more often",
        extra={"unit": "", "fine": 0.5, "coarse": 2.0, "decimals": 1},
    ),
]
Seconds = Annotated[
    float, Meta(ge=0.0, le=1e6, extra={"unit": "s", "fine": 0.01, "coarse": 1.0, "named": {0.0: "found"}})
]


class CleanupStep(Processor, frozen=True, kw_only=True):
    """One step of the clean-up. What it takes away is scaled by `strength` and subtracted from what it was given.

    `apply` is who hears the outcome: only the networks, or the master too. Steps of the master hear those of the
    master before them, networks hear all. On the clean-up of a strip it says nothing: its chain hears all of them.
    `hash` is the SHA-256 of what was taken away at full strength, "nothing" where the step found nothing to do, and
    empty before it was carried out.
    """

    strength: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            title="strength",
            description="share of what was found that is taken away",
            extra=SHARE_STEPS,
        ),
    ] = 1.0
    apply: Annotated[
        Apply,
        Meta(
            title="heard by",
            description="the networks only, or the master as well",
            extra={"unit": "", "named": {"separation": "the networks", "master": "the master"}},
        ),
    ] = "separation"
    hash: str = ""

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.strength == 0.0


class Declip(CleanupStep, frozen=True, tag="declip", kw_only=True):
    """Puts back the peaks that were cut off, as every sample that was not foretells them."""

    level_dbfs: Annotated[
        float,
        Meta(
            ge=-60.0,
            le=0.0,
            title="clip level",
            description="samples at it and over it are made anew",
            extra={"unit": "dBFS", "fine": 0.1, "coarse": 1.0, "named": {0.0: "found"}},
        ),
    ] = 0.0


class Declick(CleanupStep, frozen=True, tag="declick", kw_only=True):
    """Takes out clicks one by one, and fills the gap from the sound around it (AR interpolation)."""

    sensitivity: Sensitivity = 5.0
    longest_ms: Annotated[
        float,
        Meta(
            ge=0.02,
            le=20.0,
            title="longest",
            description="what lasts longer is no click",
            extra={"unit": "ms", "scale": "log", "fine": 1 / 12, "coarse": 1 / 2},
        ),
    ] = 2.5


class Decrackle(CleanupStep, frozen=True, tag="decrackle", kw_only=True):
    """Takes out dense small ticks, such as those of a worn record."""

    sensitivity: Sensitivity = 5.0


class Dehum(CleanupStep, frozen=True, tag="dehum", kw_only=True):
    """Takes out mains hum and its harmonics, followed as they drift."""

    freq_hz: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1000.0,
            title="frequency",
            description="of the fundamental; one that is given is taken out even where it might be music",
            extra={"unit": "Hz", "fine": 0.01, "coarse": 1.0, "named": {0.0: "found"}},
        ),
    ] = 0.0
    up_to_hz: Annotated[
        float,
        Meta(
            ge=40.0,
            le=20_000.0,
            title="up to",
            description="harmonics above it are left alone",
            extra={"unit": "Hz", "scale": "log", "fine": 1 / 24, "coarse": 1 / 3},
        ),
    ] = 4000.0
    method: Annotated[
        Literal["subtract", "notch"],
        Meta(
            title="method",
            description="sinusoids that are followed and subtracted, or zero-phase notches, which take music as well",
            extra={"unit": ""},
        ),
    ] = "subtract"


class Denoise(CleanupStep, frozen=True, tag="denoise", kw_only=True):
    """Turns down steady noise, band by band, by what is known of it from quiet passages or a stretch that is named."""

    reduction_db: Annotated[
        float,
        Meta(
            ge=0.0,
            le=60.0,
            title="reduction",
            description="the most that noise is turned down",
            extra={**DB_STEPS, "fine": 0.5},
        ),
    ] = 20.0
    from_seconds: Annotated[Seconds, Meta(title="noise from", description="where nothing but noise is heard")] = 0.0
    to_seconds: Annotated[Seconds, Meta(title="to", description="the end of that stretch")] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.from_seconds or self.to_seconds) and self.to_seconds <= self.from_seconds:
            raise ValueError(f"to_seconds is {self.to_seconds:g}, not after from_seconds, {self.from_seconds:g}")


class Deecho(CleanupStep, frozen=True, tag="deecho", kw_only=True):
    """Takes out a distinct early reflection: the inverse of a comb."""

    delay_ms: Annotated[
        float,
        Meta(
            ge=0.0,
            le=500.0,
            title="delay",
            description="of the reflection",
            extra={"unit": "ms", "fine": 0.01, "coarse": 1.0, "named": {0.0: "found"}},
        ),
    ] = 0.0
    level_db: Annotated[
        float,
        Meta(
            ge=-60.0,
            le=0.0,
            title="level",
            description="of the reflection under the direct sound",
            extra={**DB_STEPS, "named": {0.0: "found"}},
        ),
    ] = 0.0


class Dereverb(CleanupStep, frozen=True, tag="dereverb", kw_only=True):
    """Takes the room's tail away: weighted prediction error, then suppression of what is left of the late tail."""

    reduction_db: Annotated[
        float,
        Meta(
            ge=0.0,
            le=40.0,
            title="tail",
            description="the most that the late tail is turned down after the prediction",
            extra={**DB_STEPS, "fine": 0.5},
        ),
    ] = 10.0
    rt60_s: Annotated[
        float,
        Meta(
            ge=0.0,
            le=10.0,
            title="RT60",
            description="the room's reverberation time",
            extra={"unit": "s", "fine": 0.05, "coarse": 0.5, "named": {0.0: "found"}},
        ),
    ] = 0.0


class NetworkStep(CleanupStep, frozen=True, tag="network", kw_only=True):
    """A network that cleans (de-reverb, de-noise, crowd ...): what is heard on is one of its stems."""

    model: Annotated[
        str,
        Meta(title="model", description="a card, as `unbake models list` names them", extra={"unit": "", "start": ""}),
    ]
    stem: Annotated[
        str,
        Meta(
            title="keeps",
            description="the stem that is heard on",
            extra={"unit": "", "named": {"": "the clean one"}},
        ),
    ] = ""

    @property
    def neutral(self) -> bool:  # noqa: D102
        return self.strength == 0.0 or not self.model


Step = Declip | Declick | Decrackle | Dehum | Denoise | Deecho | Dereverb | NetworkStep
"""Any step, in the order in which steps are proposed."""


def removed_name(place: int, strip: str = "") -> str:
    """What the file is called of what a step took away, among the stems of a session: no stem's name has a slash."""
    return f"{strip}/cleanup/{place}" if strip else f"cleanup/{place}"


def is_removed(name: str) -> bool:
    """Whether a name among the stems of a session is that of what a step took away."""
    return "/" in name


def taken_away(steps: Sequence[CleanupStep], strip: str = "") -> dict[str, float]:
    """What is subtracted for the sake of `steps`: shares by the names of files.

    What is known to be nothing is left out, and of the session's own steps what only networks hear.
    """
    return {
        removed_name(place, strip): step.strength
        for place, step in enumerate(steps)
        if step.active and step.hash != NOTHING and (strip or step.apply == "master")
    }


def told(steps: Sequence[CleanupStep]) -> list[CleanupStep]:
    """All that decides what is heard behind steps: the active ones, whoever hears them."""
    return [msgspec.structs.replace(step, hash="", apply="separation") for step in steps if step.active]


def unpinned(steps: Sequence[Step], before: Sequence[Step]) -> tuple[Step, ...]:
    """Steps without the hashes of those that hear or do something else than `before`."""
    same, kept = True, []
    for place, step in enumerate(steps):
        past = before[place] if place < len(before) else None
        # its own strength scales what was taken away, and changes what those behind it hear
        alike = past is not None and msgspec.structs.replace(past, strength=step.strength, hash=step.hash) == step
        same = same and alike
        kept.append(step if same else msgspec.structs.replace(step, hash=""))
        same = same and past is not None and past.strength == step.strength
    return tuple(kept)


def step_kinds() -> dict[str, type[CleanupStep]]:
    """Every class of step by the name that sessions give it, in the order in which steps are proposed."""
    return {str(kind.__struct_config__.tag): kind for kind in get_args(Step)}
