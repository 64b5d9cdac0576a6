"""What the app and its worker process say to each other: requests one way, answers the other, and their bytes.

A request is a value that names one operation with its arguments; paths travel as text. What it does and gives is in
`core.jobs.operations`, which needs numpy; this module is cheap to import.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from core import wire
from core.errors import UnbakeError
from core.session.document import Session
from core.session.presets import Preset


class Inspect(Struct, frozen=True, tag=True):
    """Measures a file and looks for faults. Gives a `FileReport`."""

    path: str


class NewSession(Struct, frozen=True, tag=True):
    """Makes a session on disk, at `session_path` or beside its source. Gives a `Created`."""

    source: str
    session_path: str | None = None
    model: str | None = None
    stems_from: str | None = None
    align: bool = False
    force: bool = False


class CheckSource(Struct, frozen=True, tag=True):
    """Fails when the source of a session is gone or has changed. `session_path` is where it is saved. Gives None."""

    session: Session
    session_path: str | None = None


class MakeStems(Struct, frozen=True, tag=True):
    """The stems of a session, changed or not, from the store or made now. Gives `SessionStems`.

    What lies at `from_seconds` is separated first.
    """

    session: Session
    device: str = "auto"
    from_seconds: float = 0.0


class Bring(Struct, frozen=True, tag=True):
    """Finds a file in the source of a session and makes the stem that is subtracted. Gives a `Found`."""

    session: Session
    path: str
    name: str | None = None
    treated: str | None = None


class LayBrought(Struct, frozen=True, tag=True):
    """The stems of a session that were brought, from the store or made again. Gives `BroughtStems`."""

    session: Session


class CarryOutCleanup(Struct, frozen=True, tag=True):
    """Carries out the clean-up of a session, on its source and on its stems by strip name. Gives a `CleanedUp`."""

    session: Session
    stems: dict[str, str]
    device: str = "auto"


class FindDamage(Struct, frozen=True, tag=True):
    """Looks in a file for what each step that can be proposed takes out. Gives a list of `Finding`."""

    path: str


class ExportStems(Struct, frozen=True, tag=True):
    """Writes the stems of a session into a folder. Gives a `Separated`."""

    session: Session
    folder: str
    device: str = "auto"
    force: bool = False


class Render(Struct, frozen=True, tag=True):
    """Renders a session as it is given and writes nothing but `out` and `report`. Gives a `SessionRender`.

    `session_path` is where it is saved, or will be. Without `out`, `subtype`, `sample_rate` (Hz) or `overs` the
    delivery profile decides, and what it leaves open the source.
    """

    session: Session
    session_path: str
    out: str | None = None
    report: str | None = None
    subtype: str | None = None
    overs: Literal["trim", "limit", "clip"] | None = None
    force: bool = False
    device: str = "auto"
    profile: str | None = None
    sample_rate: int | None = None


class NullTest(Struct, frozen=True, tag=True):
    """Subtracts file `b` from file `a` and measures what is left. Gives a `NullReport`."""

    a: str
    b: str
    threshold_dbfs: float | None = None
    align: bool = False


class CheckDelta(Struct, frozen=True, tag=True):
    """Measures what a session changes, from its stems by strip name. Gives a `SessionCheck`."""

    session: Session
    stems: dict[str, str]


class Diagnose(Struct, frozen=True, tag=True):
    """Measures what is wrong with the source of a session, on its stems by strip name. Gives a `Diagnosis`."""

    session: Session
    stems: dict[str, str]


class FitPreset(Struct, frozen=True, tag=True):
    """Measures the values that a preset leaves open, on a session's stems by strip name. Gives a `FittedPreset`."""

    preset: Preset
    session: Session
    stems: dict[str, str]


class FindBeats(Struct, frozen=True, tag=True):
    """Tempo, beats and attacks of the source of a session, heard in its stems by strip name. Gives a `Rhythm`."""

    session: Session
    stems: dict[str, str]


class HearWarp(Struct, frozen=True, tag=True):
    """Makes target frames `first` to `last` of a session along its time map into a file. Gives a `WarpClip`.

    Clicks go onto target frames `beats`, those of a bar onto `bars`.
    """

    session: Session
    stems: dict[str, str]
    first: int
    last: int
    beats: tuple[int, ...] = ()
    bars: tuple[int, ...] = ()


class Examine(Struct, frozen=True, tag=True):
    """Looks at the machine, as `unbake doctor` does. Gives an `Examination`."""


