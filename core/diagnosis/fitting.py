"""Measured values put into a preset, each with the reason."""

from __future__ import annotations

from typing import Any

import msgspec

from core.diagnosis.figures import BY_FIT, MASTER, Context, Figure
from core.session.document import Session, Strip
from core.session.fits import FITS, Fitted, Value
from core.session.parameters import highest, parameter_of
from core.session.presets import Preset, given
from core.session.processors import kinds
from core.session.toml import Steps, words_of


class FittedPreset(msgspec.Struct, frozen=True):
    """A preset with its values, and how each came to be."""

    preset: Preset
    values: tuple[Value, ...] = ()


def fit(preset: Preset, session: Session, context: Context) -> FittedPreset:
    """Measures what a preset leaves open. What nothing is to be done about is bypassed where it would do something.

    Raises UnbakeError when a value does not fit its field.
    """
    figures: dict[str, list[Figure]] = {}
    values: dict[Steps, Any] = {}
    told: list[Value] = []
    idle: dict[Steps, bool] = {}
    for fitted in preset.fits:
        name = fitted.rule.fit
        if name not in figures:
            treated = tuple(each.strip for each in preset.fits if each.rule.fit == name)
            figures[name] = BY_FIT[name](context._replace(treated=treated))
        figure = next(
            (each for each in figures[name] if each.kind == name and each.strip in (fitted.strip, MASTER)), None
        )
        value, why = _value(fitted, figure)
        idle[fitted.owner] = idle.get(fitted.owner, True) and value is None
        if value is not None:
            values[fitted.steps] = value = _within(fitted, value, preset, session.source.sample_rate)
        told.append(Value(words_of(fitted.steps), name, value, why))
    for owner, nothing_to_do in idle.items():
        if nothing_to_do and "chain" in owner:
            values[(*owner, "bypass")] = True
    return FittedPreset(preset.fitted(values), tuple(told))


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
