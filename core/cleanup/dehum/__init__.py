"""Mains hum: told from notes, followed as it drifts, and taken out line by line.

Hum is there nearly all the time, at one frequency, steady in level, with harmonics that are locked to it. A first pass
learns what never stops in the file (a low quantile of its spectrum over time) and looks for a comb of lines in it near
50 or 60 Hz. Only where there is one, a second pass follows its frequency and a third learns which harmonics are there
and where they pause. Lines are brought down to 0 Hz by long Fourier transforms, smoothed there, brought back at the
file's own rate and subtracted; nothing else changes.
"""

from core.cleanup.dehum.dehummer import Dehummer

__all__ = ["Dehummer"]