class ListStore(Struct, frozen=True, tag=True):
    """What the stem store holds. Gives a `Holding`."""


class PruneStore(Struct, frozen=True, tag=True):
    """Makes room in the stem store, as `unbake store prune` does. Gives a `Clearance`."""

    ids: tuple[str, ...] = ()
    older_than_days: float | None = None
    keep_gb: float | None = None
    all: bool = False


class FetchModel(Struct, frozen=True, tag=True):
    """Brings the weights of a model from the network, as `unbake models fetch` does. Gives a `Fetched`."""

    name: str


class CheckModels(Struct, frozen=True, tag=True):
    """Tries models out, those that are installed when none is named. Gives a `Checked`."""

    names: tuple[str, ...] = ()
    device: str = "auto"


class RemoveModel(Struct, frozen=True, tag=True):
    """Removes the weights of a model, and with `card` the user's own card. Gives a `Removed`."""

    name: str
    card: bool = False


class Demo(Struct, frozen=True, tag=True):
    """The main job on a song that is already here, in `folder`. Gives a `Demonstration`."""

    folder: str
    device: str = "auto"
    force: bool = False


Request = (
    Inspect
    | NewSession
    | CheckSource
    | MakeStems
    | Bring
    | LayBrought
    | CarryOutCleanup
    | FindDamage
    | ExportStems
    | Render
    | NullTest
    | CheckDelta
    | Diagnose
    | FitPreset
    | FindBeats
    | HearWarp
    | Examine
    | ListStore
    | PruneStore
    | FetchModel
    | CheckModels
    | RemoveModel
    | Demo
)


class Run(Struct, frozen=True, tag=True):
    """To the worker: carry out a `Request` under this number. One job at a time."""

    job: int
    request: Any


class Cancel(Struct, frozen=True, tag=True):
    """To the worker: close the job of this number at its next event, if it is still running."""

    job: int


Order = Run | Cancel


class Progressed(Struct, frozen=True, tag=True):
    """How far a job is, in the words of `core.events.Progress`."""

    job: int
    stage: str
    done: int
    total: int
    seconds: float | None = None
    in_bytes: bool = False


class Noted(Struct, frozen=True, tag=True):
    """Something the engineer should know although the job goes on."""

    job: int
    text: str


class Finished(Struct, frozen=True, tag=True):
    """A job is done. `result` is of the type that the docstring of its request names."""

    job: int
    result: Any


class Failed(Struct, frozen=True, tag=True):
    """A job can't be carried out as asked: an UnbakeError, whole."""

    job: int
    what: str
    where: str | None = None
    remedy: str | None = None

    @classmethod
    def by(cls, job: int, error: UnbakeError) -> Failed:
        """The answer that carries an error."""
        return cls(job, error.what, error.where, error.remedy)

    def error(self) -> UnbakeError:
        """The error that was carried."""
        return UnbakeError(self.what, where=self.where, remedy=self.remedy)


class Crashed(Struct, frozen=True, tag=True):
    """A job met a defect of unbake; the worker goes on. `text` is the last line of `trace`, which is for a log."""

    job: int
    text: str
    trace: str


class Cancelled(Struct, frozen=True, tag=True):
    """A job was closed, or dropped before it began. What it had finished is kept."""

    job: int


class Died(Struct, frozen=True, tag=True):
    """The worker process ended while this job ran or waited. `text` is one line, `said` the last lines it printed."""

    job: int
    text: str
    said: str = ""


Answer = Progressed | Noted | Finished | Failed | Crashed | Cancelled | Died
Outcome = Finished | Failed | Crashed | Cancelled | Died
"""The last answer of every job is one of these."""


def encode(message: Order | Answer) -> bytes:
    """A message as msgpack. Raises UnicodeEncodeError for text that is no Unicode, such as odd names of files."""
    return wire.encode(message)


def decode_order(data: bytes) -> Order:
    """What the app said. The request of a `Run` is still plain values, for `as_request`."""
    return _ORDERS.decode(data)


def decode_answer(data: bytes) -> Answer:
    """What the worker said. The result of a `Finished` is still plain values, for `core.jobs.operations.typed`."""
    return _ANSWERS.decode(data)


def as_request(values: Any) -> Request:
    """The plain values of a request, checked. Raises msgspec.ValidationError."""
    return msgspec.convert(values, Request)


_ORDERS = wire.decoder(Order)
_ANSWERS = wire.decoder(Answer)
