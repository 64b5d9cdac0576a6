"""Equally loud: what source and repair have to be lowered by, so that louder is not taken for better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.audition.monitor import Listening, Monitor, stretch
from core.errors import UnbakeError
from core.events import Operation, Progress
from core.measure.loudness import LoudnessMeter
from core.session.document import Session


class Match(msgspec.Struct, frozen=True):
    """Integrated loudness of both sides of a stretch, and the gains that make them equal.

    The louder one is lowered, so nothing clips that did not. Loudness is None where there is none to speak of (under
    400 ms, or silence), and then both gains are 0.
    """

    source_lufs: float | None
    repair_lufs: float | None

    @property
    def source_db(self) -> float:
        """Gain of the source, 0 or less."""
        return min(0.0, -self._louder_by)

    @property
    def repair_db(self) -> float:
        """Gain of the repair, 0 or less."""
        return min(0.0, self._louder_by)

    @property
    def _louder_by(self) -> float:
        """dB by which the source is louder than the repair."""
        if self.source_lufs is None or self.repair_lufs is None:
            return 0.0
        return self.source_lufs - self.repair_lufs


def measure(
    session: Session,
    stems: Mapping[str, Path],
    listening: Listening | None = None,
    loop: tuple[int, int] | None = None,
    source_lufs: float | None = None,
) -> Operation[Match]:
    """The loudness (BS.1770-4, gated) of both sides of a loop, or of the whole file; that of the source may be known.

    Gives no gains where loudness is not defined (rates under 4 kHz). Raises UnbakeError as `Monitor` does.
    """
    with Monitor(session, stems, listening) as monitor:
        info = monitor.info
        first, last = loop or (0, info.frames)
        try:
            meters = [LoudnessMeter(info.sample_rate, info.speakers, true_peak=False) for _ in range(2)]
        except UnbakeError:
            return Match(None, None)
        for sides in stretch(monitor, first, last):
            if source_lufs is None:
                meters[0].push(sides.source)
            meters[1].push(sides.repair)
            yield Progress("matching", monitor.frame - first, last - first, (last - first) / info.sample_rate)
        return Match(meters[0].result().lufs_i if source_lufs is None else source_lufs, meters[1].result().lufs_i)
