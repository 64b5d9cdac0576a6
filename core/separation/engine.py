"""Runs a network over a signal of any length in the memory of a few chunks.

The engine takes a function that reads the input anywhere and gives finished frames in order; it knows nothing of
files. Torch is imported inside the functions, so that importing this module costs nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from core.errors import UnbakeError
from core.events import Note
from core.separation import plan as plans
from core.separation.device import measure_batch, reckoning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from core.separation.device import Precision
    from core.separation.plan import ChunkPlan


class Scale(NamedTuple):
    """What a network hears of a frame x: (x - `mean`) / `deviation`; its stems are multiplied by `deviation` again.

    The mean is no part of a stem: it stays in the residual.
    """

    mean: float = 0.0
    deviation: float = 1.0


class Finished(NamedTuple):
    """Frames that no later chunk touches.

    `audio` is float32 [stems, 2, n], from frame `start` on (n may be 0); each network call took up to `batch` chunks.
    """

    start: int
    audio: NDArray[np.float32]
    batch: int


class OutOfMemory(Exception):  # noqa: N818 - it never leaves this module
    """The device had no room for a batch."""


class Engine:
    """One network on one device, with its windows.

    `module` maps float32 [batch, 2, chunk] to float32 [batch, stems, 2, chunk]; `wanted` are the indexes of the stems
    to keep, which a module that has an attribute of that name is told: it may leave the others silent. `batch` is
    chunks of a call. A run may be taken up at any frame and then gives the same values as one from
    the start: batches begin at chunks whose index is a multiple of the batch, and chunks are added up in their order.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        device: str,
        *,
        stems: int,
        wanted: Sequence[int],
        batch: int = 1,
        precision: Precision = "fp32",
        compiled: bool = False,
    ) -> None:
        self.module = module
        self.name = name
        self.device = device
        self.stems = stems
        self.wanted = list(wanted)
        told: Any = module
        if hasattr(told, "wanted"):
            told.wanted = tuple(wanted)
        self.batch = batch
        self.precision: Precision = precision
        self.call = compile_network(module) if compiled else module
        self.ahead = device != "cpu"
        """Whether the next batch is started before the frames of this one are given out: on a GPU both then go on."""

    def fit(self, plan: ChunkPlan) -> None:
        """Chooses the batch that the device has room for, at most what the plan needs."""
        try:
            self.batch = self._guard(
                lambda: measure_batch(
                    self.device, lambda chunks: self._infer(np.ones((chunks, 2, plan.chunk), np.float32)), plan.count
                )
            )
        except OutOfMemory:
            self._free()
            self.batch = 1

    def run(
        self,
        plan: ChunkPlan,
        read: Callable[[int, int], NDArray[np.float32]],
        first_frame: int = 0,
        last_frame: int | None = None,
        scale: Scale = Scale(),  # noqa: B008 - immutable
    ) -> Generator[Finished | Note, None, None]:
        """Finished frames from `first_frame` to before `last_frame` (None: the end), in order.

        Also a note whenever the batch had to be halved. `read(start, frames)` gives float32 [2, frames] and is asked
        for frames before 0 and past the length too. Closing the iterator ends the run. Raises UnbakeError when one
        chunk alone has no room on the device, and when the network gives values that are not finite or of another
        shape than it should.
        """
        frame, last = first_frame, plan.length if last_frame is None else last_frame
        while True:
            try:
                for finished in self._pass(plan, read, frame, last, scale):
                    yield finished
                    frame = max(frame, finished.start + finished.audio.shape[-1])
                return
            except OutOfMemory as error:
                if self.batch == 1:
                    remedy = "use --device cpu" if self.device != "cpu" else "close other programs"
                    what = f"out of memory on {self.device} with one chunk of the network {self.name}"
                    raise UnbakeError(what, remedy=remedy) from error
            # Outside the except block, where the traceback would keep the tensors alive.
            self._free()
            self.batch //= 2
            yield Note(f"{self.device} is out of memory: going on with {self.batch} chunk(s) at a time")

    def _pass(
        self, plan: ChunkPlan, read: Callable[[int, int], NDArray[np.float32]], first: int, last: int, scale: Scale
    ) -> Iterator[Finished]:
        """`run` with one batch size, until the end or until memory runs out."""
        batch = self.batch
        index, stop = plan.first_chunk(first) // batch * batch, plan.chunks_until(last)
        ring = self._guard(lambda: Ring(self.device, plan, batch, len(self.wanted)))
        waiting: tuple[Copy, int] | None = None
        while index < stop:
            # a batch is always filled as far as the plan goes, whatever is asked for of it: its other chunks may count
            count = min(batch, plan.count - index)
            mix = np.zeros((batch, 2, plan.chunk), np.float32)
            for position in range(count):
                mix[position] = read(plan.start(index + position), plan.chunk)
            heard = [bool(mix[position].any()) for position in range(count)]
            if scale != Scale():
                mix = (mix - np.float32(scale.mean)) / np.float32(scale.deviation)
            copy = self._guard(
                lambda mix=mix, heard=heard: ring.add(self._infer(mix) if any(heard) else None, heard, scale.deviation)
            )
            start, index = plan.start(index), index + count
            if waiting is not None:
                yield self._finished(plan, first, last, *waiting)
            waiting = (copy, start)
            if not self.ahead:
                yield self._finished(plan, first, last, *waiting)
                waiting = None
        if waiting is not None:
            yield self._finished(plan, first, last, *waiting)

    def _infer(self, mix: NDArray[np.float32]) -> Tensor:
        """The wanted stems of a batch: float32 [batch, stems, 2, chunk] on the device."""
        import torch

        with torch.inference_mode(), reckoning(self.device, self.precision):
            given = torch.from_numpy(mix)
            if self.device != "cpu":
                given = given.pin_memory().to(self.device, non_blocking=True)
            stems = self.call(given)
            if tuple(stems.shape) != (len(mix), self.stems, *mix.shape[1:]):
                what = f"the network gave the shape {list(stems.shape)} for a mix of {list(mix.shape)}"
                raise UnbakeError(what, where=self.name, remedy="its card doesn't fit the network")
            if self.wanted != list(range(self.stems)):
                stems = stems[:, self.wanted]
            return stems.float()

    def _finished(self, plan: ChunkPlan, first: int, last: int, copy: Copy, start: int) -> Finished:
        """The part of a copy that is asked for and was not given before."""
        audio = copy.wait()
        begin, end = max(start, first, 0), min(start + audio.shape[-1], last)
        audio = audio[..., begin - start : max(begin, end) - start]
        if not np.isfinite(audio).all():
            frame = begin + int(np.flatnonzero(~np.isfinite(audio).all(axis=(0, 1)))[0])
            what = f"the network gave values that are no numbers (chunk {frame // plan.hop}, its frame {frame})"
            remedy = "use another model" if self.precision in ("fp32", "tf32") else "use --precision fp32"
            raise UnbakeError(what, where=self.name, remedy=remedy)
        return Finished(begin, audio, self.batch)

    def _guard(self, work: Callable[[], Any]) -> Any:
        """Runs `work` with the device's own ways of saying that memory ran out made one."""
        import torch

        try:
            return work()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemory from error
        except RuntimeError as error:
            # The CPU allocator and cuDNN say it in a plain RuntimeError.
            if re.search(r"DefaultCPUAllocator|not enough memory|out of memory|ALLOC_FAILED", str(error)):
                raise OutOfMemory from error
            raise

    def _free(self) -> None:
        """Gives memory that torch only keeps for later back to the device."""
        import torch

        if self.device != "cpu":
            torch.cuda.empty_cache()

    def close(self) -> None:
        """Lets go of the network, and of the device's memory."""
        del self.module, self.call
        self._free()


