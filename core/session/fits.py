"""Values of presets that are measured: `gain_db = {fit = "low_mid_excess", max = 9}` in place of a number.

Here is what may be written down; `core.diagnosis` measures. A fit gives values to several fields of one processor (how
much, and where), which all follow from one figure: how much too much there is, or too little, in its unit. Figures
under `min` are left alone, those over `max` count as `max`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from core.session.document import Strip
from core.session.parameters import parameters_of
from core.session.processors import Checked, kinds
from core.session.toml import Origin, Steps


class Fit(Struct, frozen=True):
    """What can be measured: in words, its unit, and the fields of a processor or strip that it gives values to."""

    about: str
    unit: str
    fields: tuple[str, ...]


FITS: Final[dict[str, Fit]] = {
    "low_mid_excess": Fit(
        "what was put on the low mids of the bass, or of bass and other, as far as can be told (an estimate): the bell "
        "that undoes it",
        "dB",
        ("gain_db", "freq_hz", "q"),
    ),
    "bass_boom": Fit(
        "how far one third octave of the stem from 40 to 125 Hz stands over its neighbours, beyond 12 dB: a cut there",
        "dB",
        ("gain_db", "freq_hz"),
    ),
    "kick_masking": Fit(
        "how much louder than the kick the bass is from 40 to 120 Hz, in the middle one of the kick's beats: how far "
        "the bass ducks, where, and from which level of the kick on",
        "dB",
        ("range_db", "freq_hz", "threshold_db"),
    ),
    "rumble": Fit(
        "power from 5 to 22 Hz over that from 22 to 120 Hz, beyond -15 dB: a cut at 30 Hz", "dB", ("freq_hz",)
    ),
    "low_end_width": Fit(
        "how far left and right correlate by less than 0.5 under 120 Hz: mono below that", "", ("freq_hz",)
    ),
    "mono_loss": Fit("loudness that goes in mono, beyond 3 LU: how much narrower", "LU", ("amount",)),
    "vocal_deficit": Fit(
        "how far the voice is under -9 LU against the rest: that much more", "LU", ("gain_db", "blend")
    ),
    "vocal_surplus": Fit("how far the voice is over 0 LU against the rest: that much less", "LU", ("gain_db",)),
    "harshness": Fit(
        "how far one third octave of the stem from 2 to 5 kHz stands over its neighbours, beyond 6 dB: a cut there",
        "dB",
        ("gain_db", "freq_hz"),
    ),
    "sibilance": Fit(
        "how far the loudest hundredth of sibilants stands over the voice's level, beyond 0 dB: how much is taken off",
        "dB",
        ("range_db",),
    ),
    "dullness": Fit(
        "how far the drums' hits stand less than 4 dB over their bodies: gain of attacks", "dB", ("attack_db",)
    ),
    "spikiness": Fit(
        "how far the drums' hits stand more than 10 dB over their bodies: what attacks lose", "dB", ("attack_db",)
    ),
    "brightness": Fit(
        "how far the stem's level from 8 to 16 kHz is over that from 1 to 8 kHz, third octave by third octave, beyond "
        "0 dB: what a shelf takes off",
        "dB",
        ("gain_db",),
    ),
}


class Rule(Checked, frozen=True):
    """How one value is measured. `min` and `max` are in the unit of the fit's figure."""

    fit: str
    min: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.0
    max: Annotated[float, Meta(ge=0.0, le=100.0)] = 100.0


class Fitted(Struct, frozen=True):
    """A value of a preset that is measured, and where it stands: `strips.bass.chain[0].gain_db` as steps."""

    steps: Steps
    rule: Rule

    @property
    def strip(self) -> str:
        """The stem it is measured on."""
        return str(self.steps[1])

    @property
    def field(self) -> str:
        """The field that gets the value."""
        return str(self.steps[-1])

    @property
    def owner(self) -> Steps:
        """The processor or strip that the field belongs to."""
        return self.steps[:-1]


class Value(Struct, frozen=True):
    """A value that was measured: where it stands, by which fit, what it is (None: nothing is done there), and why."""

    path: str
    fit: str
    value: float | None
    why: str


def take_out(strips: Any, origin: Origin) -> tuple[Any, tuple[Fitted, ...]]:
    """Tables of strips with placeholders where something is measured (what a new processor gets), and what that is.

    Raises UnbakeError naming file, line and key for a fit there is not, one that gives no such field, and bounds that
    exclude each other.
    """
    found: list[Fitted] = []

    def plain(value: Any, steps: Steps) -> Any:
        if isinstance(value, list):
            return [plain(item, (*steps, place)) for place, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        made = {}
        for key, item in value.items():
            here = (*steps, key)
            if isinstance(item, dict) and "fit" in item:
                rule = origin.convert(item, Rule, here)
                _check(rule, here, origin)
                placeholder = _placeholder(value, key, here, origin)
                found.append(Fitted(here, rule))
                made[key] = placeholder
            else:
                made[key] = plain(item, here)
        return made

    return plain(strips, ("strips",)), tuple(found)


def put_in(strips: Any, values: dict[Steps, Any]) -> Any:
    """Tables of strips with these values set; a step that is not there yet is made."""

    def filled(value: Any, steps: Steps) -> Any:
        if isinstance(value, (list, tuple)):
            return [filled(item, (*steps, place)) for place, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        made = {key: filled(item, (*steps, key)) for key, item in value.items()}
        made |= {str(place[-1]): new for place, new in values.items() if place[:-1] == steps}
        return made

    return filled(strips, ("strips",))


def _check(rule: Rule, steps: Steps, origin: Origin) -> None:
    fit = FITS.get(rule.fit)
    if fit is None:
        origin.fail("no such measurement", (*steps, "fit"), f"there are: {', '.join(FITS)}")
    if steps[-1] not in fit.fields:
        origin.fail(f"{rule.fit} gives no {steps[-1]}", steps, f"it gives {', '.join(fit.fields)}")
    if rule.min > rule.max:
        origin.fail(f"min {rule.min:g} is above max {rule.max:g}", steps)


def _placeholder(owner: dict[str, Any], key: str, steps: Steps, origin: Origin) -> Any:
    """What the field of a new processor, or of a strip nobody touched, holds."""
    kind = kinds().get(owner.get("type", "")) if "chain" in steps else Strip
    if kind is None:
        origin.fail("no processor is meant", (*steps[:-1], "type"))
    found = [each for each in parameters_of(kind) if each.name == key and each.kind == "number"]
    if not found:
        origin.fail("is not a number that can be measured", steps)
    return found[0].default
