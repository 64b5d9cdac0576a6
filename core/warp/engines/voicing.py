"""How the phase vocoder listens: its presets, by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from core.session.timemap import WarpMode


class Voicing(msgspec.Struct, frozen=True):
    """How the vocoder listens: windows in ms for bands that meet at `crossovers_hz`, and the hold around attacks.

    `locked`: bins keep the phase they have against their peak; without, each goes its own way, which is more diffuse.
    `attacks`: whether attacks of the guide are held, beside the anchors of the map.
    """

    windows_ms: tuple[float, ...]
    crossovers_hz: tuple[float, ...]
    hold_ms: float = 30.0
    locked: bool = True
    attacks: bool = True


LINKED: Final = Voicing(windows_ms=(93.0, 46.0, 23.0), crossovers_hz=(700.0, 4000.0))
TONES: Final = Voicing(windows_ms=(186.0, 93.0), crossovers_hz=(1500.0,), attacks=False)
TEXTURE: Final = Voicing(windows_ms=(93.0,), crossovers_hz=(), locked=False, attacks=False)
VOICINGS: Final[dict[WarpMode, Voicing]] = {"linked": LINKED, "tones": TONES, "texture": TEXTURE}
