"""What the desk's threads have to say. Only handlers on the desk change its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from core.errors import UnbakeError
from core.jobs import opening
from core.separation.store import StemSet
from core.session.document import Session
from core.session.editor import Editor
from core.session.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.measure.spectrogram import Spectrogram


class Trouble(Message):
    """A thread met something that a person should know."""

    def __init__(self, error: UnbakeError) -> None:
        super().__init__()
        self.error = error


class Located(Message):
    """A path turned out to be a master or a session."""

    def __init__(self, located: opening.Located) -> None:
        super().__init__()
        self.located = located


class Opened(Message):
    """The session is there to be edited."""

    def __init__(self, editor: Editor, remembered: Workspace, notes: tuple[str, ...]) -> None:
        super().__init__()
        self.editor = editor
        self.remembered = remembered
        self.notes = notes


class AtHand(Message):
    """The stems of a session that are in the store; None when they are not."""

    def __init__(self, session: Session, stems: StemSet | None) -> None:
        super().__init__()
        self.session = session
        self.stems = stems


class Grown(Message):
    """An overview knows more of its file."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def can_replace(self, message: Message) -> bool:
        """Newer growth of the same overview makes an older one needless."""
        return isinstance(message, Grown) and message.name == self.name


class Columns(Message):
    """The columns of a span that is too close for the pyramid."""

    def __init__(self, span: tuple[int, int], low: NDArray, high: NDArray) -> None:
        super().__init__()
        self.span = span
        self.low = low
        self.high = high


class Spectrum(Message):
    """The spectrum of a strip's stem (or of the source), dB over the curve's frequencies."""

    def __init__(self, name: str, freqs_hz: NDArray, levels_db: NDArray) -> None:
        super().__init__()
        self.name = name
        self.freqs_hz = freqs_hz
        self.levels_db = levels_db


class Painted(Message):
    """A spectrogram of a span."""

    def __init__(self, span: tuple[int, int], levels: Spectrogram) -> None:
        super().__init__()
        self.span = span
        self.levels = levels


class Glanced(Message):
    """What the machine is."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
