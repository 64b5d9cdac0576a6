"""Ways out in real time: a player that is read ahead of a clock, by a sound card or by a clock alone.

The feeder's thread fills a short queue from the player; the sound card's own thread only takes from it. What is not
there in time is an underrun: silence, counted.
"""

from __future__ import annotations

import collections
import gc
import math
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec
import numpy as np
import soxr

from core.audio.formats import AudioInfo, Block
from core.audition.ahead import ReadAhead
from core.audition.player import Player, Transport
from core.errors import UnbakeError, refusal
from core.recombine.graph import Moved

BLOCK_FRAMES: Final = 1024
AHEAD_MS: Final = 80.0
"""Of sound that waits in the queue: it comes on top of a sound card's own latency before an edit is heard."""
MOST_AHEAD_MS: Final = 250.0
"""What the queue grows to, a block for every one that came late: a machine that is busy once will be so again."""


class Played(Protocol):
    """What a feeder reads: a player, or one in another rate. `transport` tells the frames of the file."""

    info: AudioInfo

    @property
    def transport(self) -> Transport:
        """Where it is."""
        ...

    def read(self, frames: int) -> Block:
        """The next frames, float64 [channels, frames]."""
        ...


class Resampled:
    """A player in the rate of a sound card that has not got the file's (soxr, very high quality)."""

    def __init__(self, player: Player, sample_rate: int) -> None:
        self._player = player
        self.info = msgspec.structs.replace(player.info, sample_rate=sample_rate)
        self._ratio = player.info.sample_rate / sample_rate
        self._stream = soxr.ResampleStream(
            player.info.sample_rate, sample_rate, player.info.channels, dtype="float64", quality="VHQ"
        )
        self._here = np.zeros((player.info.channels, 0))

    @property
    def transport(self) -> Transport:
        """Where the player is, a few milliseconds ahead of what has come out of the filter."""
        return self._player.transport

    def read(self, frames: int) -> Block:
        """The next frames in the card's rate."""
        blocks = [self._here]
        while (missing := frames - sum(block.shape[1] for block in blocks)) > 0:
            given = self._player.read(math.ceil(missing * self._ratio))
            blocks.append(self._stream.resample_chunk(np.ascontiguousarray(given.T)).T)
        found = np.concatenate(blocks, axis=1)
        self._here = found[:, frames:]
        return found[:, :frames]


class Taken(NamedTuple):
    """A block for the clock: float64 [channels, frames], where the player was when it made it, and what moved."""

    block: Block
    frame: int
    moved: tuple[Moved, ...]


class Feeder:
    """Reads a player ahead of who plays it. Use as a context manager; `take` is what a clock calls.

    `underruns` counts blocks that were not there in time (after each the queue is longer), `position` is the frame that
    is heard, `peaks` the largest magnitude of each channel of what was taken last, `moved` the gains that followed it.
    An error of the player ends the feeding and lies in `error`.
    """

    def __init__(self, player: Played, *, block_frames: int = BLOCK_FRAMES, ahead_ms: float = AHEAD_MS) -> None:
        self._player = player
        self.block_frames = block_frames
        self._blocks = max(2, round(ahead_ms * player.info.sample_rate / 1000 / block_frames))
        self._most_blocks = max(self._blocks, round(MOST_AHEAD_MS * player.info.sample_rate / 1000 / block_frames))
        self._queue: collections.deque[Taken] = collections.deque()
        self._room = threading.Semaphore(self._blocks)
        self._full = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        self.underruns = 0
        self.position = player.transport.frame
        self.peaks = np.zeros(player.info.channels)
        self.moved: tuple[Moved, ...] = ()
        self.error: UnbakeError | None = None

    def take(self) -> Block:
        """The next block, `block_frames` long; silence when it is not there in time."""
        try:
            taken = self._queue.popleft()
        except IndexError:
            if not self._ended:
                self.underruns += 1
                if self._blocks < self._most_blocks:
                    self._blocks += 1
                    self._room.release()
            return np.zeros((self._player.info.channels, self.block_frames))
        self._room.release()
        self.position = taken.frame
        self.peaks = np.abs(taken.block).max(axis=1)
        self.moved = taken.moved
        return taken.block

    def _feed(self) -> None:
        while True:
            self._room.acquire()
            if self._ended:
                return
            try:
                frame = self._player.transport.frame
                block = self._player.read(self.block_frames)
                self._queue.append(Taken(block, frame, self._player.transport.moved))
            except Exception as error:  # whatever it is, who waits for blocks must hear of it
                said = f"what is played can't be read ({error})"
                self.error, self._ended = refusal(error) or UnbakeError(said), True
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
    latency_s = 0.0

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
    """The device of a name, or whose name holds it; without one the system's default.

    Raises UnbakeError when there is none.
    """
    found = devices()
    if not found:
        raise UnbakeError("this machine has no sound card", remedy="listen in a browser: unbake play --browser")
    if name is None:
        default = sound_module().default.device[1]
        return next((device for device in found if device.number == default), found[0])
    fitting = [device for device in found if device.name == name]
    fitting += [device for device in found if name.lower() in device.name.lower()]
    if not fitting:
        known = ", ".join(device.name for device in found)
        raise UnbakeError(f'no sound card is called "{name}"', remedy=f"there are: {known}")
    return fitting[0]


