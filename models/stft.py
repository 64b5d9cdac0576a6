"""Sound to complex spectra and back, in float32 whatever precision the network around it reckons in."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Window = Literal["hann", "ones"]


class Stft(nn.Module):
    """The short-time Fourier transform of a network: centred frames, one-sided spectra.

    `n_fft` is the size of the transform and `hop` the distance of frames in samples, `length` that of the window
    (`n_fft` unless told), which is periodic or flat. `normalized` divides by the root of `n_fft`, as torch means it;
    `pad_mode` says what is heard beyond both ends.
    """

    window: Tensor

    def __init__(
        self,
        n_fft: int,
        hop: int,
        *,
        length: int | None = None,
        window: Window = "hann",
        normalized: bool = False,
        pad_mode: str = "reflect",
    ) -> None:
        super().__init__()
        self.n_fft, self.hop, self.length = n_fft, hop, length or n_fft
        self.normalized, self.pad_mode = normalized, pad_mode
        shape = torch.hann_window(self.length) if window == "hann" else torch.ones(self.length)
        self.register_buffer("window", shape, persistent=False)

    @property
    def bins(self) -> int:
        """How many frequencies a spectrum has."""
        return self.n_fft // 2 + 1

    def forward(self, sound: Tensor) -> Tensor:
        """`[..., samples]` to complex64 `[..., bins, frames]`; in memory the bins of one frame lie together."""
        with torch.autocast(sound.device.type, enabled=False):
            spectra = torch.stft(
                sound.float().flatten(0, -2),
                self.n_fft,
                self.hop,
                self.length,
                self.window,
                pad_mode=self.pad_mode,
                normalized=self.normalized,
                return_complex=True,
            )
            return spectra.unflatten(0, sound.shape[:-1])

    def inverse(self, spectra: Tensor, samples: int) -> Tensor:
        """Complex64 `[..., bins, frames]` to float32 `[..., samples]`; fastest where a frame's bins lie together."""
        with torch.autocast(spectra.device.type, enabled=False):
            sound = torch.istft(
                spectra.flatten(0, -3),
                self.n_fft,
                self.hop,
                self.length,
                self.window,
                normalized=self.normalized,
                length=samples,
            )
            return sound.unflatten(0, spectra.shape[:-2])
