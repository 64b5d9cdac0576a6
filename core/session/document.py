"""The session: one immutable value that says what was done to which file.

Units live in the names, ranges in the types, and every number is checked when a value is made. Reading and writing TOML
is `files`, laying presets over it `presets`, undo `history`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from core.session.cleaning import NOTHING, Step, is_removed, removed_name, taken_away, told, unpinned
from core.session.processors import (
    SHARE_STEPS,
    UNSAID,
    Checked,
    Dither,
    DynamicBell,
    FaderDb,
    Limiter,
    MasterProcessor,
    Processor,
    StripProcessor,
)
from core.session.timemap import StripWarp, TimeMap

SCHEMA = 1
RESIDUAL = "residual"
"""The strip of what no stem holds."""
TAKEN = frozenset({RESIDUAL, "master", "source", "repair", "difference", "a", "b", "n"})
"""What no stem that was brought can be called: other strips, and what can be listened to beside them."""

Balance = Annotated[
    float,
    Meta(
        ge=-1.0,
        le=1.0,
        title="pan",
        description="balance, 0 dB at the centre",
        extra={**SHARE_STEPS, "named": {0.0: "centre"}, "sides": ("left", "right")},
    ),
]
Polarity = Annotated[
    Literal[1, -1],
    Meta(
        title="polarity",
        description="inverted turns the stem upside down",
        extra={"unit": "", "named": {1: "normal", -1: "inverted"}},
    ),
]
Mode = Annotated[
    Literal["replace", "parallel", "cancel"],
    Meta(
        title="mode",
        description="replace repairs the stem, parallel adds it to the master, cancel takes it out",
        extra={"unit": ""},
    ),
]
Share = Annotated[
    float, Meta(ge=0.0, le=4.0, title="blend", description="share added by a parallel strip", extra=SHARE_STEPS)
]


Budget = Annotated[
    float,
    Meta(
        ge=0.0,
        le=1.0,
        title="budget",
        description="share of the change made where the stem estimate is uncertain; 100% is off",
        extra=SHARE_STEPS,
    ),
]
EqPhase = Annotated[
    Literal["minimum", "linear"],
    Meta(
        title="EQ phase",
        description="linear keeps the phase, and rings before a sound as well as after it",
        extra={"unit": ""},
    ),
]


Treated = Annotated[
    str,
    Meta(
        title="treated copy",
        description="a stem that was brought, which is heard in place of this one",
        extra={"unit": "", "named": {"": "none"}, "of_stems": True},
    ),
]


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """The master that is being repaired. Never opened for writing."""

    path: str
    sha256: str
    sample_rate: int
    channels: int
    frames: int
    container: str
    subtype: str


class Separation(Checked, frozen=True):
    """Which network or ensemble made the stems, how, and the SHA-256 of each stem file once there are any.

    `compiled` networks went through torch's compiler; like `precision` that decides the last bits. `stems_from` is the
    folder of stems made by another tool; `model` is then "external". `sensitivity` by stem goes from 0 (keeps bleed,
    few artefacts) to 10 (clean and watery); 5, that of a stem that is not named, is what the network gave.
    """

    model: str = "starter"
    stems: tuple[str, ...] = ()
    overlap: Annotated[float, Meta(ge=1.25, le=16.0, description="passes over the audio")] = 2.0
    precision: Annotated[
        Literal["fp32", "tf32", "bf16", "fp16"], Meta(description="how exactly the network reckons")
    ] = "fp32"
    compiled: bool = False
    stems_from: str | None = None
    align: bool = False
    sensitivity: dict[str, float] = msgspec.field(default_factory=dict)
    hashes: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for stem, level in self.sensitivity.items():
            if not 0.0 <= level <= 10.0:  # nor NaN
                raise ValueError(f"sensitivity.{stem} is {level:g}, outside 0 to 10")


class Brought(Checked, frozen=True):
    """A file of the engineer's that is a stem of this session: which, and how it lies in the source.

    What the source holds at its frame n is the file's frame n * (1 + drift_ppm / 1e6) + delay_samples, counted at the
    source's rate, turned over where `polarity` is -1, and `gain_db` louder. `sha256` is the file's, `hash` that of the
    stem made from it, once there is one.
    """

    path: str
    sha256: str
    delay_samples: Annotated[float, Meta(ge=-1e12, le=1e12, description="frames by which the file is late")] = 0.0
    drift_ppm: Annotated[float, Meta(ge=-1000.0, le=1000.0, description="how much too fast its clock ran")] = 0.0
    polarity: Polarity = 1
    gain_db: Annotated[float, Meta(ge=-120.0, le=120.0, description="from the file to the source")] = 0.0
    hash: str = ""

    @property
    def recipe(self) -> Brought:
        """What decides the samples of the stem: all but where the file lies, and the hash of what came of it."""
        return msgspec.structs.replace(self, path="", hash="")


class Strip(Checked, frozen=True):
    """What is done to one stem.

    `pan` is a balance from -1 (left only) to 1 (right only) with 0 dB at the centre. `mode` says what the processed
    stem does to the master (the design's delta formula), `blend` how much of it a `parallel` strip adds. `eq_phase` is
    that of every equaliser in the chain, all-passes aside. `budget` is the share of the change that reaches the master
    whatever the stem estimate is worth; the rest of it does so as far as the estimate is certain. `treated` is a stem
    that was brought, which the chain hears in place of the strip's own: what that holds is still what is taken out.
    `warp` is how what comes out of the chain is carried along the session's time map. `cleanup` is done to what the
    chain hears, before it.
    """

    gain_db: FaderDb = 0.0
    pan: Balance = 0.0
    polarity: Polarity = 1
    mode: Mode = "replace"
    blend: Share = 0.0
    eq_phase: EqPhase = "minimum"
    budget: Budget = 1.0
    treated: Treated = ""
    warp: StripWarp = "linked"
    cleanup: tuple[Step, ...] = ()
    chain: tuple[StripProcessor, ...] = ()

    @property
    def sidechains(self) -> tuple[str, ...]:
        """Stems that its processors listen to, its own aside, in the order of the chain."""
        heard = (each.sidechain for each in self.chain if isinstance(each, DynamicBell) and each.active)
        return tuple(dict.fromkeys(name for name in heard if name))

    @property
    def processed(self) -> bool:
        """Whether anything in the strip alters its stem, or puts another sound in its place."""
        fader_moved = self.gain_db != 0.0 or self.pan != 0.0 or self.polarity != 1
        cleaned = any(taken_away(self.cleanup, "a strip"))
        return fader_moved or cleaned or self.treated != "" or any(processor.active for processor in self.chain)

    @property
    def neutral(self) -> bool:
        """Whether the strip's delta is zero by its settings, so that it is left out of the sum altogether."""
        if self.mode == "replace":
            return not self.processed
        return self.mode == "parallel" and self.blend == 0.0


class Session(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole document. `rights` is free text of the engineer's, carried verbatim into every certificate.

    `cleanup` are the steps of the clean-up bench over the source, in order: networks hear all of them, the master
    those that say so.
    `warp` is where every frame of the source, repaired, goes: one map for the master and all stems.
    """

    source: Source
    schema: int = SCHEMA
    cleanup: tuple[Step, ...] = ()
    separation: Separation = Separation()
    brought: dict[str, Brought] = {}
    strips: dict[str, Strip] = {}
    warp: TimeMap = TimeMap()
    master: tuple[MasterProcessor, ...] = ()
    rights: dict[str, Any] = {}

    @property
    def strip_names(self) -> tuple[str, ...]:
        """Every strip that can be edited, the master stage aside: stems, residual, then the stems that were brought."""
        return (*self.separation.stems, RESIDUAL, *self.brought)

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the strips that change something, in the order of the strips."""
        return self._in_order(
            name for name, strip in self.strips.items() if not strip.neutral or self.warped_apart(name)
        )

    def warped_apart(self, name: str) -> bool:
        """Whether what comes out of a strip is carried along the time map by another engine than the master."""
        strip = self.strips.get(name, Strip())
        sounds = strip.mode == "replace" or (strip.mode == "parallel" and strip.blend != 0.0)
        return sounds and strip.warp != "linked" and not self.warp.identity

    @property
    def frames(self) -> int:
        """How many frames a render at the source's rate has."""
        return self.warp.length(self.source.frames)

    @property
    def unwarped(self) -> Session:
        """The same without its time map: in time with the source."""
        return msgspec.structs.replace(self, warp=TimeMap())

    @property
    def stems_used(self) -> tuple[str, ...]:
        """Names of the files that a render opens beside the source.

        Stems of the changed strips, those they listen to, treated copies, and what the clean-up took away.
        """
        running = {name: self.strips[name] for name in self.changed if self.strips[name].mode != "cancel"}
        treated = (strip.treated for strip in running.values() if strip.treated)
        sides = (side for strip in running.values() for side in strip.sidechains)
        cleaned = (name for strip in running for name in taken_away(running[strip].cleanup, strip))
        return self._in_order({*self.changed, *treated, *sides, *cleaned, *taken_away(self.cleanup)})

    def with_cleanup(self, steps: tuple[Step, ...]) -> Session:
        """The session with these steps of clean-up over the source, and without the hashes of all that hears otherwise.

        Stems are made anew where networks hear something else.
        """
        steps = unpinned(steps, self.cleanup)
        made = msgspec.structs.replace(self, cleanup=steps)
        if told(steps) != told(self.cleanup) and self.separation.stems_from is None:
            made = msgspec.structs.replace(made, separation=msgspec.structs.replace(self.separation, hashes={}))
        return made

    def needs_separation(self, names: Iterable[str]) -> bool:
        """Whether any of these stems is one that was not brought, and so has to come out of a separation."""
        return any(name not in self.brought and not is_removed(name) for name in names)

    @property
    def stem_hashes(self) -> dict[str, str]:
        """SHA-256 of every stem that there was once, by strip."""
        brought = {name: each.hash for name, each in self.brought.items() if each.hash}
        steps = [("", self.cleanup), *((name, strip.cleanup) for name, strip in self.strips.items())]
        removed = {
            removed_name(place, strip): step.hash
            for strip, chain in steps
            for place, step in enumerate(chain)
            if step.hash not in ("", NOTHING)
        }
        return {**self.separation.hashes, **brought, **removed}

    def _in_order(self, names: Iterable[str]) -> tuple[str, ...]:
        order = self.strip_names
        return tuple(sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name)))

    @property
    def master_active(self) -> tuple[Processor, ...]:
        """Master processors that alter the bus: all active ones but dither."""
        return tuple(p for p in self.master if p.active and not isinstance(p, Dither))

    @property
    def dither(self) -> Dither | None:
        """The explicit dither, bypassed or not; None leaves it to the automatic rule."""
        return next((p for p in reversed(self.master) if isinstance(p, Dither)), None)

    @property
    def untouched(self) -> bool:
        """Whether a render must be the source, sample for sample."""
        dithered = self.dither is not None and not self.dither.bypass
        edited = self.changed or self.master_active or dithered or taken_away(self.cleanup)
        return not edited and self.warp.identity


