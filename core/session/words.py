"""A session in words: what was done to which stem, in the units engineers use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from msgspec import UNSET, Struct

from core.session.cleaning import NOTHING, CleanupStep
from core.session.document import Brought, Session, Strip
from core.session.fits import FITS, Value
from core.session.parameters import parameter_of, parameters_of, shown, title_of
from core.session.points import NONE
from core.session.presets import Preset, given
from core.session.processors import Processor
from core.session.toml import words_of


def of_processor(processor: Processor) -> str:
    """`bell 250 Hz -5 dB Q 0.8`, `gain -2 dB, 5 points`; of what goes by a title, only what is not as usual."""
    kind = type(processor)
    said = [
        parameter
        for parameter in parameters_of(kind)
        if parameter.name != "bypass" and (parameter.bare or getattr(processor, parameter.name) != parameter.default)
    ]
    words = title_of(kind)
    for parameter in said:
        words += f"{',' if parameter.kind == 'points' else ''} {of_value(processor, parameter.name)}"
    return words + (" (bypassed)" if processor.bypass else "")


def of_value(owner: Struct, name: str, *, titled: bool = False) -> str:
    """One value of a processor or strip: `-5 dB`, `slope 0.7`, or `gain -5 dB` where it is to be titled."""
    parameter = next((known for known in parameters_of(type(owner)) if known.name == name), None)
    if parameter is None:
        return f"{name} {getattr(owner, name)}"
    value = shown(parameter, getattr(owner, name), padded=False)
    counted = parameter.kind == "points" and value != NONE  # "5 points"
    says_its_title = counted or value.startswith(f"{parameter.title} ")  # "Q 0.8"
    return value if says_its_title or (parameter.bare and not titled) else f"{parameter.title} {value}"


def of_strip(strip: Strip) -> str:
    """`-1.5 dB; bell 250 Hz -5 dB Q 0.8`, or `neutral`."""
    if strip.neutral and strip.warp == "linked":
        return "neutral"
    if strip.mode == "cancel":
        return "cancelled" if strip.budget == 1.0 else f"cancelled; {of_value(strip, 'budget')}"
    parts: list[str] = []
    if strip.mode == "parallel":
        parts.append(f"parallel {shown(parameter_of(Strip, 'blend'), strip.blend, padded=False)}")
    if strip.treated:
        parts.append(f"as {strip.treated}")
    fader = {"gain_db": strip.gain_db != 0.0, "pan": strip.pan != 0.0, "polarity": strip.polarity != 1}
    parts.extend(of_value(strip, name) for name, moved in fader.items() if moved)
    if strip.eq_phase != "minimum":
        parts.append(of_value(strip, "eq_phase"))
    if strip.budget != 1.0:
        parts.append(of_value(strip, "budget"))
    parts.extend(of_steps(strip.cleanup))
    parts.extend(of_processor(processor) for processor in strip.chain)
    if strip.warp != "linked":
        parts.append(f"warped by {strip.warp}")
    return "; ".join(parts) or "unprocessed"


def of_session(session: Session) -> list[str]:
    """One line for each strip that changes something, and one for the time map and the master stage when they do."""
    lines = [of_cleanup(session.cleanup)] if session.cleanup else []
    lines += [f"{name}: {of_strip(session.strips[name])}" for name in session.changed]
    if not session.warp.identity:
        lines.append(of_warp(session))
    if session.master:
        lines.append("master: " + "; ".join(of_processor(processor) for processor in session.master))
    return lines


def of_cleanup(steps: Iterable[CleanupStep]) -> str:
    """`clean-up: dehum heard by the master; declip (nothing found)`."""
    return "clean-up: " + "; ".join(of_steps(steps))


def of_steps(steps: Iterable[CleanupStep]) -> list[str]:
    """One clause for each step of a clean-up, with what is known of its outcome."""
    return [of_processor(step) + (" (nothing found)" if step.hash == NOTHING else "") for step in steps]


def of_warp(session: Session) -> str:
    """`warp: 12 anchors, smooth, 4:12.345 to 4:08.100`."""
    count = len(session.warp.anchors)
    smooth = ", smooth" if session.warp.curve == "smooth" else ""
    before, after = (
        _minutes(frames / session.source.sample_rate) for frames in (session.source.frames, session.frames)
    )
    return f"warp: {count} anchor{'s' if count > 1 else ''}{smooth}, {before} to {after}"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 3), 60.0)
    return f"{minutes:.0f}:{rest:06.3f}"


def of_brought(name: str, brought: Brought, *, hashed: bool = True) -> str:
    """`guitar is gtr.wav, 12345.3 frames later, clock +50 ppm, inverted, at -6.02 dB (SHA-256 1a2b3c4d5e6f)`."""
    parts = [f"{name} is {PurePath(brought.path).name}"]
    if brought.delay_samples:
        later = "later" if brought.delay_samples > 0.0 else "earlier"
        parts.append(f"{_plain(abs(brought.delay_samples), 4)} frames {later}")
    if brought.drift_ppm:
        parts.append(f"clock {brought.drift_ppm:+.4g} ppm")
    if brought.polarity != 1:
        parts.append("inverted")
    if brought.gain_db:
        parts.append(f"at {brought.gain_db:+.4g} dB")
    said = ", ".join(parts)
    return f"{said} (SHA-256 {brought.sha256[:12]})" if hashed else said


def _plain(value: float, decimals: int) -> str:
    """Without the zeros that say nothing."""
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def of_fits(values: Iterable[Value]) -> list[str]:
    """One line for each measured figure: the values that follow from it, and why."""
    groups: dict[tuple[str, str], list[Value]] = {}
    for value in values:
        groups.setdefault((value.path.rpartition(".")[0], value.why), []).append(value)
    lines: list[str] = []
    for (owner, why), found in groups.items():
        said = ", ".join(f"{each.path.rpartition('.')[2]} = {each.value:g}" for each in found if each.value is not None)
        lines.append(f"{owner}: {said}: {why}" if said else f"{owner}: {why}")
    return lines


def of_preset(preset: Preset) -> list[str]:
    """One line for each strip and for the master stage that a preset sets, and one for each value it measures."""
    laid = {name: Strip(**given(patch)) for name, patch in preset.strips.items()}
    measured = {fitted.strip for fitted in preset.fits}
    cleaned = [] if preset.cleanup is UNSET else [of_cleanup(preset.cleanup)]
    lines = [f"{name}: {of_strip(strip)}" for name, strip in laid.items() if name not in measured or not strip.neutral]
    lines = [*cleaned, *lines]
    if preset.master is not UNSET and preset.master:
        lines.append("master: " + "; ".join(of_processor(processor) for processor in preset.master))
    for fitted in preset.fits:
        rule, unit = fitted.rule, f" {FITS[fitted.rule.fit].unit}".rstrip()
        bounds = [f"from {rule.min:g}{unit}"] if rule.min > 0.0 else []
        bounds += [f"{rule.max:g}{unit} at the most"] if rule.max < 100.0 else []
        limits = f" ({', '.join(bounds)})" if bounds else ""
        lines.append(f"measured: {words_of(fitted.steps)} by {rule.fit}{limits}")
    return lines or ["changes nothing"]
