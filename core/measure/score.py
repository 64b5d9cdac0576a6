"""How good estimated stems are where the true ones are known: the signal-to-distortion ratio in its two usual forms.

`sdr_db` is that of BSS Eval v4 as museval reports it (F.-R. Stoter, A. Liutkus, N. Ito, "The 2018 Signal Separation
Evaluation Campaign", LVA/ICA 2018): for images of sources the spatial, interference and artefact errors add up to
estimate - reference, so that the ratio of a frame is 10 log10(sum s^2 / sum (s_est - s)^2), whatever the filters that
tell the errors apart. Frames are one second; one in which any stem or estimate is silent counts for none; the median
over frames, then over tracks, is the figure.

`usdr_db` is that of the Music Demixing Challenge 2021 (Y. Mitsufuji et al., Frontiers in Signal Processing 1, 2022):
the same ratio over a whole track, then the mean over tracks.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from core.audio.read import AudioReader, open_reader
from core.errors import UnbakeError, os_error
from core.events import Note, Operation, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SUFFIXES = (".wav", ".flac", ".aif", ".aiff")
NO_STEMS = frozenset({"mixture", "mix", "residual"})
"""Files of a track's folder that are no stem."""
STABILISER = 1e-7
"""What the challenge adds to both sums, so that silence has a ratio."""
Tier = Literal["professional", "good", "artefacts", "poor"]
TIERS: tuple[tuple[float, Tier], ...] = ((8.0, "professional"), (5.0, "good"), (2.0, "artefacts"), (-math.inf, "poor"))
"""From how many dB of `sdr_db` on the trade calls a stem what."""


class Figures(msgspec.Struct, frozen=True):
    """Both ratios in dB; None where no frame could be judged, or where the estimates are exact in all of them."""

    sdr_db: float | None
    usdr_db: float | None


class Score(msgspec.Struct, frozen=True):
    """What `unbake score` gives: per stem over all tracks, the mean over the stems, and the tier of the trade."""

    stems: dict[str, Figures]
    mean: Figures
    tier: dict[str, Tier]
    tracks: int
    schema: int = 1


class Sums:
    """What is known of the stems of one track so far."""

    def __init__(self, stems: tuple[str, ...]) -> None:
        self.frames: dict[str, list[float]] = {stem: [] for stem in stems}
        self.signal = dict.fromkeys(stems, 0.0)
        self.error = dict.fromkeys(stems, 0.0)

    def add(
        self, true: Mapping[str, NDArray[np.float64]], estimated: Mapping[str, NDArray[np.float64]], *, whole: bool
    ) -> None:
        """Counts one second [channels, frames] of every stem; one that is not `whole` counts for the track alone."""
        # the mono sum decides, as in museval: what lies in the sides alone is silent there too
        heard = whole and all(block.sum(axis=0).any() for blocks in (true, estimated) for block in blocks.values())
        for stem, block in true.items():
            signal, error = float(np.sum(block**2)), float(np.sum((estimated[stem] - block) ** 2))
            self.signal[stem] += signal
            self.error[stem] += error
            if heard:
                self.frames[stem].append(10.0 * math.log10(signal / error) if error else math.inf)

    def sdr_db(self, stem: str) -> float | None:
        """The median over the frames, None where there is none to judge by."""
        return float(np.median(self.frames[stem])) if self.frames[stem] else None

    def usdr_db(self, stem: str) -> float:
        """The ratio over the track."""
        return 10.0 * math.log10((self.signal[stem] + STABILISER) / (self.error[stem] + STABILISER))


