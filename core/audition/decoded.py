"""A source that can be entered anywhere: lossy files are decoded once, since their decoders only run forwards."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import soundfile

from core import places
from core.atomic import PendingFile, check_room, write_error
from core.audio.read import open_reader, read_blocks
from core.errors import UnbakeError, os_error
from core.events import Operation, Progress
from core.session.document import Session

KEPT: Final = 4
"""Decoded files that are kept at most; who opened one of them keeps it."""


def enterable(session: Session) -> Operation[Session]:
    """The session on a source that seeks at once: the same, or with the path of a decoded copy in the cache.

    The copy is 32-bit float: what the decoder gave, sample for sample. Raises UnbakeError when the source can't be
    read, or the cache not written.
    """
    source = Path(session.source.path)
    with open_reader(source) as reader:
        if reader.random_access:
            return session
        info = reader.info
        copy = places.cache() / "decoded" / f"{session.source.sha256}.w64"
        if not copy.exists():
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise os_error(error, copy.parent) from error
            size = 4 * info.frames * info.channels
            check_room(copy, size)
            with PendingFile(copy, force=True) as pending:
                try:
                    with soundfile.SoundFile(
                        pending.path, "w", info.sample_rate, info.channels, "FLOAT", format="W64"
                    ) as out:
                        for block in read_blocks(reader):
                            out.write(block.T)
                            yield Progress("decoding", reader.frame, info.frames, info.seconds)
                except OSError as error:
                    raise write_error(error, copy, needed_bytes=size) from error
                except soundfile.SoundFileError as error:
                    raise UnbakeError(f"can't be written: {error}", where=copy, remedy="see UNBAKE_CACHE") from error
                pending.commit()
        _forget_old(copy)
    return msgspec.structs.replace(session, source=msgspec.structs.replace(session.source, path=str(copy)))


def _forget_old(newest: Path) -> None:
    newest.touch()
    found = sorted(newest.parent.glob("*.w64"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in found[KEPT:]:
        old.unlink(missing_ok=True)