class Plan(NamedTuple):
    """How a device plays a file: at which rate in Hz, how many of its channels, and alone on the device or not."""

    device: Device
    info: AudioInfo
    sample_rate: int
    channels: int
    exclusive: Any = None

    @property
    def resampled(self) -> bool:
        """Whether the device has not got the file's rate."""
        return self.sample_rate != self.info.sample_rate

    def words(self) -> str:
        """What an engineer should know of it; nothing where every sample gets there."""
        found = [f"resampled to {self.sample_rate} Hz"] if self.resampled else []
        if self.channels < self.info.channels:
            found.append(f"only the first {self.channels} of {self.info.channels} channels are heard")
        return ", ".join(found)


def plan(device: Device, info: AudioInfo) -> Plan:
    """How a device can play a file: alone on it where its system offers that, at the file's rate where it has that.

    Raises UnbakeError when it takes neither the file's rate nor its own.
    """
    module = sound_module()
    channels = min(info.channels, device.channels)
    for rate in dict.fromkeys((info.sample_rate, device.sample_rate)):
        for exclusive in (*_exclusive(module, device), None):
            try:
                module.check_output_settings(device.number, channels, "float32", exclusive, rate)
            except (module.PortAudioError, ValueError):
                continue
            return Plan(device, info, rate, channels, exclusive)
    raise UnbakeError(
        f"the sound card can play neither {info.sample_rate} nor {device.sample_rate} Hz with {channels} channels",
        where=device.name,
        remedy="choose another --card, or --browser",
    )


def _exclusive(module: Any, device: Device) -> list[Any]:
    """What asks a device's system for the device alone, in its own rate; on ALSA a `hw:` device is that by itself."""
    system = module.query_hostapis(module.query_devices(device.number)["hostapi"])["name"]
    if "WASAPI" in system:
        return [module.WasapiSettings(exclusive=True)]
    if "Core Audio" in system:
        return [module.CoreAudioSettings(change_device_parameters=True, fail_if_conversion_required=True)]
    return []


class SoundCardSink:
    """Plays on a sound card as planned. `dropped` counts what it reports as missed, `latency_s` is its own.

    `ended` is called from another thread when the device goes away. Raises UnbakeError when it can't be opened.
    """

    def __init__(self, feeder: Feeder, planned: Plan, ended: Callable[[], None]) -> None:
        self._module = sound_module()
        self._feeder = feeder
        self._name = planned.device.name
        self._channels = planned.channels
        self.dropped = 0
        self._closing = False

        def finished() -> None:
            if not self._closing:
                ended()

        try:
            self._stream = self._module.OutputStream(
                samplerate=planned.sample_rate,
                blocksize=feeder.block_frames,
                device=planned.device.number,
                channels=planned.channels,
                dtype="float32",
                latency="low",
                extra_settings=planned.exclusive,
                callback=self._fill,
                finished_callback=finished,
            )
        except self._module.PortAudioError as error:
            raise self._not_opened(error) from error
        self.latency_s: float = self._stream.latency

    def _fill(self, out: Any, frames: int, _time: Any, status: Any) -> None:
        if status:
            self.dropped += 1
        block = self._feeder.take()
        out[:] = block[: self._channels, :frames].T

    def _not_opened(self, error: Exception) -> UnbakeError:
        what = f"the sound card can't be opened: {error.args[0] if error.args else error}"
        return UnbakeError(what, where=self._name, remedy="choose another --card, or --browser")

    def __enter__(self) -> Self:
        try:
            self._stream.start()
        except self._module.PortAudioError as error:
            self._closing = True
            self._stream.close()
            raise self._not_opened(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._stream.close()


class Playing:
    """A player on its way out. Use as a context manager; `words` is what an engineer should know of the way."""

    def __init__(
        self,
        feeder: Feeder,
        sink: ClockSink | SoundCardSink,
        ahead: ReadAhead | None = None,
        *,
        words: str = "",
        device_rate: int = 0,
    ) -> None:
        self.feeder = feeder
        self.sink = sink
        self._ahead = ahead or nullcontext()
        self.words = words
        self.device_rate = device_rate

    @property
    def late(self) -> int:
        """Blocks that came too late, for the feeder's reasons or the card's."""
        return self.feeder.underruns + self.sink.dropped

    def __enter__(self) -> Self:
        # a full collection stops every thread for as long as it has objects to look at (60 ms of a program's modules)
        gc.collect()
        gc.freeze()
        self._ahead.__enter__()
        self.feeder.__enter__()
        try:
            self.sink.__enter__()
        except BaseException:
            self._fall_silent()
            raise
        return self

    def __exit__(self, *raised: Any) -> None:
        try:
            self.sink.__exit__(*raised)
        finally:
            self._fall_silent()

    def _fall_silent(self) -> None:
        self.feeder.__exit__()
        self._ahead.__exit__(None, None, None)
        gc.unfreeze()


def on_card(player: Player, device: Device, ended: Callable[[], None]) -> Playing:
    """A player on a sound card. Raises UnbakeError as `plan` and `SoundCardSink` do."""
    planned = plan(device, player.info)
    feeder = Feeder(Resampled(player, planned.sample_rate) if planned.resampled else player)
    sink = SoundCardSink(feeder, planned, ended)
    return Playing(feeder, sink, ReadAhead(player), words=planned.words(), device_rate=planned.sample_rate)


def on_clock(player: Player) -> Playing:
    """A player that nobody hears, in real time."""
    feeder = Feeder(player)
    return Playing(feeder, ClockSink(feeder, player.info.sample_rate), ReadAhead(player))
