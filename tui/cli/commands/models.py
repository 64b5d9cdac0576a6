"""`unbake models list | show`."""

from __future__ import annotations

from argparse import Namespace

import msgspec

from models import registry
from tui.cli.terminal import emit, table


def listing(options: Namespace) -> int:
    """All models, installed or not."""
    found, broken = registry.all_cards()
    cards = list(found.values())
    value = {
        "schema": 1,
        "models": [
            {
                "name": card.name,
                "architecture": card.architecture,
                "stems": card.stems,
                "sample_rate": card.sample_rate,
                "installed": registry.is_installed(card),
                "licence": card.licence,
            }
            for card in cards
        ],
        "broken": broken,
    }
    rows = [(card.name, "installed" if registry.is_installed(card) else "not here", card.about) for card in cards]
    rows += [("(broken)", "", problem) for problem in broken]
    emit(options, value, table(rows))
    return 0


def show(options: Namespace) -> int:
    """One card."""
    card = registry.find(options.name)
    value = {"schema": 1, "installed": registry.is_installed(card), **msgspec.to_builtins(card)}
    rows = [
        ("architecture", card.architecture),
        ("stems", ", ".join(card.stems)),
        ("sample rate", f"{card.sample_rate} Hz"),
        ("chunk", f"{card.chunk} frames, {card.chunk / card.sample_rate:.2f} s"),
        ("installed", "yes" if registry.is_installed(card) else "no"),
        ("licence", card.licence),
        ("source", card.source),
    ]
    if card.caution:
        rows.append(("caution", card.caution))
    rows += [
        ("score", f"{score.metric} {_values(score.values)} on {score.test_set} ({score.source})")
        for score in card.scores
    ]
    emit(options, value, "\n".join([card.name, f"  {card.about}", table(rows, indent="  ")]))
    return 0


def _values(values: dict[str, float]) -> str:
    return ", ".join(f"{stem} {value:g} dB" for stem, value in values.items())
