"""Pieces of files that were decoded before somebody needs them, so that whoever plays them never waits for a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.audio.formats import Block
    from core.audio.hashes import Fingerprint

PIECE_FRAMES: Final = 16_384


class Decoder(Protocol):
    """What gives a file's frames in order, from wherever it was sent."""

    @property
    def random_access(self) -> bool:
        """Whether `seek` goes anywhere at once."""
        ...

    def read(self, frames: int) -> Block:
        """The next frames, float64 [channels, n]; fewer at the end only."""
        ...

    def seek(self, frame: int) -> None:
        """Goes to a frame."""
        ...

    def close(self) -> None:
        """Closes the file."""
        ...


class Held:
    """Pieces by file and place. One thread puts them there and lets go of them, any other looks them up."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[Fingerprint, int], Block] = {}

    def __contains__(self, key: tuple[Fingerprint, int]) -> bool:
        return key in self._pieces

    def piece(self, of: Fingerprint, place: int) -> Block | None:
        """Frames from `place` times `PIECE_FRAMES` on, float64 [channels, up to PIECE_FRAMES]; not to be written to."""
        return self._pieces.get((of, place))

    def put(self, of: Fingerprint, place: int, piece: Block) -> None:
        """Holds a piece."""
        self._pieces[of, place] = piece

    def keep(self, keys: Iterable[tuple[Fingerprint, int]]) -> None:
        """Lets go of all others."""
        wanted = set(keys)
        for key in [key for key in self._pieces if key not in wanted]:
            del self._pieces[key]


class HeldDecoder:
    """A decoder that looks up what is held first, and asks the file for the rest: the very same frames."""

    def __init__(self, decoder: Decoder, of: Fingerprint, held: Held) -> None:
        self._decoder = decoder
        self._of = of
        self._held = held
        self._frame = 0
        self._decoder_frame = 0

    random_access = True

    def read(self, frames: int) -> Block:
        """As `Decoder` has it."""
        blocks = [self._next(frames)]
        done = blocks[0].shape[1]
        while done < frames and blocks[-1].shape[1]:
            blocks.append(self._next(frames - done))
            done += blocks[-1].shape[1]
        return np.concatenate(blocks, axis=1)

    def _next(self, most: int) -> Block:
        place, first = divmod(self._frame, PIECE_FRAMES)
        piece = self._held.piece(self._of, place)
        if piece is None:
            if self._decoder_frame != self._frame:
                self._decoder.seek(self._frame)
            block = self._decoder.read(min(most, PIECE_FRAMES - first))
            self._decoder_frame = self._frame + block.shape[1]
        else:
            block = piece[:, first : first + most]
        self._frame += block.shape[1]
        return block

    def seek(self, frame: int) -> None:
        """As `Decoder` has it."""
        self._frame = frame

    def close(self) -> None:
        """As `Decoder` has it."""
        self._decoder.close()
