"""What is left of the late tail is turned down: its power is what was heard a moment ago, faded as the room fades.

The model of K. Lebart, J. Boucher and P. Denbigh ("A new method based on spectral subtraction for speech
dereverberation", Acta Acustica 87, 2001) with the share of the late part of E. Habets, S. Gannot and I. Cohen ("Late
reverberant spectral variance estimation", IEEE SPL 16/9, 2009); the gain is a Wiener filter's, its a-priori ratio
decision-directed (Y. Ephraim and D. Malah, 1984).
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.cleanup.dereverb.frames import Frames, Spectra

APART_S: Final = 0.07
"""What is younger is not late."""
SMOOTH_S: Final = 0.04
SHARE: Final = 0.03
"""Of what sounds late reverberation gets so much for every dB of reduction: who asks for more has more of it taken for
tail. That is after a prediction on one channel; on two it leaves half as much."""
DIRECTED: Final = 0.5

Powers = NDArray[np.float64]


class TailSuppressor:
    """One gain for all channels of a group, frame by frame."""

    def __init__(self, frames: Frames, rt60_s: float, reduction_db: float, channels: int) -> None:
        self._apart = max(1, round(APART_S / frames.hop_s))
        self._fade = 10.0 ** (-6.0 * self._apart * frames.hop_s / rt60_s)
        self._floor = 10.0 ** (-reduction_db / 20.0)
        self._share = min(1.0, SHARE * reduction_db) / channels
        self._keep = float(np.exp(-frames.hop_s / SMOOTH_S))
        silence = np.zeros(len(frames.hertz))
        self._smooth, self._before = silence, silence
        self._sounds: deque[Powers] = deque([silence] * self._apart, self._apart)
        self._lates: deque[Powers] = deque([silence] * self._apart, self._apart)

    def process(self, spectra: Spectra) -> Spectra:
        """The next frames, complex64 [channels, bins, frames], with their tail turned down."""
        if self._floor == 1.0:
            return spectra
        powers: Powers = (np.abs(spectra).astype(np.float64) ** 2).mean(axis=0)
        gains = np.stack([self._gain(power) for power in powers.T], axis=1)
        return (spectra * gains).astype(np.complex64)

    def _gain(self, power: Powers) -> Powers:
        late = self._fade * ((1.0 - self._share) * self._lates[0] + self._share * self._sounds[0])
        self._smooth = self._keep * self._smooth + (1.0 - self._keep) * power
        self._sounds.append(self._smooth)
        self._lates.append(late)
        over = power / np.maximum(late, 1e-20)
        wanted = DIRECTED * self._before + (1.0 - DIRECTED) * np.maximum(over - 1.0, 0.0)
        gain = np.maximum(wanted / (1.0 + wanted), self._floor)
        self._before = np.minimum(gain**2 * over, 1e12)
        return np.where(late > 0.0, gain, 1.0)
