"""Weighted prediction error: what a filter over earlier frames can tell of a frame is late reverberation.

T. Nakatani, T. Yoshioka et al., "Speech dereverberation based on variance-normalized delayed linear prediction" (IEEE
TASLP 18/7, 2010); T. Yoshioka and T. Nakatani, "Generalization of multi-channel linear prediction methods for blind
MIMO impulse response shortening" (IEEE TASLP 20/10, 2012). Each bin has a filter of its own over all channels that are
given; it is found again from its own outcome.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from core.cleanup.dereverb.frames import Spectra
from core.separation.device import reckoning

DELAY: Final = 2
"""Frames that lie between a frame and what it is predicted from (46 ms): direct sound and early reflections stay."""
ITERATIONS: Final = 2
LOADING: Final = 1e-2
"""Of the mean of the diagonal: held notes are predicted best by themselves, and must not be taken for a room."""
QUIETEST: Final = 1e-6
"""Power under the loudest of a bin that weighs as much as any below it."""
BATCH_BYTES: Final = {"cpu": 48 << 20, "cuda": 1 << 30}


class Predictor(NamedTuple):
    """How to predict: so many taps over so many bins from the bottom, on a device."""

    taps: int
    bins: int
    device: str

    @property
    def before(self) -> int:
        """Frames that are looked back at."""
        return self.taps + DELAY - 1

    def clean(self, spectra: Spectra) -> Spectra:
        """Spectra without what was predicted: `before` frames of history at the front are used up.

        complex64 [channels, bins, before + frames] to [channels, bins, frames]. The filters are found on these frames.
        """
        heard = spectra[:, :, self.before :].copy()
        channels, frames = len(heard), heard.shape[2]
        taps = min(self.taps, frames // (4 * channels))
        if taps == 0 or not heard.any():
            return heard
        each = 3 * 8 * channels * taps * frames
        batch = max(1, BATCH_BYTES[self.device.partition(":")[0]] // each)
        with torch.inference_mode(), reckoning(self.device, "fp32"):
            for first in range(0, self.bins, batch):
                bins = slice(first, min(self.bins, first + batch))
                part = np.ascontiguousarray(spectra[:, bins].transpose(1, 0, 2))
                found = _predicted(torch.from_numpy(part).to(self.device), taps, self.before)
                heard[:, bins] -= found.cpu().numpy().transpose(1, 0, 2)
        return heard


def _predicted(spectra: torch.Tensor, taps: int, before: int) -> torch.Tensor:
    """Late reverberation: complex64 [bins, channels, before + frames] to [bins, channels, frames]."""
    bins, channels, frames = spectra.shape[0], spectra.shape[1], spectra.shape[2] - before
    heard = spectra[:, :, before:]
    past = spectra[:, :, before - DELAY - taps + 1 : spectra.shape[2] - DELAY]
    past = past.unfold(2, frames, 1).reshape(bins, channels * taps, frames)
    predicted = torch.zeros_like(heard)
    for _ in range(ITERATIONS):
        weighted = past / _power(heard - predicted)
        correlation = (weighted @ past.mH).to(torch.complex128)
        load = LOADING * correlation.diagonal(dim1=1, dim2=2).real.mean(dim=1) + torch.finfo(torch.float32).tiny
        correlation.diagonal(dim1=1, dim2=2).add_(load[:, None])
        filters = torch.linalg.solve(correlation, (weighted @ heard.mH).to(torch.complex128))
        predicted = filters.to(torch.complex64).mH @ past
    return predicted


def _power(spectra: torch.Tensor) -> torch.Tensor:
    """Mean over the channels and three frames: complex64 [bins, channels, frames] to float32 [bins, 1, frames]."""
    power = spectra.abs().square().mean(dim=1, keepdim=True)
    smooth = functional.avg_pool1d(power, 3, 1, padding=1, count_include_pad=False)
    return torch.maximum(smooth, QUIETEST * smooth.amax(dim=2, keepdim=True) + 1e-20)
