"""Ways out in real time: a player that is read ahead of a clock, by a sound card or by a clock alone.

The feeder's thread fills a short queue from the player; the sound card's own thread only takes from it. What is not
there in time is an underrun: silence, counted.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np

from core.audio.formats import Block
from core.audition.player import Player
from core.errors import UnbakeError

BLOCK_FRAMES: Final = 1024
AHEAD_MS: Final = 80.0
"""Of sound that waits in the queue: with the sound card's own latency an edit is heard within 150 ms."""


class Taken(NamedTuple):
    """A block for the clock: float64 [channels, frames], and where the player was when it made it."""

    block: Block
    frame: int


class Feeder:
    """Reads a player ahead of who plays it. Use as a context manager; `take` is what a clock calls.

    `underruns` counts blocks that were not there in time, `position` is the frame that is heard, `peaks` the largest
    magnitude of each channel of what was taken last. An error of the player ends the feeding and lies in `error`.
    """

    def __init__(self, player: Player, *, block_frames: int = BLOCK_FRAMES, ahead_ms: float = AHEAD_MS) -> None:
        self._player = player
        self.block_frames = block_frames
        self._blocks = max(2, round(ahead_ms * player.info.sample_rate / 1000 / block_frames))
        self._queue: collections.deque[Taken] = collections.deque()
        self._room = threading.Semaphore(self._blocks)
        self._full = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        self.underruns = 0
        self.position = player.transport.frame
        self.peaks = np.zeros(player.info.channels)
        self.error: UnbakeError | None = None

    def take(self) -> Block:
        """The next block, `block_frames` long; silence when it is not there in time."""
        try:
            taken = self._queue.popleft()
        except IndexError:
            if not self._ended:
                self.underruns += 1
            return np.zeros((self._player.info.channels, self.block_frames))
        self._room.release()
        self.position = taken.frame
        self.peaks = np.abs(taken.block).max(axis=1)
        return taken.block

    def _feed(self) -> None:
        while True:
            self._room.acquire()
            if self._ended:
                return
            try:
                frame = self._player.transport.frame
                self._queue.append(Taken(self._player.read(self.block_frames), frame))
            except UnbakeError as error:
                self.error, self._ended = error, True
                self._full.set()
                return
            if len(self._queue) >= self._blocks:
                self._full.set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._full.wait()  # a clock that starts before the queue is full would count underruns of its own making
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._room.release()
        self._thread.join()


class ClockSink:
    """Plays to nobody, in time with the system's clock: what a sound card asks for, without one."""

    dropped = 0
    """A clock misses nothing by itself."""

    def __init__(self, feeder: Feeder, sample_rate: int) -> None:
        self._feeder = feeder
        self._period = feeder.block_frames / sample_rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._feeder.take()
            due += self._period
            self._stop.wait(max(0.0, due - time.monotonic()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Device(NamedTuple):
    """A way out of the sound system: its number and name there, channels it has, the rate it prefers in Hz."""

    number: int
    name: str
    channels: int
    sample_rate: int


def sound_module() -> Any:
    """The sound system. Raises UnbakeError where there is none, with what to do."""
    try:
        import sounddevice
    except ImportError as error:
        raise UnbakeError("sound cards need the package sounddevice", remedy="pip install sounddevice") from error
    except OSError as error:
        remedy = "apt-get install libportaudio2, or listen in a browser: unbake play --browser"
        raise UnbakeError("the PortAudio library is not on this machine", remedy=remedy) from error
    return sounddevice


def devices() -> list[Device]:
    """Every way out there is. Raises UnbakeError where there is no sound system."""
    found = sound_module().query_devices()
    return [
        Device(number, each["name"], each["max_output_channels"], round(each["default_samplerate"]))
        for number, each in enumerate(found)
        if each["max_output_channels"] > 0
    ]


def choose_device(name: str | None) -> Device:
    """The device whose name holds `name`; without one the first. Raises UnbakeError when there is none."""
    found = devices()
    if not found:
        raise UnbakeError("this machine has no sound card", remedy="listen in a browser: unbake play --browser")
    if name is None:
        return found[0]
    fitting = [device for device in found if name.lower() in device.name.lower()]
    if not fitting:
        known = ", ".join(device.name for device in found)
        raise UnbakeError(f'no sound card is called "{name}"', remedy=f"there are: {known}")
    return fitting[0]


class SoundCardSink:
    """Plays on a sound card, at the file's own rate. `dropped` counts what the card itself reports as missed.

    `ended` is called from another thread when the device goes away. Raises UnbakeError when it can't play this rate or
    these channels.
    """

    def __init__(
        self, feeder: Feeder, device: Device, sample_rate: int, channels: int, ended: Callable[[], None]
    ) -> None:
        self._module = sound_module()
        self._feeder = feeder
        self._channels = min(channels, device.channels)
        self.dropped = 0
        self._closing = False

        def finished() -> None:
            if not self._closing:
                ended()

        try:
            self._stream = self._module.OutputStream(
                samplerate=sample_rate,
                blocksize=feeder.block_frames,
                device=device.number,
                channels=self._channels,
                dtype="float32",
                latency="low",
                callback=self._fill,
                finished_callback=finished,
            )
        except self._module.PortAudioError as error:
            what = f"the sound card can't play {sample_rate} Hz with {self._channels} channels"
            raise UnbakeError(what, where=device.name, remedy="choose another --device, or --browser") from error

    def _fill(self, out: Any, frames: int, _time: Any, status: Any) -> None:
        if status:
            self.dropped += 1
        block = self._feeder.take()
        out[:] = block[: self._channels, :frames].T

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._stream.close()
