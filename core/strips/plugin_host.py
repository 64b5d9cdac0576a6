"""A plug-in in a process of its own, as seen from here: a crash, a hang or nonsense ends as one clear line.

Orders and answers go over two pipes, one at a time; neither writing nor reading waits for longer than it is let.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import BinaryIO, Final, NoReturn, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import UnbakeError
from core.processes import how_it_ended, last_words, spawn
from core.strips.plugin_messages import ANSWERS, Done, Load, Loaded, Order, Play, Refused, Reset, Sound

COMMAND = (sys.executable, "-u", "-P", "-c", "from core.strips.plugin_process import main; main()")
LOAD_SECONDS = 120.0
"""Some plug-ins read gigabytes of samples, or ask a licence server, before they are ready."""
ANSWER_SECONDS = 30.0
"""For at most `CHUNK_FRAMES`, or for a reset, which may load the plug-in anew."""
LEAVE_SECONDS: Final = 1.0
CHUNK_FRAMES: Final = 16_384
"""Sound that is sent at a time."""
HEADER_BYTES: Final = 4

Expected = TypeVar("Expected", Loaded, Done, Sound)


class PluginHost:
    """One plug-in that runs elsewhere. `where` is its key path, such as `strips.bass.chain[1]`, which errors name.

    Raises UnbakeError when it can't be loaded or set so, and from any method when it crashes, hangs or misbehaves,
    after which it is gone.
    """

    def __init__(self, load: Load, where: str) -> None:
        self._name = Path(load.path).name
        self._where = where
        self._channels = load.channels
        try:
            spawned = spawn(COMMAND)
        except OSError as error:
            what = f"the process of the plug-in {self._name} can't be started: {error}"
            raise UnbakeError(what, where=where) from error
        self._popen, self._orders, self._answers, self._log = spawned
        os.set_blocking(self._orders, False)
        self.close = weakref.finalize(self, _end, *spawned)
        """Ends the process; what it was at is lost."""
        self.loaded = self._ask(load, Loaded, LOAD_SECONDS)

    def reset(self) -> None:
        """Has it forget what it heard."""
        self._ask(Reset(), Done, ANSWER_SECONDS)

    def play(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the plug-in makes of a whole number of its blocks, float32 [channels, frames] both ways."""
        starts = range(0, samples.shape[1], CHUNK_FRAMES)
        parts = [self._play_some(samples[:, start : start + CHUNK_FRAMES]) for start in starts]
        return np.concatenate(parts, axis=1) if parts else samples

    def _play_some(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        sound = self._ask(Play(np.ascontiguousarray(samples, np.float32).tobytes()), Sound, ANSWER_SECONDS)
        found = np.frombuffer(sound.samples, np.float32).reshape(self._channels, -1)
        if found.shape != samples.shape:
            self._fail(f"the plug-in {self._name} gave {found.shape[1]} frames for {samples.shape[1]}")
        if not np.isfinite(found).all():
            what = "NaN" if np.isnan(found).any() else "infinite samples"
            self._fail(f"the plug-in {self._name} gave {what}")
        return found

    def _ask(self, order: Order, expected: type[Expected], seconds: float) -> Expected:
        deadline = time.monotonic() + seconds
        if not self.close.alive:
            self._fail(f"the plug-in {self._name} is gone")
        try:
            data = msgspec.msgpack.encode(order)
            self._write(len(data).to_bytes(HEADER_BYTES) + data, deadline)
            answer = ANSWERS.decode(self._read(int.from_bytes(self._read(HEADER_BYTES, deadline)), deadline))
        except TimeoutError:
            self._fail(f"the plug-in {self._name} did not answer for {seconds:g} s, and was ended")
        except (EOFError, BrokenPipeError):
            self._fail(self._how_it_ended())
        except msgspec.MsgspecError:  # it wrote between our messages
            self._fail(f"the plug-in {self._name} said what can't be read, and was ended")
        if isinstance(answer, Refused):
            what = f"{self._name} {answer.what}" if answer.key in ("", "path") else answer.what
            self._fail(what, f"{self._where}.{answer.key}" if answer.key else None, answer.remedy)
        assert isinstance(answer, expected)
        return answer

    def _write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait(self._orders, select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                rest = rest[os.write(self._orders, rest) :]

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            _wait(self._answers, select.POLLIN, deadline)
            part = os.read(self._answers, size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _how_it_ended(self) -> str:
        what = f"the plug-in {self._name}"
        try:
            status = self._popen.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            return f"{what} closed the line, and was ended"
        return how_it_ended(status, last_words(self._log), what)

    def _fail(self, what: str, where: str | None = None, remedy: str | None = None) -> NoReturn:
        self.close()
        raise UnbakeError(what, where=where or self._where, remedy=remedy)


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Returns when there is something to read or room to write, or the other side is gone. Raises TimeoutError."""
    line = select.poll()
    line.register(descriptor, event)
    if not line.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


def _end(popen: subprocess.Popen[bytes], orders: int, answers: int, log: BinaryIO) -> None:
    """Hangs up, upon which the process leaves; where it does not, it is killed."""
    os.close(orders)
    os.close(answers)
    log.close()
    try:
        popen.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()
