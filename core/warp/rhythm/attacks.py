"""What a file sounds like and where its sounds begin, heard once for as long as the program runs."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.audio.read import open_reader

if TYPE_CHECKING:
    from core.audio.hashes import Fingerprint
    from core.events import Operation
    from core.warp.engines.course import Attacks
    from core.warp.rhythm.onsets import Heard

KEPT: Final = 8
_known: OrderedDict[Fingerprint, Heard] = OrderedDict()


def heard_of(path: str | Path) -> Operation[Heard]:
    """What is heard of a file. Raises UnbakeError as `listen` does."""
    from core.warp.rhythm.onsets import listen  # and with it scipy

    with open_reader(path) as reader:
        if reader.fingerprint not in _known:
            _known[reader.fingerprint] = yield from listen(reader)
        _known.move_to_end(reader.fingerprint)
        if len(_known) > KEPT:
            _known.popitem(last=False)
        return _known[reader.fingerprint]


def attacks_of(path: str | Path) -> Operation[Attacks]:
    """The frames at which sounds begin in a file, and how strongly, in dB. Raises UnbakeError as `listen` does."""
    heard = yield from heard_of(path)
    return heard.onsets, heard.strengths_db
