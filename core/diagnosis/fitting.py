"""Measured values put into a preset, each with the reason."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from core.diagnosis.figures import BY_FIT, MASTER, Context, Figure
from core.session.document import Session, Strip
from core.session.fits import FITS, Fitted, Value
from core.session.parameters import highest, parameter_of
from core.session.presets import Preset, StripPatch, given
from core.session.processors import kinds
from core.session.toml import Steps, words_of


class FittedPreset(msgspec.Struct, frozen=True):
    """A preset with its values, and how each came to be."""

    preset: Preset
    values: tuple[Value, ...] = ()


def fit(preset: Preset, session: Session, context: Context) -> FittedPreset:
    """Measures what a preset leaves open. Processors and strips that nothing is to be done with are left out of it.

    Raises UnbakeError when a value does not fit its field.
    """
    figures: dict[str, list[Figure]] = {}
    values: dict[Steps, Any] = {}
    told: list[Value] = []
    busy: dict[Steps, bool] = {}
    for fitted in preset.fits:
        name = fitted.rule.fit
        if name not in figures:
            treated = tuple(each.strip for each in preset.fits if each.rule.fit == name)
            figures[name] = BY_FIT[name](context._replace(treated=treated))
        figure = next(
            (each for each in figures[name] if each.kind == name and each.strip in (fitted.strip, MASTER)), None
        )
        value, why = _value(fitted, figure)
        busy[fitted.owner] = busy.get(fitted.owner, False) or value is not None
        if value is not None:
            values[fitted.steps] = value = _within(fitted, value, preset, session.source.sample_rate)
        told.append(Value(words_of(fitted.steps), name, value, why))
    filled = preset.fitted(values)
    idle = {owner for owner, something in busy.items() if not something}
    strips = {name: _without(idle, name, patch, preset) for name, patch in filled.strips.items()}
    strips = {name: patch for name, patch in strips.items() if given(patch) or not given(preset.strips[name])}
    return FittedPreset(msgspec.structs.replace(filled, strips=strips), tuple(told))


def _without(idle: set[Steps], name: str, patch: StripPatch, preset: Preset) -> StripPatch:
    """A strip's patch without what nothing is to be done with; of a chain that is nothing but that, nothing is set."""
    unset = {each.field: UNSET for each in preset.fits if each.owner == ("strips", name) and each.owner in idle}
    patch = msgspec.structs.replace(patch, **unset)
    if patch.chain is UNSET:
        return patch
    left = tuple(one for place, one in enumerate(patch.chain) if ("strips", name, "chain", place) not in idle)
    return msgspec.structs.replace(patch, chain=left if left or not patch.chain else UNSET)


def _value(fitted: Fitted, figure: Figure | None) -> tuple[float | None, str]:
    rule, unit = fitted.rule, FITS[fitted.rule.fit].unit
    if figure is None:
        return None, "could not be measured here, so nothing is done"
    if figure.excess <= 0.0:
        return None, f"{figure.detail}; nothing is done"
    if figure.excess < rule.min:
        return None, f"{figure.detail}; {figure.excess:.1f} {unit} is under {rule.min:g}, so nothing is done"
    assert figure.values is not None
    held = min(figure.excess, rule.max)
    more = f"; of {figure.excess:.1f} {unit}, {rule.max:g} at the most" if held < figure.excess else ""
    return float(figure.values(held)[fitted.field]), figure.detail + more


def _within(fitted: Fitted, value: float, preset: Preset, sample_rate: int) -> float:
    """A value held within the range of its field, in steps that a person would use."""
    patch = msgspec.to_builtins(Strip(**given(preset.strips[fitted.strip])))
    kind = kinds()[patch["chain"][fitted.steps[3]]["type"]] if "chain" in fitted.steps else Strip
    parameter = parameter_of(kind, fitted.field)
    held = min(max(value, parameter.low), highest(parameter, sample_rate))
    return held if parameter.scale == "log" else round(round(held / parameter.fine) * parameter.fine, 6)
