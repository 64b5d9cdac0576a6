"""The three themes: dark, light, and high contrast. Colour is never the only sign of anything."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="dark",
    primary="#7fb4ca",
    secondary="#938aa9",
    accent="#e6c384",
    success="#98bb6c",
    warning="#e6a35c",
    error="#e46876",
    foreground="#dcd7ba",
    background="#16161d",
    surface="#1f1f28",
    panel="#2a2a37",
    dark=True,
)
LIGHT = Theme(
    name="light",
    primary="#1f5f8b",
    secondary="#5f5592",
    accent="#9a5b00",
    success="#2f6f2f",
    warning="#a14a00",
    error="#b3262e",
    foreground="#22252b",
    background="#fbfaf6",
    surface="#f1efe8",
    panel="#e2dfd5",
    dark=False,
)
CONTRAST = Theme(
    name="contrast",
    primary="#00ffff",
    secondary="#ff80ff",
    accent="#ffff00",
    success="#00ff00",
    warning="#ffff00",
    error="#ff6060",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#303030",
    dark=True,
)
THEMES = (DARK, LIGHT, CONTRAST)


def for_colours(name: str, color_system: str | None) -> str:
    """The theme to begin with: the dark one's soft colours are all grey among sixteen, the contrast's are there."""
    return CONTRAST.name if name == DARK.name and color_system == "standard" else name
