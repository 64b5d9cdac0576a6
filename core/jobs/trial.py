"""A network put to the test on one chunk: what it gives, how fast, and how far off it is when it reckons coarser."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from core.errors import UnbakeError
from core.events import Note, Operation, Progress
from core.separation.device import PRECISIONS, describe_device, reckoning, resolve_device
from core.separation.learnt import Finding, remember
from models import registry

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from core.separation.device import Precision
    from models.registry import Card

CPU_PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
"""Those a processor may gain from."""


class Trial(msgspec.Struct, frozen=True):
    """One call of a network in one precision.

    `realtime_factor` is seconds of audio per second of one pass; `difference_db` the rms of the difference to single
    precision below the rms of the stems, None for single precision itself and where the stems are silent.
    """

    precision: str
    seconds: float
    realtime_factor: float
    difference_db: float | None = None


def try_out(card: Card, device: str) -> Operation[tuple[str, tuple[Trial, ...]]]:
    """Has a network separate one chunk in every precision the device has, and remembers what was found.

    Gives the device as it is remembered, and the trials, single precision first. Raises UnbakeError for weights that
    are not the card's, a device that isn't here or has no room, and stems of a wrong shape or that are no numbers in
    single precision; a coarser one that gives such is noted and left out.
    """
    auto = device == "auto"
    device = resolve_device(device)
    stage = f"trying {card.name}"
    precisions = CPU_PRECISIONS if device == "cpu" else PRECISIONS
    yield Progress(stage, 0, len(precisions) + 1)
    network = registry.load(card, device)
    hardware, version, mix = (
        describe_device(device),
        registry.network_version(card),
        sound(card.chunk, card.sample_rate),
    )
    trials: list[Trial] = []
    exact: NDArray[np.float32] | None = None
    for number, precision in enumerate(precisions):
        yield Progress(stage, number + 1, len(precisions) + 1)
        try:
            stems, seconds = _call(network, card, device, precision, mix)
        except UnbakeError as error:
            if precision == "fp32":
                raise
            yield Note(f"{card.name} in {precision}: {error.what}")
            continue
        difference_db = None if exact is None else _difference_db(stems, exact)
        exact = stems if exact is None else exact
        factor = card.chunk / card.sample_rate / seconds
        trial = Trial(precision, seconds, factor, difference_db)
        remember(version, hardware, precision, Finding(factor, difference_db, tried_factor=factor), auto=auto)
        trials.append(trial)
    return hardware, tuple(trials)


def sound(frames: int, sample_rate: int) -> NDArray[np.float32]:
    """Something like music, always the same: float32 [2, frames]. Its last quarter is digital silence.

    A bass, a voice with vibrato, a chord at the sides, and beats of noise, so that whatever stems a network gives,
    there is something for most of them.
    """
    rng = np.random.default_rng(5)
    seconds = np.arange(frames) / sample_rate
    beat = np.exp(-18.0 * (seconds % 0.5))
    phase = 2 * np.pi * 220.0 * seconds + 3.0 * np.sin(2 * np.pi * 5.5 * seconds)
    voice = sum(np.sin(order * phase) / order for order in range(1, 9)) * (seconds % 2.0 > 0.4)
    bass = np.sin(2 * np.pi * 55.0 * seconds) + 0.4 * np.sin(2 * np.pi * 110.0 * seconds)
    chord = sum(np.sin(2 * np.pi * pitch * seconds) for pitch in (261.6, 329.6, 392.0))
    middle = 0.1 * voice + 0.2 * bass + 0.2 * beat * rng.standard_normal(frames)
    mix = np.stack((middle + 0.06 * chord, middle + 0.03 * chord)) + 0.002 * rng.standard_normal((2, frames))
    mix[:, frames - frames // 4 :] = 0.0
    return mix.astype(np.float32)


def _call(
    network: nn.Module, card: Card, device: str, precision: Precision, mix: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """The stems of one chunk, float32 [stems, 2, chunk], and the seconds it took."""
    import torch

    where = f"model {card.name}"
    try:
        with torch.inference_mode(), reckoning(device, precision):
            given = torch.from_numpy(mix)[None].to(device)
            if device != "cpu":  # the first call on a GPU chooses its kernels
                network(given)
                torch.cuda.synchronize(device)
            began = time.perf_counter()
            stems = network(given).float().cpu().numpy()
            seconds = time.perf_counter() - began
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UnbakeError(f"out of memory on {device}", where=where, remedy="use another --device") from error
    except RuntimeError as error:
        if re.search(r"not enough memory|out of memory|ALLOC_FAILED", str(error)):
            raise UnbakeError(f"out of memory on {device}", where=where, remedy="use another --device") from error
        what = f"the network failed: {str(error).strip().partition(chr(10))[0]}"
        raise UnbakeError(what, where=where, remedy="its card may not be that of its weights") from error
    if stems.shape != (1, len(card.stems), *mix.shape):
        what = f"the network gave the shape {list(stems.shape)} for {len(card.stems)} stems of {list(mix.shape)}"
        raise UnbakeError(what, where=where, remedy="its card does not fit the network")
    if not np.isfinite(stems).all():
        raise UnbakeError("the network gave values that are no numbers", where=where)
    return stems[0], seconds


def _difference_db(stems: NDArray[np.float32], exact: NDArray[np.float32]) -> float | None:
    signal = float(np.mean(np.square(exact, dtype=np.float64)))
    noise = float(np.mean(np.square(stems.astype(np.float64) - exact)))
    if not signal:
        return None
    return 10.0 * float(np.log10(max(noise, 1e-30) / signal))
