"""Sounds with a known fault, or with none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from core.diagnosis.measure import Measured, measure
from core.events import finish
from core.session.document import Strip
from core.session.processors import StripProcessor
from core.strips.chain import build_strip

RATE = 44_100
SECONDS = 12.0
STEMS = ("vocals", "drums", "bass", "other")


def stereo(mono: np.ndarray) -> np.ndarray:
    return np.stack([mono, mono])


def time_s(rate: int = RATE, seconds: float = SECONDS) -> np.ndarray:
    return np.arange(round(seconds * rate)) / rate


def bass_line(rate: int = RATE, seconds: float = SECONDS) -> np.ndarray:
    """Plucked notes over an octave and a half, harmonics falling by 10 dB an octave."""
    at = time_s(rate, seconds)
    line = np.zeros_like(at)
    scale = (41.2, 55.0, 49.0, 61.7, 73.4, 65.4, 82.4, 110.0, 98.0, 51.9)
    for number, start in enumerate(np.arange(0.0, seconds, 0.4)):
        first, last = round(start * rate), min(len(at), round((start + 0.4) * rate))
        note = at[: last - first]
        fundamental = scale[number % len(scale)]
        for harmonic in range(1, 25):
            if harmonic * fundamental < 0.45 * rate:
                level = harmonic ** (-10.0 / 6.02)
                line[first:last] += level * np.sin(2 * np.pi * harmonic * fundamental * note) * np.exp(-3.0 * note)
    return 0.2 * stereo(line)


def pad(rate: int = RATE, seconds: float = SECONDS) -> np.ndarray:
    """Noise that falls by 3 dB an octave, the same on both sides but for a little."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((2, round(seconds * rate)))
    spectrum = np.fft.rfft(noise)
    freqs = np.fft.rfftfreq(noise.shape[1], 1 / rate)
    spectrum *= 1.0 / np.sqrt(np.maximum(freqs, 30.0))
    pink = np.fft.irfft(spectrum, noise.shape[1])
    pink[1] = 0.9 * pink[0] + 0.1 * pink[1]
    return 0.05 * pink / pink.std()


def beats(*, body: float = 0.3, decay_ms: float = 40.0, low_level: float = 0.5, rate: int = RATE) -> np.ndarray:
    """A kick every half second: 60 Hz and a click, with a body that dies away in `decay_ms`."""
    at = time_s(rate)
    within = at % 0.5
    tone = low_level * np.sin(2 * np.pi * 60.0 * within) * np.exp(-within / 0.08)
    noise = np.fft.rfft(np.random.default_rng(3).standard_normal(len(at)))
    noise /= np.maximum(np.fft.rfftfreq(len(at), 1 / rate) / 500.0, 1.0)  # 6 dB an octave less, as drums have
    click = 3.0 * np.fft.irfft(noise, len(at)) * np.exp(-within / (decay_ms / 1000.0))
    return stereo(tone + body * click)


def voice(*, level: float = 0.1, hiss: float = 0.0) -> np.ndarray:
    """A sung tone with formants, and an s of 60 ms in every second."""
    at = time_s()
    sung = np.sum([np.sin(2 * np.pi * 180.0 * (1 + 0.04 * np.sin(2 * at)) * n * at) / n for n in range(1, 40)], axis=0)
    sung *= (at % 1.0) < 0.8
    rng = np.random.default_rng(4)
    spectrum = np.fft.rfft(rng.standard_normal(len(at)))
    freqs = np.fft.rfftfreq(len(at), 1 / RATE)
    spectrum[(freqs < 5500.0) | (freqs > 8500.0)] = 0.0
    noise = np.fft.irfft(spectrum, len(at))
    noise *= ((at % 1.0) > 0.5) & ((at % 1.0) < 0.56)
    return stereo(level * (sung + hiss * noise / np.abs(noise).max()))


def treated(sound: np.ndarray, *chain: StripProcessor, rate: int = RATE) -> np.ndarray:
    return build_strip("x", Strip(chain=chain), rate, ("L", "R")[: len(sound)]).process(sound)


Measure = Callable[..., Measured]


def measured_in(folder: Path, stems: dict[str, np.ndarray], rate: int = RATE) -> Measured:
    """The measurements of a master that is the sum of these stems."""
    paths = {}
    for name, sound in stems.items():
        paths[name] = folder / f"{name}.wav"
        soundfile.write(paths[name], sound.T, rate, subtype="DOUBLE")
    soundfile.write(folder / "master.wav", np.sum(list(stems.values()), axis=0).T, rate, subtype="DOUBLE")
    return finish(measure(folder / "master.wav", paths))
