"""Peaks made anew: frames that are as predictable as they can be with every sample that was not clipped.

In each windowed frame the unknown samples z minimise sum |X_k|^2 |A_k|^2, the frame's error of prediction, and the
prediction-error filter A is in turn learnt from what was found. That is the interpolation of A. J. E. M. Janssen,
R. N. J. Veldhuis and L. B. Vries, "Adaptive interpolation of discrete-time signals that can be modeled as
autoregressive processes", IEEE Trans. Acoustics, Speech, and Signal Processing 34/2, 1986, in a windowed frame, at an
order that has a pole pair for every partial, and with the bounds of clipping as an active set. Each step solves for the
unknown samples exactly: the normal equations are Toeplitz in the frame, and their entries are one inverse transform of
|A|^2.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.audio.formats import Block
from core.cleanup.prediction import levinson

Signs = NDArray[np.int8]
"""+1 where a sample was clipped from above, -1 from below, 0 where it was not: int8 [channels, frames]."""

FRAME_SECONDS: Final = 0.093
SMALLEST, LARGEST = 512, 8192  # samples
DENSE: Final = 768
"""Unknown samples in a frame: with more of them it is cut into shorter ones, as the cost grows with their cube."""
LEAST_STEPS, MOST_STEPS = 3, 6
STILL_DB: Final = -40.0
"""A frame whose peaks moved by less than this of their height since the last step is done."""
ORDER: Final = 768
"""Coefficients of prediction, or a quarter of the frame: two for every partial that a chord of many notes has."""
WHITE: Final = 5e-8
"""White noise under which nothing is foretold, of the frame's power."""
RIDGE: Final = 1e-9
BATCH_ENTRIES: Final = 1 << 20
MOST_FRAMES: Final = 64
FIRST_RISE: Final = 0.5
"""The first guess rises by this share of the level at the most."""
MOST_RISE_DB: Final = 18.0
"""No peak is taken to have stood higher over the level at which it was cut."""


class _Frames(NamedTuple):
    """Windowed frames that are solved together; `places` are the unknown samples, padded where `known` is True."""

    sound: torch.Tensor  # float64 [batch, size]
    places: torch.Tensor  # int64 [batch, unknown]
    known: torch.Tensor  # bool [batch, unknown]
    signs: torch.Tensor  # float64 [batch, unknown]
    bounds: torch.Tensor  # float64 [batch, unknown]: magnitudes in the direction of the sign


class _Span(NamedTuple):
    """One frame: where it begins, how long it is, how many of its samples are unknown."""

    channel: int
    first: int
    size: int
    unknown: int


def frame_size(sample_rate: int) -> int:
    """Samples of a frame at a rate in Hz: a power of two of about 93 ms, 512 to 8192."""
    return int(min(max(2 ** round(float(np.log2(FRAME_SECONDS * sample_rate))), SMALLEST), LARGEST))


def restore(block: Block, signs: Signs, size: int) -> Block:
    """Makes the clipped samples of a block anew: float64 [channels, frames], a multiple of half of `size` long.

    `signs` is int8 of the same shape: +1 and -1 where a sample was clipped. Those are never nearer to zero than before,
    and at most 18 dB further off; all others are bit for bit what they were. The first and last half frames are heard
    by one frame only: hand over so much more at both ends.
    """
    begun = np.stack([_begun(*each) for each in zip(block, signs, strict=True)])
    spans = [span for channel in range(len(block)) for span in _spans(signs[channel], channel, size)]
    total, weight = np.zeros_like(block), np.zeros_like(block)
    batches = _batches(spans)
    for batch, solved in zip(batches, _all_solved(batches, block, begun, signs), strict=True):
        window = _window(batch[0].size)
        for span, frame in zip(batch, solved, strict=True):
            part = slice(span.first, span.first + span.size)
            total[span.channel, part] += frame * window
            weight[span.channel, part] += window * window
    clipped = (signs != 0) & (weight > 0.0)
    restored = block.copy()
    restored[clipped] = _bounded(total[clipped] / weight[clipped], block[clipped], signs[clipped])
    return restored


