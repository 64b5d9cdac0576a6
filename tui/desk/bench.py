"""The desk's state: what is open, where the engineer is in it, and what is known of it.

Only the desk's own handlers change it; widgets are told what to draw, and worker threads post messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core.audition.messages import Heard, Opened, Outlets
from core.errors import UnbakeError
from core.jobs.opening import Located
from core.measure.inspect import FileReport
from core.measure.overview import Overview
from core.recombine.check import SessionCheck
from core.session.cleaning import CleanupStep, is_removed, told
from core.session.document import RESIDUAL, Brought, Separation, Session, Strip
from core.session.editor import Editor
from core.session.edits import MASTER, Change
from core.session.parameters import Parameter, among, parameters_of
from core.session.processors import EqualiserBand, Placement, Processor
from tui.desk import taken
from tui.desk.taken import Removed, Taken
from tui.desk.timeline import Timeline

if TYPE_CHECKING:
    from core.cleanup.cleaner import Finding
    from core.diagnosis.findings import Diagnosis
    from core.handover.certificate import Certificate
    from core.jobs.operations import SessionRender
    from core.jobs.warp_editor import Rhythm


class Fader(NamedTuple):
    """A row of the chain pane: a value of the strip itself."""

    name: str


class Insert(NamedTuple):
    """A row of the chain pane: a processor."""

    place: int


class Value(NamedTuple):
    """A row of the chain pane: a parameter of a processor."""

    place: int
    name: str


RowKey = Fader | Insert | Value


@dataclass
class Bench:
    """Everything the desk shows. Without an editor nothing can be changed yet."""

    located: Located | None = None
    editor: Editor | None = None
    not_opened: UnbakeError | None = None
    read_only: bool = False
    why_read_only: str = ""
    off_disk: bool = False
    """Whether there are edits that the journal could not take."""
    source_problem: UnbakeError | None = None
    """What is wrong with the master's file since the session was made on it."""
    timeline: Timeline = field(default_factory=lambda: Timeline(0, 44_100))
    strip: str = ""
    row: RowKey = field(default_factory=lambda: Fader("gain_db"))
    open_insert: int | None = None
    """The processor whose parameters are shown below it."""
    stems: dict[str, Path] = field(default_factory=dict)
    stems_of: StemRecipe | None = None
    """What made the stems that are shown, or what the store was asked for where there are none."""
    brought: dict[str, Path] = field(default_factory=dict)
    """Files of the stems that were brought, as they lie on the source."""
    brought_of: dict[str, Brought] = field(default_factory=dict)
    """What those were made of, or are being made of."""
    removed: dict[str, Removed] = field(default_factory=dict)
    """What a render subtracts for the clean-up, by `removed_name`."""
    taken: dict[str, Taken] = field(default_factory=dict)
    """What the steps of the clean-up were found to take away when all of them were carried out, by `removed_name`."""
    damage: dict[str, tuple[Path, list[Finding]]] = field(default_factory=dict)
    """What was found to be wrong with the source ("") or with stems, and the file that it was found in."""
    cleaning: bool = False
    finding_damage: bool = False
    stem_sum_dbfs: float | None = None
    overviews: dict[str, Overview] = field(default_factory=dict)
    report: FileReport | None = None
    measuring: bool = False
    check: SessionCheck | None = None
    checking: bool = False
    rendered: SessionRender | None = None
    """The last render of this session since it was opened, with what proves its file."""
    diagnosis: Diagnosis | None = None
    """Of the stems that are shown: it stays while they do."""
    diagnosing: bool = False
    rhythm: Rhythm | None = None
    """The beats of the source once they were looked for, as they were put right since."""
    finding_beats: bool = False
    last_change: Repeat | None = None
    spectrogram: bool = False
    heard: Heard = field(default_factory=Heard)
    """What the player says that it plays."""
    outlet: Opened | None = None
    """The way that sound goes; None until something was played."""
    cards: Outlets | None = None
    """The sound cards that the player found, once it was asked."""
    solo: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()
    """What is listened to and what is not: for the ears only, never rendered."""

    @property
    def session(self) -> Session | None:
        """The document as it stands."""
        return None if self.editor is None else self.editor.session

    @property
    def sounding(self) -> Session | None:
        """The document with the outcome of its clean-up as far as it is known, whether or not that is pinned."""
        session = self.session
        known = {name: each.hash for name, each in self.removed.items()}
        return None if session is None else taken.with_hashes(session, known)

    @property
    def recipe(self) -> StemRecipe | None:
        """What makes the stems of the document as it stands."""
        return None if self.session is None else recipe(self.session)

    @property
    def names(self) -> tuple[str, ...]:
        """The strips in the order of the lanes, master stage last."""
        session = self.session
        if session is None:
            return ()
        return (*session.strip_names, MASTER)

    @property
    def strip_value(self) -> Strip:
        """The chosen strip; the master stage is a strip without a fader."""
        session = self.session
        if session is None:
            return Strip()
        return session.strips.get(self.strip, Strip())

    @property
    def chain(self) -> Sequence[Processor]:
        """The processors of the chosen strip, or of the master stage."""
        session = self.session
        if session is None:
            return ()
        return session.master if self.strip == MASTER else self.strip_value.chain

    def parameters(self, processor: Processor) -> list[Parameter]:
        """What can be set on a processor of the chosen chain, `bypass` aside; the stems it may listen to by name."""
        others = [] if self.strip == MASTER else [name for name in self.names if name not in (self.strip, MASTER)]

        def named(parameter: Parameter) -> Parameter:
            set_to = getattr(processor, parameter.name)
            return among(parameter, others if set_to in ("", *others) else [*others, set_to])

        every = (each for each in parameters_of(type(processor)) if each.name != "bypass")
        return [named(each) if each.of_stems else each for each in every]

    @property
    def sample_rate(self) -> int:
        """Hz of the source."""
        return self.timeline.sample_rate

    @property
    def equalisers(self) -> list[EqualiserBand]:
        """The equalisers of the chosen chain that one sound goes through, in order.

        Those on all channels, and where some act on a part (the mid, the side ...) those on the part of the chosen one,
        or of the first.
        """
        chosen = [] if self.chosen is None else [self.chosen]
        return bands_of(self.chain, part_of((*chosen, *self.chain)))

    @property
    def place(self) -> int | None:
        """The place of the chosen processor in the chain; None where a value of the strip is chosen."""
        place = self.row.place if isinstance(self.row, (Insert, Value)) else None
        return place if place is not None and place < len(self.chain) else None

    @property
    def chosen(self) -> Processor | None:
        """The chosen processor."""
        return None if self.place is None else self.chain[self.place]

    @property
    def untouched(self) -> bool:
        """Whether this is a new session without an edit, of which there is nothing on the disk yet."""
        editor = self.editor
        return editor is not None and editor.present.parent is None and not editor.path.exists()

    @property
    def certificate(self) -> Certificate | None:
        """That of the last render."""
        return None if self.rendered is None else self.rendered.certificate

    @property
    def edited_since_render(self) -> bool:
        """Whether a render would be another than the last one was, hashes of stems aside."""
        now = self.session
        return now is not None and self.rendered is not None and _bare(now) != _bare(self.rendered.session)

    @property
    def needs_stems(self) -> bool:
        """Whether a render needs what is not there yet: the stem of a changed strip, or what a clean-up takes away."""
        return bool(self._missing)

    @property
    def needs_cleanup(self) -> bool:
        """Whether nothing but clean-up that was not carried out yet is missing for a render."""
        return bool(self._missing) and all(map(is_removed, self._missing))

    @property
    def _missing(self) -> list[str]:
        session = self.sounding
        return [] if session is None else [name for name in session.stems_used if name not in self.sounds]

    @property
    def own_sounds(self) -> dict[str, Path]:
        """The files of all stems that are there, by strip: of the separation, and those that were brought."""
        return {**self.stems, **self.brought}

    @property
    def sounds(self) -> dict[str, Path]:
        """All files that a render may open beside the source: stems, and what the clean-up takes away."""
        removed = {name: each.path for name, each in self.removed.items() if each.path is not None}
        return {**self.own_sounds, **removed}

    @property
    def strip_parameters(self) -> list[Parameter]:
        """What can be set on the chosen strip, its treated copy among the stems that were brought.

        How it is warped can be set where there is a time map.
        """
        session = self.session
        others = [] if session is None else [name for name in session.brought if name != self.strip]
        warped = session is not None and not session.warp.identity
        every = [each for each in parameters_of(Strip) if each.name != "warp" or warped or self._warps_apart]
        return [among(each, others) if each.of_stems else each for each in every]

    @property
    def _warps_apart(self) -> bool:
        """Whether the chosen strip would be warped by itself."""
        return self.strip_value.warp != "linked"


