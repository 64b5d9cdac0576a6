"""Network steps: which stem of a cleaning network is the clean one, and what the network took away beside it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UnbakeError
from core.events import Operation
from core.separation.assemble import RESIDUAL, FileTrack
from core.separation.separate import SeparationRequest
from core.separation.stems import choice, recipe_of, separate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.separation.store import StemSet
    from core.session.cleaning import NetworkStep

CLEAN = ("dry", "clean")
DIRT = frozenset({"crowd", "reverb", "echo", "noise", "other"})
"""What a cleaning network gives that nobody wants to hear on: its residual is the clean sound then."""


def kept_stem(step: NetworkStep) -> str:
    """The stem that is heard on, or "residual". Raises UnbakeError for a model that has none, or none to guess."""
    made = choice(step.model).stems
    if step.stem:
        if step.stem not in (*made, RESIDUAL):
            what = f'the model {step.model} has no stem "{step.stem}"'
            raise UnbakeError(what, where="network", remedy=f"it has: {', '.join(made)}, {RESIDUAL}")
        return step.stem
    clean = next((stem for stem in CLEAN if stem in made), None)
    if clean is not None:
        return clean
    if set(made) <= DIRT:
        return RESIDUAL
    remedy = f"say network.stem={made[0]}, or another of {', '.join(made)}, {RESIDUAL}"
    what = f"the model {step.model} does not say which of its stems is the clean one"
    raise UnbakeError(what, where="network", remedy=remedy)


def version_of(step: NetworkStep) -> str:
    """What decides the samples of a network step beside what it is told."""
    return recipe_of("", _request(step, "auto")).key()


def cleaned_by(path: Path, sha256: str, step: NetworkStep, device: str) -> Operation[Path]:
    """The file of the stem that is heard on, made by the separation engine or out of the store."""
    kept = kept_stem(step)
    made: StemSet = yield from separate(path, _request(step, device), source_sha256=sha256)
    return Path(made.residual if kept == RESIDUAL else made.stems[kept])


def _request(step: NetworkStep, device: str) -> SeparationRequest:
    return SeparationRequest(model=step.model, device=device)


class Taken:
    """What a network took away as a track: a file less the stem that is heard on."""

    def __init__(self, path: Path, kept: Path, stack: ExitStack) -> None:
        self._whole = FileTrack(path, stack)
        self._kept = FileTrack(kept, stack)

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next `frames` frames exactly, float32 [channels, frames]."""
        return self._whole.read(frames) - self._kept.read(frames)