def _bounded(found: NDArray[np.float64], was: NDArray[np.float64], signs: NDArray[np.int8]) -> NDArray[np.float64]:
    """What was found, in the direction of the clipping: no lower than it was, and not absurdly high."""
    heights = np.abs(was)
    return was + signs * np.clip(signs * (found - was), 0.0, heights * (10.0 ** (MOST_RISE_DB / 20.0) - 1.0))


def _begun(sound: NDArray[np.float64], signs: NDArray[np.int8]) -> NDArray[np.float64]:
    """A first guess: a cubic with the slopes on either side of each run, where that stands over what was cut."""
    edges = np.flatnonzero(np.diff(signs)) + 1
    guess = sound.copy()
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if signs[first] == 0 or first < 2 or last > len(sound) - 2:
            continue
        width = last - first + 1
        place = np.arange(1, width) / width
        rise = width * (sound[first - 1] - sound[first - 2])
        fall = width * (sound[last + 1] - sound[last])
        cubic = (
            sound[first - 1] * (1 + 2 * place) * (1 - place) ** 2
            + sound[last] * (3 - 2 * place) * place**2
            + rise * place * (1 - place) ** 2
            - fall * (1 - place) * place**2
        )
        over = signs[first] * (cubic - sound[first:last])
        limit = FIRST_RISE * np.abs(sound[first:last])
        guess[first:last] += signs[first] * np.clip(over, 0.0, limit)
    return guess


