"""A short session with stems, for what is listened to."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, Limiter, LowCut, StripProcessor

RATE = 44_100
FRAMES = 4 * RATE + 17


class Heard(NamedTuple):
    """A session and the files of its stems."""

    session: Session
    stems: dict[str, Path]

    def samples(self, name: str) -> np.ndarray:
        """A stem, or the source: float64 [channels, frames]."""
        path = self.session.source.path if name == "source" else self.stems[name]
        return soundfile.read(path, always_2d=True)[0].T


CHAIN: tuple[StripProcessor, ...] = (
    LowCut(freq_hz=30.0, slope_db_oct=24),
    Bell(freq_hz=250.0, gain_db=-6.0, q=2.0),
    Bell(freq_hz=60.0, gain_db=9.0, q=8.0),
)


def make_session(folder: Path, *, strips: dict[str, Strip] | None = None, limited: bool = False) -> Heard:
    """Noise in stems that add up to the source; the bass is equalised, and with `limited` the master limits."""
    rng = np.random.default_rng(3)
    stems = {}
    total = np.zeros((FRAMES, 2))
    for name in ("vocals", "bass", "residual"):
        sound = (0.1 * rng.standard_normal((FRAMES, 2))).astype(np.float32)
        stems[name] = folder / f"{name}.wav"
        soundfile.write(stems[name], sound, RATE, subtype="FLOAT")
        total += sound
    soundfile.write(folder / "song.wav", total, RATE, subtype="FLOAT")
    source = Source(str(folder / "song.wav"), "ab", RATE, 2, FRAMES, "WAV", "FLOAT")
    session = Session(
        source=source,
        separation=Separation(stems=("vocals", "bass")),
        strips={"bass": Strip(chain=CHAIN)} if strips is None else strips,
        master=(Limiter(ceiling_dbtp=-6.0),) if limited else (),
    )
    return Heard(session, stems)
