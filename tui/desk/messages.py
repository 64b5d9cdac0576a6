"""What the desk's threads have to say. Only handlers on the desk change its state.

Most of it is about one document: `bench` is the desk's state when it was asked for. Once another file is open the desk
has another, and what comes late is passed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from core.errors import UnbakeError
from core.jobs import opening
from core.separation.store import StemSet
from core.session.document import Session
from core.session.editor import Editor
from core.session.workspace import Workspace
from tui.desk.bench import Bench

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.measure.spectrogram import Spectrogram


class About(Message):
    """Something about one document."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench


class Trouble(About):
    """A thread met something that a person should know."""

    def __init__(self, bench: Bench, error: UnbakeError) -> None:
        super().__init__(bench)
        self.error = error


class NotOpened(Trouble):
    """What was to be opened can't be."""


class Kept(About):
    """The journal can't be written, or can again: no error then."""

    def __init__(self, bench: Bench, error: UnbakeError | None) -> None:
        super().__init__(bench)
        self.error = error


class Located(About):
    """A path turned out to be a master or a session."""

    def __init__(self, bench: Bench, located: opening.Located) -> None:
        super().__init__(bench)
        self.located = located


class Reading(About):
    """How much of a master was read for its hash, 0 to 1."""

    def __init__(self, bench: Bench, share: float) -> None:
        super().__init__(bench)
        self.share = share

    def can_replace(self, message: Message) -> bool:
        """Newer progress makes older needless."""
        return isinstance(message, Reading)


class Opened(About):
    """The session is there to be edited."""

    def __init__(self, bench: Bench, editor: Editor, remembered: Workspace, notes: tuple[str, ...]) -> None:
        super().__init__(bench)
        self.editor = editor
        self.remembered = remembered
        self.notes = notes


class AtHand(About):
    """The stems of a session that are in the store; None when they are not."""

    def __init__(self, bench: Bench, session: Session, stems: StemSet | None) -> None:
        super().__init__(bench)
        self.session = session
        self.stems = stems


class Grown(About):
    """An overview knows more of its file."""

    def __init__(self, bench: Bench, name: str) -> None:
        super().__init__(bench)
        self.name = name

    def can_replace(self, message: Message) -> bool:
        """Newer growth of the same overview makes an older one needless."""
        return isinstance(message, Grown) and message.name == self.name and message.bench is self.bench


class Columns(About):
    """The columns of a span that is too close for the pyramid."""

    def __init__(self, bench: Bench, span: tuple[int, int], low: NDArray, high: NDArray) -> None:
        super().__init__(bench)
        self.span = span
        self.low = low
        self.high = high


class Spectrum(About):
    """The spectrum of a strip's stem (or of the source), dB over the curve's frequencies."""

    def __init__(self, bench: Bench, name: str, path: Path, freqs_hz: NDArray, levels_db: NDArray) -> None:
        super().__init__(bench)
        self.name = name
        self.path = path
        self.freqs_hz = freqs_hz
        self.levels_db = levels_db


class Painted(About):
    """A spectrogram of a span."""

    def __init__(self, bench: Bench, span: tuple[int, int], levels: Spectrogram) -> None:
        super().__init__(bench)
        self.span = span
        self.levels = levels


class Weighed(About):
    """How much a step of the clean-up takes away: the file of that, and its RMS in dBFS."""

    def __init__(self, bench: Bench, path: Path, rms_dbfs: float | None) -> None:
        super().__init__(bench)
        self.path = path
        self.rms_dbfs = rms_dbfs


class Glanced(Message):
    """What the machine is."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