def _spans(signs: NDArray[np.int8], channel: int, size: int) -> list[_Span]:
    """The frames of a channel that hold clipped samples, half overlapping; dense ones in shorter frames."""
    sums = np.concatenate([[0], np.cumsum(signs != 0)])
    found: list[_Span] = []

    def take(first: int, length: int) -> None:
        unknown = int(sums[first + length] - sums[first])
        if unknown > DENSE and length > SMALLEST:
            for part in range(3):
                take(first + part * length // 4, length // 2)
        elif unknown:
            found.append(_Span(channel, first, length, unknown))

    for first in range(0, len(signs) - size + 1, size // 2):
        take(first, size)
    return sorted(set(found))


def _batches(spans: list[_Span]) -> list[list[_Span]]:
    """Frames of one size and of about as many unknown samples together."""
    batches: list[list[_Span]] = []
    for span in sorted(spans, key=lambda span: (span.size, -span.unknown, span.channel, span.first)):
        last = batches[-1] if batches else None
        if last and last[0].size == span.size and len(last) < min(MOST_FRAMES, BATCH_ENTRIES // last[0].unknown ** 2):
            last.append(span)
        else:
            batches.append([span])
    return batches


def _window(size: int) -> NDArray[np.float64]:
    """A sine window, nowhere 0; its square sums to 1 at half overlap."""
    return np.sin(np.pi * (np.arange(size) + 0.5) / size)


def _all_solved(batches: list[list[_Span]], block: Block, begun: Block, signs: Signs) -> list[NDArray[np.float64]]:
    """All batches, as many at a time as torch was given threads, each by one thread.

    A batch has the same bits whoever shares the work: so many threads inside of one would change them.
    """
    threads = torch.get_num_threads()
    with _one_thread_each(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda batch: _solved(batch, block, begun, signs), batches))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _solved(batch: list[_Span], block: Block, begun: Block, signs: Signs) -> NDArray[np.float64]:
    """Windowed frames with their clipped samples made anew: float64 [batch, size]."""
    size = batch[0].size
    window = _window(size)
    sound, start = (
        np.stack([each[span.channel, span.first : span.first + size] for span in batch]) * window
        for each in (block, begun)
    )
    marks = np.stack([signs[span.channel, span.first : span.first + size] for span in batch])
    places = np.argsort(marks == 0, axis=1, kind="stable")[:, : batch[0].unknown]
    marked = np.take_along_axis(marks, places, 1)
    with torch.inference_mode():
        bounds = torch.from_numpy(np.take_along_axis(sound, places, 1))
        signed = torch.from_numpy(marked.astype(np.float64))
        frames = _Frames(
            torch.from_numpy(start), torch.from_numpy(places), torch.from_numpy(marked == 0), signed, bounds * signed
        )
        return _solve(frames).numpy()


def _solve(frames: _Frames) -> torch.Tensor:
    """All steps on a batch; frames that stand still leave it."""
    done = frames.sound.clone()
    left = torch.arange(len(done))
    held = torch.zeros_like(frames.known)
    for step in range(MOST_STEPS):
        before = frames.sound.gather(1, frames.places)
        after, held = _stepped(frames, before, held)
        frames.sound.scatter_(1, frames.places, after)
        if step < LEAST_STEPS - 1:
            continue
        moved = (after - before).square().sum(1)
        height = (after - frames.bounds * frames.signs).masked_fill(frames.known, 0.0).square().sum(1)
        still = moved <= height * 10.0 ** (STILL_DB / 10.0)
        if step == MOST_STEPS - 1:
            still = torch.ones_like(still)
        done[left[still]] = frames.sound[still]
        going = ~still
        if not bool(going.any()):
            break
        frames = _Frames(*(values[going] for values in frames))
        left, held = left[going], held[going]
    return done


def _power(spectrum: torch.Tensor) -> torch.Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _stepped(frames: _Frames, before: torch.Tensor, held: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The unknown samples after one step, and those of them that are held at their bounds from now on.

    Samples that would go under their bound are held there, and let go again when the sum would fall by it: one change
    of the active set a step, since the filter changes as well.
    """
    size = frames.sound.shape[1]
    spectrum = torch.fft.rfft(frames.sound)
    inverse = _inverse(_power(spectrum), size)
    pull = torch.fft.irfft(spectrum * inverse, size).gather(1, frames.places)
    kernel = torch.fft.irfft(inverse, size)
    apart = (frames.places[:, :, None] - frames.places[:, None, :]).abs_()
    normal = kernel.gather(1, apart.flatten(1)).view(apart.shape)
    at_bounds = frames.bounds * frames.signs
    jump = (at_bounds - before).masked_fill(~held, 0.0)
    free = (~(frames.known | held)).to(before.dtype)
    wanted = -(pull + (normal @ jump[:, :, None])[:, :, 0]) * free
    system = normal * free[:, :, None] * free[:, None, :]
    system.diagonal(dim1=1, dim2=2).add_(1.0 - free + RIDGE)
    factor, _ = torch.linalg.cholesky_ex(system)
    change = torch.cholesky_solve(wanted[:, :, None], factor)[:, :, 0] + jump
    slope = (pull + (normal @ change[:, :, None])[:, :, 0]) * frames.signs
    heights = (before + change) * frames.signs
    under = (heights < frames.bounds) & ~held & ~frames.known
    held = (held | under) & ~(held & (slope < 0.0))
    after = torch.maximum(heights, frames.bounds) * frames.signs
    return torch.where(frames.known, before, after), held


def _inverse(power: torch.Tensor, size: int) -> torch.Tensor:
    """What power costs in each bin: that of the filter which foretells the frame, mean 1; float64 [batch, bins]."""
    order = min(ORDER, size // 4)
    correlations = torch.fft.irfft(power, size)[:, : order + 1].contiguous()
    correlations[:, 0] = correlations[:, 0] * (1.0 + WHITE) + 1e-30
    filters = torch.from_numpy(levinson(correlations.numpy()))
    inverse = _power(torch.fft.rfft(filters, size))
    return inverse / inverse.mean(1, keepdim=True)