def part_of(processors: Iterable[Processor]) -> Placement:
    """What the first equaliser among processors acts on."""
    for band in processors:
        if isinstance(band, EqualiserBand):
            return band.placement
    return "all"


def bands_of(chain: Iterable[Processor], part: Placement) -> list[EqualiserBand]:
    """The equalisers of a chain that the sound of a part goes through."""
    return [band for band in chain if isinstance(band, EqualiserBand) and band.placement in ("all", part)]


def _bare(session: Session) -> Session:
    """A session without the hashes of what was made for it."""
    brought = {name: each.recipe for name, each in session.brought.items()}
    separation = msgspec.structs.replace(session.separation, hashes={})
    return msgspec.structs.replace(taken.bare_session(session), separation=separation, brought=brought)


class StemRecipe(NamedTuple):
    """What makes the stems of a session: the separation without hashes, and the clean-up that networks hear."""

    separation: Separation
    heard: tuple[CleanupStep, ...]


def recipe(session: Session) -> StemRecipe:
    """What makes the stems of a session. Those of another tool heard no clean-up."""
    separation = msgspec.structs.replace(session.separation, hashes={})
    return StemRecipe(separation, () if separation.stems_from is not None else tuple(told(session.cleanup)))


class Repeat(NamedTuple):
    """The last edit in a form that can be made again on another strip."""

    make: object
    what: str


__all__ = ["MASTER", "RESIDUAL", "Bench", "Change", "Fader", "Insert", "Repeat", "RowKey", "Value"]
