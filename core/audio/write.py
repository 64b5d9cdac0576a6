"""Audio files written whole or not at all: samples go to a hidden temporary file that gets its name at the end.

The format comes from `outputs`, samples are stored by `encoders`, metadata by `tags`; the temporary file is `atomic`'s.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

from core.atomic import (
    PendingFile,
    check_output,
    check_room,
    write_bytes_atomically,
    write_error,
    write_text_atomically,
)
from core.audio.bext import BextLoudness
from core.audio.chunks import read_chunks
from core.audio.encoders import Encoder, EncoderError, make_encoder
from core.audio.formats import Block, bytes_per_sample, integer_bits
from core.audio.outputs import OutputFormat, default_output_path, output_format, size_estimate
from core.audio.quantise import Codes
from core.audio.speakers import CAF_USE_BITMAP
from core.audio.tags import Metadata, append_chunks, apply_metadata
from core.errors import UnbakeError

__all__ = [
    "AudioWriter",
    "OutputFormat",
    "check_output",
    "default_output_path",
    "open_writer",
    "output_format",
    "write_bytes_atomically",
    "write_text_atomically",
]

# Room that a 32-bit RIFF or FORM size must leave for metadata.
_METADATA_ROOM_BYTES = 64 << 20
_MAX_FORM_BYTES = 0xFFFFFFFF - _METADATA_ROOM_BYTES
_PROBE_BYTES = 1 << 16
_OGG_SERIAL = 1


class AudioWriter:
    """An output being written. A context manager: what is not committed is removed without a trace."""

    def __init__(self, out: Path, fmt: OutputFormat, frames: int, pending: PendingFile, encoder: Encoder) -> None:
        self.out = out
        self.fmt = fmt
        self.frame = 0
        self._frames = frames
        self._pending = pending
        self._encoder = encoder
        self._bits = integer_bits(fmt.subtype)
        self._finished = False

    def write(self, block: Block) -> None:
        """Appends float64 [channels, frames] to a floating point or lossy file.

        TypeError for integer formats, which take codes. UnbakeError when the disk is full or refuses.
        """
        if self._bits is not None:
            raise TypeError(f"{self.fmt.subtype} takes codes: quantise first")
        try:
            self._encoder.write(block)
        except EncoderError as error:
            raise self._failed(error) from error
        self.frame += block.shape[1]

    def write_codes(self, codes: Codes) -> None:
        """Appends int32 [channels, frames] as `quantise` makes them to a file of an integer format.

        TypeError for other formats. UnbakeError when the disk is full or refuses.
        """
        if self._bits is None:
            raise TypeError(f"{self.fmt.subtype} does not take codes")
        try:
            self._encoder.write_codes(codes)
        except EncoderError as error:
            raise self._failed(error) from error
        self.frame += codes.shape[1]

    def finish(self, metadata: Metadata | None = None) -> Path:
        """Completes the samples and gives the temporary file that holds them, to be read back before it is committed.

        `metadata` is what `commit` will be given. ValueError unless exactly the frames that were announced were
        written; UnbakeError when the disk is full.
        """
        if self.frame != self._frames:
            raise ValueError(f"{self.frame} frames written, {self._frames} announced")
        if not self._finished:
            try:
                self._encoder.close()
                _finish_header(self._pending.path, self.fmt, self._frames, metadata)
            except EncoderError as error:
                raise self._failed(error) from error
            self._finished = True
        return self._pending.path

    def commit(self, metadata: Metadata | None = None, loudness: BextLoudness | None = None) -> None:
        """Finishes the file, puts the metadata in (see `apply_metadata`) and gives it its name.

        ValueError and UnbakeError as `finish`; UnbakeError too when the name was taken meanwhile and it is not to be
        forced. Then nothing is left.
        """
        try:
            self.finish(metadata)
            if metadata is not None:
                apply_metadata(metadata, self._pending.path, self.fmt, loudness)
            self._pending.commit()
        except OSError as error:
            raise write_error(error, self.out) from error
        finally:
            self.close()

    def close(self) -> None:
        """Removes what was not committed; safe to call twice."""
        # The file is being thrown away: that it could not be finished is no news.
        with contextlib.suppress(*EncoderError):
            self._encoder.close()
        self._pending.discard()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failed(self, error: Exception) -> UnbakeError:
        if isinstance(error, OSError):
            return write_error(error, self.out, size_estimate(self.fmt, self._frames))
        # libsndfile only says "system error": writing a little more tells which one.
        try:
            with self._pending.path.open("ab", buffering=0) as file:
                file.write(bytes(_PROBE_BYTES))
        except OSError as reason:
            return write_error(reason, self.out, size_estimate(self.fmt, self._frames))
        return UnbakeError(f"could not be written: {error}", where=self.out)


def open_writer(out: str | os.PathLike[str], fmt: OutputFormat, *, frames: int, force: bool) -> AudioWriter:
    """Starts an output of exactly `frames` frames in a temporary file beside `out`.

    WAV becomes RF64 where it would outgrow 4 GiB. UnbakeError when `out` may not be written (see `check_output`), the
    folder has too little room, or the container can't hold that much.
    """
    out = Path(out)
    check_output(out, (), force)
    check_room(out, size_estimate(fmt, frames))
    container = _sound_container(out, fmt, frames)
    pending = PendingFile(out, force=force)
    try:
        encoder = make_encoder(pending.path, fmt, container)
    except EncoderError as error:
        pending.discard()
        what = f"{fmt.subtype} in {fmt.container} can't be written with {fmt.channels} channels at {fmt.sample_rate} Hz"
        raise UnbakeError(what, where=out, remedy="choose another format") from error
    except BaseException:
        pending.discard()
        raise
    return AudioWriter(out, fmt, frames, pending, encoder)


def _sound_container(out: Path, fmt: OutputFormat, frames: int) -> str:
    too_long = frames * fmt.channels * bytes_per_sample(fmt.subtype) > _MAX_FORM_BYTES
    if fmt.container == "AIFF" and too_long:
        raise UnbakeError("AIFF holds 4 GiB at most, and this is more", where=out, remedy="write .w64, .caf or .wav")
    if fmt.container != "WAV":
        return fmt.container
    if too_long:
        return "RF64"
    return "WAVEX" if fmt.channel_mask is not None else "WAV"


def _finish_header(path: Path, fmt: OutputFormat, frames: int, metadata: Metadata | None) -> None:
    """Corrects what libsndfile makes of a header: the time of day, a guess at the speakers, pad bytes as samples."""
    if fmt.container == "OGG":
        _fix_serial(path)
    layout = read_chunks(path)
    if layout is None:
        return
    with path.open("r+b") as file:
        if (peak := layout.find(b"PEAK")) is not None:
            # The same render is the same bytes whenever it is made.
            file.seek(peak.start + 4)
            file.write(bytes(4))
        form = layout.find(b"fmt ")
        if form is not None and form.size >= 40 and (fmt.channel_mask is not None or fmt.channels > 2):
            file.seek(form.start + 20)
            file.write(struct.pack("<I", fmt.channel_mask or 0))
        data = layout.find(layout.data)
        if data is not None and layout.kind == "CAF":
            # CAF has no pad bytes: the next chunk follows at once.
            file.truncate(data.start + data.size)
        if data is not None and layout.kind == "AIFF":
            file.seek(data.start - 4)
            file.write(struct.pack(">I", 8 + frames * fmt.channels * bytes_per_sample(fmt.subtype)))
            comm = layout.find(b"COMM")
            if comm is not None:
                file.seek(comm.start + 2)
                file.write(struct.pack(">I", frames))
    if layout.kind == "CAF" and fmt.channel_mask:
        stated = metadata is not None and any(name == b"chan" for name, _ in metadata.chunks)
        if not stated:
            append_chunks(path, [(b"chan", struct.pack(">III", CAF_USE_BITMAP, fmt.channel_mask, 0))])


def _fix_serial(path: Path) -> None:
    """Replaces the random serial number of an Ogg stream, so that the same render is the same bytes."""
    from mutagen.ogg import OggPage

    with path.open("r+b") as file:
        while True:
            start = file.tell()
            try:
                page = OggPage(file)
            except EOFError:
                return
            page.serial = _OGG_SERIAL
            file.seek(start)
            file.write(page.write())
