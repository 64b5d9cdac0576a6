"""The user's own VST3 plug-ins as stages: fixed blocks, a measured latency, and crashes that take nothing down.

A plug-in computes in float32, in a process of its own (`plugin_host`), and always gets blocks of `BLOCK_FRAMES`, so
that what it gives does not depend on the blocks of the graph.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from core.errors import UnbakeError
from core.session.processors import Vst3
from core.strips.plugin_host import PluginHost
from core.strips.plugin_messages import Load, PluginParameter
from core.strips.stage import Block

BLOCK_FRAMES: Final = 512
PRE_ROLL_SECONDS: Final = 10.0
"""Nobody can know how long a plug-in remembers; a reverb may remember longer than this."""
LISTENED_SECONDS: Final = 1.0
"""How long beyond the reported latency the answer to an impulse is waited for."""
IMPULSE: Final = 0.5
ALONE_SHARE: Final = 0.9
"""Of the energy of that answer in one frame, above which it is the impulse itself that came through, only later."""
FOLDERS: Final = ("~/.vst3", "/usr/lib/vst3", "/usr/local/lib/vst3")
"""Where VST3 plug-ins lie on Linux."""
ELF_MACHINES: Final = {"x86_64": 0x3E, "aarch64": 0xB7}


class Latency(NamedTuple):
    """Frames by which a plug-in lags: what it reports, and what an impulse took; None where that could not be told."""

    reported: int
    measured: int | None

    @property
    def stated(self) -> int:
        """What the graph takes out: what was measured, wherever it could be."""
        return self.reported if self.measured is None else self.measured


class PluginStage:
    """A plug-in that runs. It holds back `BLOCK_FRAMES - 1` frames more than the plug-in does, to fill its blocks.

    `where` is its key path, such as `strips.bass.chain[1]`. Raises UnbakeError naming it, or a key below it, when the
    plug-in can't be loaded, set or run with so many channels, and from `process` when it crashes, hangs, or gives
    another length, NaN or infinite samples.
    """

    copyable: Final = False

    def __init__(self, processor: Vst3, where: str, sample_rate: int, channels: int) -> None:
        path = find(processor.path, f"{where}.path")
        load = Load(str(path), processor.plugin, processor.parameters, sample_rate, channels, BLOCK_FRAMES)
        self._host = PluginHost(load, where)
        try:
            self.name = self._host.loaded.name
            self.parameters: tuple[PluginParameter, ...] = self._host.loaded.parameters
            self.plugin_latency = measure(self._host, channels, sample_rate)
        except BaseException:
            self._host.close()
            raise
        self.latency = self.plugin_latency.stated + BLOCK_FRAMES - 1
        self.memory = max(self.latency, round(PRE_ROLL_SECONDS * sample_rate))
        self._channels = channels
        self._begin()

    def process(self, block: Block) -> Block:
        """The next block. See `Stage`."""
        self._heard = True
        waiting = np.concatenate([self._waiting, block.astype(np.float32)], axis=1)
        whole = waiting.shape[1] // BLOCK_FRAMES * BLOCK_FRAMES
        given, self._waiting = waiting[:, :whole], waiting[:, whole:]
        ready = np.concatenate([self._ready, self._host.play(given)], axis=1)
        done, self._ready = ready[:, : block.shape[1]], ready[:, block.shape[1] :]
        return done.astype(np.float64)

    def reset(self) -> None:
        """Begins anew, as the plug-in itself does it."""
        if self._heard:
            self._host.reset()
            self._begin()

    def close(self) -> None:
        """Ends the plug-in's process."""
        self._host.close()

    def _begin(self) -> None:
        self._heard = False
        self._waiting = np.zeros((self._channels, 0), np.float32)
        self._ready = np.zeros((self._channels, BLOCK_FRAMES - 1), np.float32)

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise TypeError("what a plug-in remembers can't be copied")


def measure(host: PluginHost, channels: int, sample_rate: int) -> Latency:
    """Sends an impulse through a plug-in that heard nothing yet, and leaves it reset.

    Filters, reverbs and gates answer with something else than the impulse; then only their word is known.
    """
    reported = host.loaded.latency
    blocks = -(-(reported + round(LISTENED_SECONDS * sample_rate)) // BLOCK_FRAMES)
    impulse = np.zeros((channels, blocks * BLOCK_FRAMES), np.float32)
    impulse[:, 0] = IMPULSE
    answer = host.play(impulse)
    host.reset()
    energy = np.square(answer, dtype=np.float64).sum(axis=0)
    peak = int(energy.argmax())
    alone = energy[peak] > 0.0 and energy[peak] >= ALONE_SHARE * energy.sum()
    return Latency(reported, peak if alone else None)


def repeats(processor: Vst3, where: str, sample_rate: int, channels: int, seconds: float = 5.0) -> bool:
    """Whether a plug-in, loaded twice, gives the same samples for the same sound (noise and silence by turns)."""
    frames = round(seconds * sample_rate) // BLOCK_FRAMES * BLOCK_FRAMES
    noise = 0.1 * np.random.default_rng(1).standard_normal((channels, frames))
    noise[:, (np.arange(frames) // BLOCK_FRAMES) % 8 >= 4] = 0.0

    def heard() -> NDArray[np.float64]:
        stage = PluginStage(processor, where, sample_rate, channels)
        try:
            return stage.process(noise)
        finally:
            stage.close()

    return np.array_equal(heard(), heard())


def find(path: str, where: str) -> Path:
    """The file or folder of a plug-in: a path, or a bare name that lies in one of `FOLDERS`.

    Raises UnbakeError at `where` when it is not there, is no VST3 plug-in, or holds nothing for this machine.
    """
    named = Path(path).expanduser()
    if named.name == path:
        places = [Path(folder).expanduser() / path for folder in FOLDERS]
        found = next((place for place in places if place.exists()), None)
        if found is None:
            remedy = f"give its full path; looked in {', '.join(FOLDERS)}"
            raise UnbakeError(f"there is no plug-in {path}", where=where, remedy=remedy)
    elif not named.is_absolute():
        raise UnbakeError(f"{path} is neither a full path nor the bare name of a plug-in", where=where)
    else:
        found = named
    if not found.exists():
        raise UnbakeError(f"there is no plug-in {found}", where=where)
    if found.suffix.lower() != ".vst3":
        raise UnbakeError(f"{found} is no VST3 plug-in, whose name ends in .vst3", where=where)
    _check_machine(found, where)
    return found


def _check_machine(path: Path, where: str) -> None:
    """Refuses what was built for other machines only, which the loader would call a failure without a reason."""
    machine = platform.machine()
    binary = path
    if path.is_dir():
        contents = path / "Contents"
        binary = contents / f"{machine}-linux" / f"{path.stem}.so"
        if not binary.exists():
            others = sorted(each.name for each in contents.iterdir() if each.is_dir()) if contents.is_dir() else []
            built = [name for name in others if name not in ("Resources", "_CodeSignature")]
            held = f"it holds {', '.join(built)}" if built else "it holds no program"
            raise UnbakeError(f"{path} has nothing for this machine ({machine}-linux): {held}", where=where)
    try:
        with binary.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise UnbakeError(f"{binary} can't be read: {(error.strerror or str(error)).lower()}", where=where) from error
    wanted = ELF_MACHINES.get(machine)
    if head[:4] != b"\x7fELF" or (wanted is not None and int.from_bytes(head[18:20], "little") != wanted):
        raise UnbakeError(f"{binary} is not a program for this machine ({machine}-linux)", where=where)
