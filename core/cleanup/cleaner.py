"""What every step of the clean-up bench is to the others: it looks for its fault in a file, then takes it out.

Steps know one file and nothing of sessions, of the store or of each other; `bench` runs them one after another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from core.audio.formats import Block
from core.audio.read import AudioReader
from core.events import Operation
from core.session.cleaning import CleanupStep

MOST_PLACES = 1000
"""As many places are named at the most; `Finding.figures` counts them all."""

S = TypeVar("S", bound=CleanupStep)


class Place(msgspec.Struct, frozen=True):
    """Where something was found: frames `first` up to, and not including, `last`; `channel` None for all of them."""

    first: int
    last: int
    channel: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a step found in a file.

    `type` is the step's. Where `found` is False nothing is changed, and `detail` says why in a clause. `confidence` is
    a chance, 0 to 1, that the fault is really there. `figures` are by name with their unit in it ("freq_hz"). `places`
    are in order, `MOST_PLACES` at the most, and empty for what goes through the whole file. `proposal` are the values
    of the step's fields that were measured, so that an engineer can hold them fast.
    """

    type: str
    found: bool
    confidence: float
    detail: str
    figures: dict[str, float] = {}
    places: tuple[Place, ...] = ()
    proposal: dict[str, float | str] = {}


class Cleaner(ABC, Generic[S]):
    """One step on one open file. First `find` is run to its end, then `blocks`, if it was found.

    The reader goes anywhere at once, and holds numbers only: float64 [channels, frames], any rate, one frame or more.
    It may be left anywhere.
    """

    def __init__(self, reader: AudioReader, step: S) -> None:
        self.reader = reader
        self.info = reader.info
        self.step = step

    @abstractmethod
    def find(self) -> Operation[Finding]:
        """Looks for the fault, in memory that doesn't grow with the file. Raises UnbakeError for what can't be done."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """The cleaned sound at full strength, from the first frame to the last, in blocks of any length.

        In time with the reader, and as many frames. Where the step takes nothing away, samples are those of the file.
        May be called again, from the beginning.
        """
