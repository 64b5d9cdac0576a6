"""The device a network runs on: its name, how exactly it reckons, how many chunks it has room for.

Torch is imported inside the functions, so that importing this module costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any, Literal, get_args

from core.errors import UnbakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""How a network reckons. Its STFT, masks and sums are 32-bit floats in all of them.

`fp32`: IEEE single precision throughout. `tf32`: matrix products and convolutions of a GPU on operands of 10 bits.
`bf16`, `fp16`: matrix products, convolutions and what lies between them in 16-bit floats of 7 or 10 bits.
"""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
GPU_ONLY: tuple[Precision, ...] = ("tf32", "fp16")
"""Those that a processor has not, or is many times slower in."""
MOST_CHUNKS = 32
"""Chunks of one network call at most: more fill no GPU better, and cost more when one is done twice."""
SHARE_OF_MEMORY = 0.8
"""How much of the free memory of a GPU a batch may take; the rest is for other programs and for fragments."""


def check_device_name(name: str) -> None:
    """Refuses what is not `auto`, `cpu`, `cuda` or `cuda:N`, without importing torch."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UnbakeError(f'no device is called "{name}"', remedy="use auto, cpu, cuda or cuda:N")


def check_precision(name: str, device: str = "") -> None:
    """Refuses what is neither `auto` nor a `Precision`, and on the CPU what only GPUs have."""
    if name not in ("auto", *PRECISIONS):
        raise UnbakeError(f'no precision is called "{name}"', remedy=f"use auto, {', '.join(PRECISIONS)}")
    if name in GPU_ONLY and device == "cpu":
        raise UnbakeError(f"{name} is a number format of GPUs", where="precision", remedy="use fp32 or bf16")


def resolve_device(name: str) -> str:
    """`cpu` or `cuda:N` for what was asked; `auto` takes the first GPU there is. Refuses devices that aren't here."""
    check_device_name(name)
    import torch

    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise UnbakeError("no CUDA device on this machine", where=f"device {name}", remedy="use --device cpu")
    number = int(name.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        what = f"this machine has {torch.cuda.device_count()} CUDA device(s), numbered from 0"
        raise UnbakeError(what, where=f"device {name}", remedy="use another --device")
    return f"cuda:{number}"


def describe_device(device: str) -> str:
    """What decides the last bits of a result: kind of device and torch version. Work of two of them is never mixed."""
    import torch

    hardware = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
    return f"{hardware}, torch {torch.__version__}"


@contextlib.contextmanager
def reckoning(device: str, precision: Precision) -> Iterator[None]:
    """Has torch reckon as `precision` says, and the same way each time, for as long as the context is open.

    TF32 is off unless it was asked for, whatever torch's own defaults are. On a GPU kernels that give the same bits
    each time are used wherever torch has such.
    """
    import torch

    gpu = device != "cpu"
    if gpu:
        # cuBLAS is only deterministic with a workspace of fixed size; it reads this when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn: Any = torch.backends.cudnn
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn) if gpu else ()
    before = [backend.fp32_precision for backend in backends]
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        for backend in backends:
            backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        if gpu:
            torch.use_deterministic_algorithms(True, warn_only=True)
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        if dtype is None:
            yield
        else:
            with torch.autocast(torch.device(device).type, dtype):
                yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        for backend, was in zip(backends, before, strict=True):
            backend.fp32_precision = was


def chunks_that_fit(one: int, two: int, free: int, most: int) -> int:
    """How many chunks a network call may take: a power of two, 1 to `MOST_CHUNKS`.

    `one` and `two` are the bytes that calls with one and with two chunks took at their peak, `free` the bytes there are
    and `most` the chunks there are to do.
    """
    each = max(1, two - one)
    fit = int((SHARE_OF_MEMORY * free - (one - each)) // each)
    batch = 1
    while batch * 2 <= min(fit, MOST_CHUNKS) and batch < most:
        batch *= 2
    return batch


def measure_batch(device: str, call: Callable[[int], object], most: int) -> int:
    """How many chunks at a time the device has room for, found by calling the network with one and with two.

    One on the CPU, where more only cost memory. Raises what the network raises when memory runs out.
    """
    if device == "cpu" or most <= 1:
        return 1
    import torch

    def peak(chunks: int) -> int:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call(chunks)
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before

    call(1)  # libraries load and choose their workspaces on the first call
    one, two = peak(1), peak(2)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return chunks_that_fit(one, two, free, most)
