"""Rhythms with known answers, and listening to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from core.audio.read import open_reader
from core.events import finish
from core.warp.rhythm.onsets import Heard, listen

RATE = 44_100
Samples = NDArray[np.float64]


def ring(freq_hz: float, decay: float, rate: int = RATE, seconds: float = 0.15) -> Samples:
    """A struck tone whose first sample is loud already."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.cos(2.0 * np.pi * freq_hz * time) * np.exp(-decay * time)


def drum_kit(rate: int = RATE) -> dict[str, Samples]:
    """Kick, snare, hat and click."""
    rng = np.random.default_rng(5)
    time = np.arange(round(0.15 * rate)) / rate
    noise = rng.standard_normal(len(time))
    return {
        "kick": 0.5 * np.cos(2.0 * np.pi * (55.0 * time + 2.0 * (1.0 - np.exp(-60.0 * time)))) * np.exp(-25.0 * time),
        "snare": (0.2 * noise + 0.2 * np.cos(2.0 * np.pi * 190.0 * time)) * np.exp(-30.0 * time),
        "hat": 0.08 * np.diff(noise, append=0.0) * np.exp(-80.0 * time),
        "click": ring(1500.0, 150.0, rate),
        "high": 2.0 * ring(1800.0, 150.0, rate),
    }


def laid(seconds: float, hits: Sequence[tuple[float, str]], rate: int = RATE) -> Samples:
    """Sounds of the kit at frames: float64 [frames]."""
    kit = drum_kit(rate)
    sound = np.zeros(round(seconds * rate))
    for at, name in hits:
        start = round(at)
        part = kit[name][: max(0, len(sound) - start)]
        sound[start : start + len(part)] += part
    return sound


def beats_at(bpm: float, seconds: float, start: float = 0.5, rate: int = RATE) -> list[int]:
    """Frames of even beats, a little less than to the end."""
    return [round(frame) for frame in np.arange(start * rate, (seconds - 0.3) * rate, 60.0 * rate / bpm)]


def write(path: Path, sound: Samples, channels: int = 2, rate: int = RATE) -> Path:
    """A file that holds it in every channel."""
    soundfile.write(path, np.repeat(sound[:, None], channels, axis=1), rate, subtype="FLOAT")
    return path


def heard(path: Path) -> Heard:
    """What is heard in a file."""
    with open_reader(path) as reader:
        return finish(listen(reader))


def heard_in(folder: Path, sound: Samples, channels: int = 2, rate: int = RATE) -> Heard:
    """What is heard in a sound."""
    return heard(write(folder / "sound.wav", sound, channels, rate))
