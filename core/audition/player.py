"""The transport: what is heard next, frame by frame, whatever the engineer does meanwhile.

One thread reads (the one that feeds a way out), any other may ask for changes. Every change glides: a flip of the
stream, a jump and a stop over 5 ms, an edit over 20 ms; what an edit takes is made ready before the reader sees it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from core.audio.formats import AudioInfo, Block
from core.audio.held import Held
from core.audition.glide import Glide
from core.audition.monitor import Choice, Listening, Monitor, MonitorState, Sides
from core.recombine.graph import Moved
from core.session.blind import Side
from core.session.document import Session, Source

FLIP_MS: Final = 5.0
EDIT_MS: Final = 20.0
SPEEDS: Final = (-8, -4, -2, -1, 1, 2, 4, 8)
SHUTTLE_PRE_ROLL: Final = 4096
"""Frames heard before every piece that is played backwards: enough for the ear that looks for a place."""
EDIT_PRE_ROLL_SECONDS: Final = 2.0
"""Heard at most before an edit, which must be soon: processors that remember longer catch up while they play."""
REVERSE_SECONDS: Final = 0.1
"""Of sound that is fetched at a time when it is played backwards."""


class Transport(msgspec.Struct, frozen=True):
    """Where the player is. `frame` is the next one that is given out; `speed` is 1 but for the shuttle.

    `loop` is first and last (exclusive) where one is played, `moved` how far gains that follow the sound were moved in
    what was read last.
    """

    playing: bool
    frame: int
    speed: int
    stream: Choice
    loop: tuple[int, int] | None
    moved: tuple[Moved, ...] = ()


class Player:
    """Gives out frames of a session in real time's order: `read` from one thread, the rest from any.

    Raises UnbakeError as `Monitor` does.
    """

    def __init__(self, session: Session, stems: Mapping[str, Path], listening: Listening | None = None) -> None:
        self._lock = threading.Lock()
        self._given = session, dict(stems), listening or Listening()
        self.held = Held()
        """What `ReadAhead` reads before it is needed."""
        self._monitor = Monitor(*self._given, held=self.held)
        self.info: AudioInfo = self._monitor.info
        self._flip_frames = max(1, round(FLIP_MS * self.info.sample_rate / 1000))
        self._edit_frames = max(1, round(EDIT_MS * self.info.sample_rate / 1000))
        self._stream: Choice = "repair"
        self._x: Side | None = None
        self._gains_db = (0.0, 0.0)
        self._weights = Glide(self._weights_of())
        self._gate = Glide([0.0])
        self._speed = 1
        self._end = self.info.frames
        self._loop: tuple[int, int] | None = None
        self._loop_start: tuple[int, MonitorState] | None = None
        self._tail = np.zeros((self.info.channels, 0))
        self._next: Monitor | None = None
        self._moved: tuple[Moved, ...] = ()
        self._reversed = np.zeros((self.info.channels, 0))
        self._place = 0
        """Of the next frame while the shuttle runs backwards, where the monitor itself is elsewhere."""

    # ---- what may be asked of it, from any thread

    @property
    def transport(self) -> Transport:
        """Where it is."""
        with self._lock:
            return Transport(
                playing=bool(self._gate.target[0]),
                frame=min(self._frame, self.info.frames),
                speed=self._speed,
                stream=self._stream,
                loop=self._loop,
                moved=self._moved,
            )

    @property
    def source(self) -> Source:
        """The file that is played; an edit keeps it."""
        return self._given[0].source

    @property
    def files(self) -> tuple[Path, ...]:
        """What it reads: the source and the stems it was given."""
        session, stems, _ = self._given
        return (Path(session.source.path), *stems.values())

    def play(self) -> None:
        """Plays on, from the start again when it is at the end."""
        with self._lock:
            self._shuttle(1)
            if self._frame >= self._end:
                self._go(0)
            self._gate.go([1.0], self._flip_frames)

    def pause(self) -> None:
        """Falls silent, and stays where it is."""
        with self._lock:
            self._gate.go([0.0], self._flip_frames)

    def shuttle(self, steps: int) -> None:
        """Faster by `steps` of 1, 2, 4, 8 times, forwards or backwards; the first step plays at single speed."""
        with self._lock:
            self._shuttle(faster(self._speed if self._gate.target[0] else None, steps))
            self._gate.go([1.0], self._flip_frames)

    def seek(self, frame: int) -> None:
        """Goes to a frame, at most the end."""
        with self._lock:
            self._go(max(0, min(frame, self.info.frames)))

    def loop(self, loop: tuple[int, int] | None) -> None:
        """Plays from first to before last again and again; None plays on to the end.

        Who is past its end comes back to its start; ValueError for a loop without length or outside the file.
        """
        if loop is not None and not 0 <= loop[0] < loop[1] <= self.info.frames:
            raise ValueError(f"no loop from {loop[0]} to {loop[1]}")
        with self._lock:
            if loop != self._loop:
                self._loop, self._loop_start = loop, None

    def end(self, frame: int) -> None:
        """Stops at a frame, dying away over the 5 ms behind it; a loop comes first."""
        with self._lock:
            self._end = max(0, min(frame, self.info.frames))

    def choose(self, stream: Choice) -> None:
        """Flips to another stream, at the same frame. ValueError for X outside a blind test."""
        with self._lock:
            if stream == "x" and self._x is None:
                raise ValueError("X is heard in a blind test only")
            self._stream = stream
            self._weights.go(self._weights_of(), self._flip_frames)

    def hide(self, x: Side | None) -> None:
        """What X is from now on; who listened to it hears the source. None ends a blind test: then it is the repair."""
        with self._lock:
            self._x = x
            if self._stream == "x":
                self._stream = "repair" if x is None else "source"
            self._weights.go(self._weights_of(), self._flip_frames)

    def match(self, source_db: float, repair_db: float) -> None:
        """Gains of the two sides, so that they are equally loud; the difference is never altered."""
        with self._lock:
            self._gains_db = source_db, repair_db
            self._weights.go(self._weights_of(), self._edit_frames)

    def edit(self, session: Session, stems: Mapping[str, Path], listening: Listening | None = None) -> None:
        """Plays another value of the session from now on. Raises UnbakeError and plays on when it can't be.

        What that takes is done here; the reader only passes over to it.
        """
        given = session, dict(stems), listening or Listening()
        if given == self._given:
            return
        monitor = Monitor(*given, held=self.held)
        try:
            monitor.seek(self.transport.frame, self._edit_pre_roll(monitor))
        except BaseException:
            monitor.close()
            raise
        with self._lock:
            self._given = given
            waiting, self._next = self._next, monitor
        if waiting is not None:
            waiting.close()

    def _edit_pre_roll(self, monitor: Monitor) -> int:
        return min(monitor.pre_roll, round(EDIT_PRE_ROLL_SECONDS * self.info.sample_rate))

    def close(self) -> None:
        """Closes its files; nobody may read any more."""
        with self._lock:
            self._monitor.close()
            if self._next is not None:
                self._next.close()
                self._next = None

    # ---- the reader's side

    def read(self, frames: int) -> Block:
        """The next frames as they are to be heard, float64 [channels, frames]: silence while it is paused."""
        with self._lock:
            out = np.zeros((self.info.channels, frames))
            done = 0
            while done < frames and (self._gate.target[0] or self._gate.moving):
                piece = self._piece(frames - done)
                here = out[:, done : done + piece.shape[1]]
                here += piece
                tail, self._tail = self._tail[:, : piece.shape[1]], self._tail[:, piece.shape[1] :]
                here[:, : tail.shape[1]] += tail
                done += piece.shape[1]
            self._moved = self._monitor.moved()
            return out

    @property
    def _frame(self) -> int:
        return self._place if self._speed < 0 else self._monitor.frame

    def _piece(self, most: int) -> Block:
        """Up to `most` frames that hang together; the transport may stop or jump behind them."""
        if self._next is not None:
            return self._pass_over(most)
        if self._speed < 0:
            return self._backwards(most)
        first, last = self._loop or (0, self._end)
        looping = self._loop is not None and self._speed == 1
        if looping and self._loop_start is None and self._frame == first and self._monitor.copyable:
            self._loop_start = first, self._monitor.state()
        if looping and self._frame >= last:
            self._go(first)
            return self._piece(most)
        left = (last if looping else self._end) - self._frame
        if left <= 0 and self._end < self.info.frames and not looping:
            if self._gate.target[0]:
                self._gate.go([0.0], self._flip_frames)
            left = min(self._flip_frames, self.info.frames - self._frame) if self._gate.moving else 0
        if left <= 0:
            self._gate.go([0.0], 0)
            self._speed = 1
            return np.zeros((self.info.channels, 0))
        frames = min(most, -(-left // self._speed))
        sides = self._monitor.read(frames * self._speed)
        if self._speed > 1:
            sides = Sides(*(_averaged(side, self._speed) for side in sides))
        return self._heard(sides)

    def _heard(self, sides: Sides) -> Block:
        """Both sides weighted for the stream that is heard, through the gate of play and pause."""
        frames = sides.source.shape[1]
        weights, gate = self._weights.next(frames), self._gate.next(frames)[0]
        out = np.zeros_like(sides.source)
        for side, weight in zip(sides, weights, strict=True):
            if np.any(weight != 0.0):
                out += side if np.all(weight == 1.0) else side * weight
        return out if np.all(gate == 1.0) else out * gate

    def _pass_over(self, most: int) -> Block:
        """The first frames after an edit: from what was to what is now."""
        assert self._next is not None
        before, after, self._next = self._monitor, self._next, None
        here = self._frame
        if not 0 <= here - after.frame <= self.info.sample_rate:
            after.seek(here, self._edit_pre_roll(after))
        while after.frame < here:
            after.read(here - after.frame)
        self._loop_start = None
        self._monitor = after
        frames = min(most, self._edit_frames, max(1, self.info.frames - here))
        if self._speed != 1:
            before.close()
            self._reversed = self._reversed[:, :0]
            return np.zeros((self.info.channels, 0))
        share = np.arange(1, frames + 1) / frames
        old, new = before.read(frames), after.read(frames)
        before.close()
        return self._heard(Sides(*(a + (b - a) * share for a, b in zip(old, new, strict=True))))

    def _backwards(self, most: int) -> Block:
        speed = -self._speed
        if not self._reversed.shape[1]:
            if self._place <= 0:
                self._gate.go([0.0], 0)
                self._shuttle(1)
                return np.zeros((self.info.channels, 0))
            first = max(0, self._place - speed * round(REVERSE_SECONDS * self.info.sample_rate))
            self._monitor.seek(first, SHUTTLE_PRE_ROLL)
            sides = self._monitor.read(self._place - first)
            sides = Sides(*(_averaged(side[:, ::-1], speed) for side in sides))
            self._reversed = self._heard(sides)
        piece, self._reversed = self._reversed[:, :most], self._reversed[:, most:]
        self._place = max(0, self._place - piece.shape[1] * speed)
        return piece

    def _shuttle(self, speed: int) -> None:
        if speed == self._speed:
            return
        here = min(self._frame, self.info.frames)  # the shuttle may have run past the end
        self._keep_tail()
        self._speed, self._place = speed, here
        self._reversed = self._reversed[:, :0]
        if speed > 0:
            self._monitor.seek(here)
            self._fade_in()

    def _go(self, frame: int) -> None:
        """Jumps, with what would have come next dying away under what comes now."""
        self._keep_tail()
        self._place = frame
        self._reversed = self._reversed[:, :0]
        if self._loop_start is not None and self._loop_start[0] == frame:
            self._monitor.resume(self._loop_start[1])
        else:
            # a plug-in has to be heard anew at every turn of a loop, while the sound goes on
            self._monitor.seek(frame, None if self._monitor.copyable else self._edit_pre_roll(self._monitor))
        self._fade_in()

    def _keep_tail(self) -> None:
        if not self._gate.target[0] and not self._gate.moving:
            return
        if self._speed < 0:
            self._tail = self._reversed[:, : self._flip_frames].copy()
        else:
            self._tail = self._heard(self._monitor.read(self._flip_frames))
        self._tail *= np.linspace(1.0, 0.0, self._tail.shape[1])

    def _fade_in(self) -> None:
        if self._gate.target[0]:
            self._gate.go([0.0], 0)
            self._gate.go([1.0], self._flip_frames)

    def _weights_of(self) -> tuple[float, float]:
        source, repair = (10.0 ** (gain_db / 20.0) for gain_db in self._gains_db)
        stream = self._x if self._stream == "x" and self._x is not None else self._stream
        if stream == "difference":
            return -1.0, 1.0
        return (source, 0.0) if stream == "source" else (0.0, repair)


def faster(speed: int | None, steps: int) -> int:
    """A speed of the shuttle and `steps` of 1, 2, 4, 8 times more, backwards where they are negative.

    None is standing still, whose first step plays at single speed.
    """
    if speed is None:
        return 1 if steps > 0 else -1
    return SPEEDS[max(0, min(len(SPEEDS) - 1, SPEEDS.index(speed) + steps))]


def _averaged(side: Block, of: int) -> Block:
    """Means of `of` frames each (the last of fewer): [channels, frames] to [channels, frames / of]."""
    if of == 1:
        return side
    missing = -side.shape[1] % of
    padded = np.pad(side, ((0, 0), (0, missing)), mode="edge") if missing else side
    return padded.reshape(side.shape[0], -1, of).mean(axis=2)
