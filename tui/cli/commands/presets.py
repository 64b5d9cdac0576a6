"""`unbake presets list | show | check`."""

from __future__ import annotations

from argparse import Namespace

from core.session import presets, words
from core.session.presets import Preset
from tui.cli.terminal import emit, table


def listing(options: Namespace) -> int:
    """Built in, then the user's own."""
    found, broken = presets.all_presets()
    rows = [(preset.name, preset.origin, preset.about) for preset in found]
    rows += [("(broken)", path, problem) for path, problem in broken]
    value = {
        "schema": 1,
        "presets": [_brief(preset) for preset in found],
        "broken": [{"path": path, "problem": problem} for path, problem in broken],
    }
    emit(options, value, table(rows))
    return 0


def show(options: Namespace) -> int:
    """What a preset does."""
    return _tell(options, presets.find(options.name))


def check(options: Namespace) -> int:
    """Whether a preset file is right."""
    return _tell(options, presets.read(options.file))


def _tell(options: Namespace, preset: Preset) -> int:
    lines = [preset.name, f"  {preset.about}", f"  needs: {', '.join(preset.stems) or 'no stems'}"]
    lines += [f"  {line}" for line in words.of_preset(preset)]
    emit(options, {"schema": 1, **_brief(preset), "words": words.of_preset(preset)}, "\n".join(lines))
    return 0


def _brief(preset: Preset) -> dict[str, object]:
    return {"name": preset.name, "about": preset.about, "origin": preset.origin, "stems": preset.stems}