def score(true: Path, estimated: Path) -> Operation[Score]:
    """Scores the stems in `estimated` by the true ones in `true`.

    Both are one track (a folder of NAME.wav or .flac) or folders of tracks of the same names, as MUSDB18-HQ has them.
    Stems that only one side has are noted and left out, as are tracks without estimates. Raises UnbakeError where
    nothing can be held together, and where sample rates, channels or lengths differ.
    """
    tracks = pairs(true, estimated)
    sdr: dict[str, list[float]] = {}
    usdr: dict[str, list[float]] = {}
    judged = 0
    for number, (name, references, estimates) in enumerate(tracks, start=1):
        if not estimates:
            yield Note(f"{name}: no estimates in {estimated}; left out")
            continue
        shared = tuple(stem for stem in references if stem in estimates)
        for stem in sorted(references.keys() ^ estimates.keys()):
            yield Note(f"{name}: {stem} is only {'true' if stem in references else 'estimated'}; left out")
        if not shared:
            continue
        sums = yield from score_track(
            {stem: references[stem] for stem in shared},
            {stem: estimates[stem] for stem in shared},
            f"scoring {name} ({number} of {len(tracks)})",
        )
        judged += 1
        for stem in shared:
            if (value := sums.sdr_db(stem)) is not None:
                sdr.setdefault(stem, []).append(value)
            usdr.setdefault(stem, []).append(sums.usdr_db(stem))
    if not judged:
        raise UnbakeError("no estimate has the name of a true stem", where=estimated)
    stems = {
        stem: Figures(finite(np.median(sdr[stem]) if stem in sdr else None), finite(np.mean(usdr[stem])))
        for stem in usdr
    }
    tiers: dict[str, Tier] = {stem: tier_of(float(np.median(values))) for stem, values in sdr.items()}
    return Score(stems, mean_of(list(stems.values())), tiers, judged)


def pairs(true: Path, estimated: Path) -> list[tuple[str, dict[str, Path], dict[str, Path]]]:
    """The tracks by name, each with its true and its estimated stems by name."""
    for folder in (true, estimated):
        if not folder.is_dir():
            raise UnbakeError("no such folder", where=folder)
    references = stems_in(true)
    if references:
        return [(true.name, references, stems_in(estimated))]
    found = [(folder.name, stems_in(folder), stems_in(estimated / folder.name)) for folder in folders_in(true)]
    tracks = [track for track in found if track[1]]
    if not tracks:
        raise UnbakeError("neither stems nor tracks in it", where=true, remedy="give a folder of NAME.wav")
    return tracks


def stems_in(folder: Path) -> dict[str, Path]:
    """The stem files of a track's folder by their names, in name order; none where there is no such folder."""
    try:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise os_error(error, folder) from error
    return {file.stem: file for file in files if file.suffix.lower() in SUFFIXES and file.stem.lower() not in NO_STEMS}


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, in name order."""
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise os_error(error, folder) from error


def score_track(true: Mapping[str, Path], estimated: Mapping[str, Path], stage: str) -> Operation[Sums]:
    """The sums of one track whose stems are there on both sides."""
    with contextlib.ExitStack() as stack:
        references = {stem: stack.enter_context(open_reader(path)) for stem, path in true.items()}
        estimates = {stem: stack.enter_context(open_reader(path)) for stem, path in estimated.items()}
        first = next(iter(references.values())).info
        for reader in (*references.values(), *estimates.values()):
            check_alike(reader, next(iter(references.values())))
        sums, second = Sums(tuple(true)), first.sample_rate
        # museval hears a track that is shorter than a frame as one frame
        frame = min(second, first.frames)
        for done in range(0, first.frames, frame):
            blocks = [{stem: reader.read(frame) for stem, reader in side.items()} for side in (references, estimates)]
            sums.add(blocks[0], blocks[1], whole=done + frame <= first.frames)
            yield Progress(stage, min(done + frame, first.frames), first.frames, first.seconds)
    return sums


def check_alike(reader: AudioReader, first: AudioReader) -> None:
    """Refuses a file that can't be held against another frame for frame."""
    one, other = reader.info, first.info
    for what, a, b in (
        ("Hz", one.sample_rate, other.sample_rate),
        ("channels", one.channels, other.channels),
        ("frames", one.frames, other.frames),
    ):
        if a != b:
            raise UnbakeError(f"has {a} {what} where {other.path} has {b}", where=one.path)


def mean_of(stems: list[Figures]) -> Figures:
    """The mean over the stems that have a figure."""
    sdr = [figures.sdr_db for figures in stems if figures.sdr_db is not None]
    usdr = [figures.usdr_db for figures in stems if figures.usdr_db is not None]
    return Figures(finite(np.mean(sdr) if sdr else None), finite(np.mean(usdr) if usdr else None))


def finite(value: float | np.floating | None) -> float | None:
    """A ratio as JSON can have it."""
    return None if value is None or not math.isfinite(value) else float(value)


def tier_of(sdr_db: float) -> Tier:
    """What the trade calls a stem: above 8 dB professional, 5 to 8 good, 2 to 5 artefacts, under 2 poor."""
    if sdr_db > TIERS[0][0]:
        return TIERS[0][1]
    return next(tier for least, tier in TIERS[1:] if sdr_db >= least)
