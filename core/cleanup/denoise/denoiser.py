"""The step that turns steady noise down: finds what there is of it, says so, and hands it to the suppression."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from core.cleanup.cleaner import Cleaner, Finding
from core.cleanup.denoise.profile import found_in, learnt_from, mean_square
from core.cleanup.denoise.suppress import suppressed
from core.session.cleaning import Denoise

if TYPE_CHECKING:
    from core.audio.formats import Block
    from core.audio.read import AudioReader
    from core.cleanup.denoise.profile import Profile
    from core.events import Operation

QUIETEST_DBFS: Final = -85.0
"""Noise below it is dither, or nobody's concern."""
HIGHEST_SNR_DB: Final = 50.0
"""Noise that far under the music is left alone."""
SNR_SPREAD_DB: Final = 3.0
BANDS_AS_EVIDENCE: Final = 20.0
LOWEST_SNR_DB: Final = -20.0
"""What is less cannot be told from chance."""
ALONE_DB: Final = -10.0
SILENT_DB: Final = -200.0

HISS_DB: Final = 4.0
"""Hiss is louder by so much above 4 kHz than from 500 Hz to 2 kHz, at equal widths."""
MOST: Final = 0.7
"""Rumble has such a share of its energy below 120 Hz, room tone below 1 kHz."""


class Denoiser(Cleaner[Denoise]):
    """Noise that is the same from the first frame to the last, such as hiss and room tone.

    `confidence` is how much of the spectrum a floor of noise was heard in (1 - exp(-20 share), of quarter-octave
    bands), times how clearly what was heard there is worth removing (a logistic curve around an SNR of 50 dB); 1 for a
    stretch that was named.
    """

    def __init__(self, reader: AudioReader, step: Denoise) -> None:
        super().__init__(reader, step)
        self._profile: Profile | None = None

    def find(self) -> Operation[Finding]:
        """Learns the noise from the stretch that is named, else looks for it in the whole file.

        Raises UnbakeError where that stretch is no longer than a window, silent or outside the file.
        """
        named = self.step.to_seconds > 0.0
        rate = self.info.sample_rate
        if named:
            first, last = (round(each * rate) for each in (self.step.from_seconds, self.step.to_seconds))
            profile = yield from learnt_from(self.reader, first, last)
        else:
            profile = yield from found_in(self.reader)
        if profile is None:
            return self._not_found(0.0, self._why_none())
        noise_db, snr_db = _db(profile.noise_power), snr_of(profile.signal_power, profile.noise_power)
        # what was only concluded from other bands is no reason to do anything
        sure_db, sure_snr_db = _db(profile.heard_power), snr_of(profile.signal_power, profile.heard_power)
        evidence = 1.0 - math.exp(-BANDS_AS_EVIDENCE * float(profile.heard.mean()))
        worth = 1.0 / (1.0 + math.exp((sure_snr_db - HIGHEST_SNR_DB) / SNR_SPREAD_DB))
        confidence = 1.0 if named else evidence * worth
        figures = {
            "noise_dbfs": noise_db,
            "snr_db": snr_db,
            "heard_in_bands": float(profile.heard.sum()),
            "bands": float(len(profile.heard)),
        }
        if not named and sure_db < QUIETEST_DBFS:
            detail = f"the floor is at {sure_db:.0f} dBFS, no louder than dither"
            return self._not_found(min(confidence, 0.1), detail, figures)
        if not named and sure_snr_db > HIGHEST_SNR_DB:
            detail = f"the floor is at {sure_db:.0f} dBFS, {sure_snr_db:.0f} dB under the music"
            return self._not_found(confidence, detail, figures)
        self._profile = profile
        return Finding(
            type="denoise",
            found=True,
            confidence=confidence,
            detail=f"{kind_of(profile, rate)}, {noise_db:.1f} dBFS, {_under(snr_db)}, "
            + ("learnt from the stretch that is named" if named else _heard(profile, rate)),
            figures=figures,
        )

    def blocks(self) -> Iterator[Block]:
        """The file with the noise turned down."""
        profile = self._profile
        if profile is None:
            raise RuntimeError("nothing was found")
        return suppressed(self.reader, profile.power, middle=profile.middle, reduction_db=self.step.reduction_db)

    def _not_found(self, confidence: float, detail: str, figures: dict[str, float] | None = None) -> Finding:
        return Finding(type="denoise", found=False, confidence=confidence, detail=detail, figures=figures or {})

    def _why_none(self) -> str:
        if self.info.seconds < 2.0:
            return "too short to tell noise from sound"
        return "no steady floor of noise is heard under the sound"


def snr_of(signal_power: float, noise_power: float) -> float:
    """What is left of a file without its noise, over the noise, in dB, of their mean squares: -20 to 200."""
    if noise_power <= 0.0:
        return -SILENT_DB
    return min(-SILENT_DB, 10.0 * math.log10(max(signal_power / noise_power - 1.0, 10.0 ** (LOWEST_SNR_DB / 10.0))))


def kind_of(profile: Profile, sample_rate: int) -> str:
    """What an engineer would call the noise, by its spectrum."""
    power = profile.power.mean(axis=0)
    freqs_hz = np.arange(len(power)) * sample_rate / 2 / (len(power) - 1)
    total = mean_square(power[None])

    def share(upto_hz: float) -> float:
        return mean_square(np.where(freqs_hz < upto_hz, power, 0.0)[None]) / total

    if share(120.0) > MOST:
        return "rumble"
    if share(1000.0) > MOST:
        return "room tone"
    high, low = power[freqs_hz >= 4000.0], power[(freqs_hz >= 500.0) & (freqs_hz < 2000.0)]
    if len(high) and len(low) and _db(float(high.mean())) - _db(float(low.mean())) > HISS_DB:
        return "hiss"
    return "broadband noise"


def _heard(profile: Profile, sample_rate: int) -> str:
    """Where in the spectrum the noise was heard."""
    share = float(profile.heard.mean())
    if share > 0.9:
        return "heard at all frequencies"
    edges_hz = profile.edges * sample_rate / 2 / (profile.power.shape[1] - 1)
    places = np.flatnonzero(profile.heard)
    return (
        f"heard in {len(places)} of {len(profile.heard)} bands from {_hz(edges_hz[places[0]])} to "
        f"{_hz(edges_hz[places[-1] + 1])}"
    )


def _under(snr_db: float) -> str:
    return "hardly anything over it" if snr_db <= ALONE_DB else f"{snr_db:.0f} dB under the music"


def _hz(freq_hz: float) -> str:
    return f"{freq_hz / 1000:.3g} kHz" if freq_hz >= 1000.0 else f"{freq_hz:.0f} Hz"


def _db(power: float) -> float:
    return 10.0 * math.log10(power) if power > 10.0 ** (SILENT_DB / 10.0) else SILENT_DB
