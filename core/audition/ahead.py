"""Files that are read before they are needed.

A reader that goes on from block to block mostly finds what it wants in the system's memory. But a machine that
separates writes gigabytes, and drops what nobody read for a while: then a block waits for the disk, behind all those
writes (100 ms and more were measured). So another thread reads what comes next, and waits there.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.audio.held import PIECE_FRAMES
from core.audio.read import AudioReader, open_reader
from core.errors import UnbakeError

if TYPE_CHECKING:
    from core.audition.player import Player

AHEAD_SECONDS: Final = 5.0
BEHIND_SECONDS: Final = 2.5
"""Kept for edits, which are heard from before the place where they begin."""
EVERY_SECONDS: Final = 0.1
MOST_BYTES: Final = 128 << 20
"""Of memory for all pieces: high rates and many channels are read less far ahead."""


class ReadAhead:
    """Holds, piece by piece, what a player is going to read of its files. Use as a context manager.

    Files that can't be entered anywhere are left to the player.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self._readers: dict[Path, AudioReader | None] = {}
        """None where nothing is to be read ahead."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)

    def _run(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._close)
            while not self._stop.is_set():
                if not self._step():
                    self._stop.wait(EVERY_SECONDS)

    def _step(self) -> bool:
        """Reads the piece that is needed first; False when all are there."""
        held = self._player.held
        readers = self._open()
        places = self.places(len(readers))
        held.keep((reader.fingerprint, place) for place in places for reader in readers)
        for place in places:
            for reader in readers:
                if (reader.fingerprint, place) not in held and self._read(reader, place):
                    return True
        return False

    def places(self, files: int) -> list[int]:
        """Places of the pieces that come next, in order, through a loop and as fast and backwards as it is played."""
        transport, info = self._player.transport, self._player.info
        room = MOST_BYTES // max(1, 8 * info.channels * PIECE_FRAMES * files)
        ahead = round(AHEAD_SECONDS * info.sample_rate * abs(transport.speed))
        behind = round(BEHIND_SECONDS * info.sample_rate)
        here, loop = transport.frame, transport.loop
        stretches = [(here, here + ahead)]
        if transport.speed < 0:
            stretches = [(here - ahead, here)]
        elif loop is not None and transport.speed == 1 and here < loop[1] < here + ahead:
            stretches = [(here, loop[1]), (loop[0], loop[0] + ahead - (loop[1] - here))]
        stretches.append((here - behind, here))
        found: dict[int, None] = {}
        for first, end in stretches:
            pieces = range(max(0, first) // PIECE_FRAMES, -(-max(0, min(end, info.frames)) // PIECE_FRAMES))
            found.update(dict.fromkeys(reversed(pieces) if transport.speed < 0 else pieces))
        return list(found)[:room]

    def _open(self) -> list[AudioReader]:
        files = self._player.files
        for path in [path for path in self._readers if path not in files]:
            reader = self._readers.pop(path)
            if reader is not None:
                reader.close()
        for path in files:
            if path not in self._readers:
                self._readers[path] = _entered(path)
        return [reader for reader in self._readers.values() if reader is not None]

    def _read(self, reader: AudioReader, place: int) -> bool:
        try:
            reader.seek(place * PIECE_FRAMES)
            self._player.held.put(reader.fingerprint, place, reader.read(PIECE_FRAMES))
        except UnbakeError:
            # the player comes to it itself, and tells
            reader.close()
            self._readers[Path(reader.info.path)] = None
            return False
        return True

    def _close(self) -> None:
        for reader in self._readers.values():
            if reader is not None:
                reader.close()

    def __enter__(self) -> ReadAhead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _entered(path: Path) -> AudioReader | None:
    try:
        reader = open_reader(path)
    except UnbakeError:
        return None
    if reader.random_access:
        return reader
    reader.close()
    return None