def compile_network(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network with its blocks compiled by torch's own compiler, each at its first call.

    Blocks, not the whole: over a graph of thousands of steps the compiler sits longer than any song takes. Nothing is
    tuned by measuring, which would choose other kernels, and other last bits, from run to run.
    Raises UnbakeError when the compiler's own needs are not met.
    """
    from torch._dynamo.exc import TorchDynamoException

    for block in blocks_of(module):
        block.compile(dynamic=False)

    def call(mix: Tensor) -> Tensor:
        try:
            return module(mix)
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            what = f"torch can't compile this network here: {reason[:160]}"
            raise UnbakeError(
                what, where="--compile", remedy="leave --compile out, or install a C++ compiler"
            ) from error

    return call


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The outermost repeated parts of a network: members of its module lists; the network itself where it has none."""
    from torch import nn

    def parts(parent: nn.Module, repeated: bool) -> Iterator[nn.Module]:
        for child in parent.children():
            if isinstance(child, nn.ModuleList):
                yield from parts(child, True)
            elif repeated:
                yield child
            else:
                yield from parts(child, False)

    return list(parts(module, False)) or [module]


class Ring:
    """The sum of the chunks that still may change: float32 [stems, 2, chunk + (batch - 1) hop] on the device.

    Frame n of the plan lies at n modulo the size; `origin` is where the next batch's first chunk starts.
    """

    def __init__(self, device: str, plan: ChunkPlan, batch: int, stems: int) -> None:
        import torch

        self.device, self.hop, self.chunk = device, plan.hop, plan.chunk
        self.weights = torch.from_numpy(plans.weights(plan.chunk, plan.hop)).to(device)
        self.size, self.origin = plan.chunk + (batch - 1) * plan.hop, 0
        self.sum = torch.zeros((stems, 2, self.size), device=device)

    def add(self, stems: Tensor | None, heard: Sequence[bool], gain: float = 1.0) -> Copy:
        """Adds a batch's chunks that have sound (none when `stems` is None) and moves on past as many as were in it.

        What is final now comes back, times `gain`.
        """
        import torch

        with torch.inference_mode():
            for position, sounds in enumerate(heard):
                if sounds and stems is not None:
                    for ring, chunk in self._parts(position * self.hop, self.chunk):
                        self.sum[..., ring].addcmul_(stems[position][..., chunk], self.weights[chunk])
            done = len(heard) * self.hop
            parts = [self.sum[..., ring] for ring, _ in self._parts(0, done)]
            if gain != 1.0:
                for part in parts:
                    part.mul_(gain)
            copy = Copy(parts, self.device)
            for part in parts:
                part.zero_()
            self.origin = (self.origin + done) % self.size
            return copy

    def _parts(self, offset: int, frames: int) -> Iterator[tuple[slice, slice]]:
        """Where `frames` frames from `offset` past the origin lie in the ring, and which of them those are."""
        begin = (self.origin + offset) % self.size
        first = min(frames, self.size - begin)
        yield slice(begin, begin + first), slice(0, first)
        if first < frames:
            yield slice(0, frames - first), slice(first, frames)


class Copy:
    """Frames on their way from the device to the host, in the order of `parts` [stems, 2, n]."""

    def __init__(self, parts: Sequence[Tensor], device: str) -> None:
        import torch

        self.arrived = None
        shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        self.host = torch.empty(shape, pin_memory=device != "cpu")
        begin = 0
        for part in parts:
            end = begin + part.shape[-1]
            self.host[..., begin:end].copy_(part, non_blocking=device != "cpu")
            begin = end
        if device != "cpu":
            self.arrived = torch.cuda.Event()
            self.arrived.record(torch.cuda.current_stream(device))

    def wait(self) -> NDArray[np.float32]:
        """The frames, once they are here."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.host.numpy()