__all__ = [
    "RESIDUAL",
    "SCHEMA",
    "Brought",
    "Dither",
    "Limiter",
    "MasterProcessor",
    "Processor",
    "Separation",
    "Session",
    "Source",
    "Strip",
    "StripProcessor",
]


def audible_key(session: Session) -> bytes:
    """What decides the samples of a render, as bytes: equal for sessions that must sound the same.

    Leaves out paths and rights, so that a session moved to another folder gives the same dither, and fields that say
    nothing by default, so that it does so whether or not it was written before there were such fields; and hashes.
    """
    strips = {name: session.strips[name] for name in session.changed}
    parts: tuple[Any, ...] = (session.source.sha256, strips, session.master)
    if not session.warp.identity:
        parts = (*parts, session.warp)
    if cleaned := [session.cleanup[int(name.rpartition("/")[2])] for name in taken_away(session.cleanup)]:
        parts = (*parts, cleaned)
    plain = msgspec.json.decode(msgspec.json.encode(parts, order="deterministic"))
    return msgspec.json.encode(_without_unsaid(plain))


def _without_unsaid(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: item if key == "parameters" else _without_unsaid(item)
            for key, item in value.items()
            if key != "hash" and (key not in UNSAID or item != UNSAID[key])
        }
    return [_without_unsaid(item) for item in value] if isinstance(value, list) else value
