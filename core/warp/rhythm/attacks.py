"""Where the sounds of a file begin, found once for as long as the program runs."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.audio.read import open_reader

if TYPE_CHECKING:
    from core.audio.hashes import Fingerprint
    from core.events import Operation
    from core.warp.engines.course import Attacks

KEPT: Final = 16
_known: OrderedDict[Fingerprint, Attacks] = OrderedDict()


def attacks_of(path: str | Path) -> Operation[Attacks]:
    """The frames at which sounds begin in a file, and how strongly, in dB. Raises UnbakeError as `listen` does."""
    from core.warp.rhythm.onsets import listen  # and with it scipy

    with open_reader(path) as reader:
        if reader.fingerprint not in _known:
            heard = yield from listen(reader)
            _known[reader.fingerprint] = heard.onsets, heard.strengths_db
        _known.move_to_end(reader.fingerprint)
        if len(_known) > KEPT:
            _known.popitem(last=False)
        return _known[reader.fingerprint]
