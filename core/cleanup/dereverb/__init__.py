"""De-reverberation: a room's tail is predicted from what was heard before, and what is left of it is turned down.

`room` hears how fast sound dies away, `frames` goes from samples to spectra and back, `prediction` is the weighted
prediction error, `tail` the suppression. `Dereverberator` runs them over a file.
"""

from core.cleanup.dereverb.dereverberator import Dereverberator

__all__ = ["Dereverberator"]
