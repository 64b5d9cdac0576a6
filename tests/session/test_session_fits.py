"""Values of presets that are measured: how they are written, what is refused, how they are filled in."""

from __future__ import annotations

import pytest

from core.errors import UnbakeError
from core.session import presets, words
from core.session.document import Separation, Session, Source
from core.session.fits import FITS
from core.session.parameters import parameters_of, strip_kinds
from core.session.processors import Bell

SESSION = Session(
    source=Source("/music/song.wav", "ab", 44_100, 2, 10, "WAV", "PCM_16"),
    separation=Separation(stems=("vocals", "drums", "bass", "other")),
)

MINE = """\
name = "mine"
about = "For testing."

[strips.bass]
gain_db = -1.0

[[strips.bass.chain]]
type = "bell"
freq_hz = {{ fit = "low_mid_excess" }}
gain_db = {rule}
"""


def mine(rule: str = '{ fit = "low_mid_excess", min = 1, max = 9 }') -> presets.Preset:
    return presets.parse(MINE.format(rule=rule), "mine.toml", "test")


def test_a_measured_value_is_a_placeholder_until_it_is_filled_in() -> None:
    preset = mine()
    assert [(each.strip, each.field, each.rule.max) for each in preset.fits] == [
        ("bass", "freq_hz", 100.0),
        ("bass", "gain_db", 9.0),
    ]
    with pytest.raises(UnbakeError, match="preset mine has values that are measured on the stems first"):
        preset.over(SESSION)
    frequency, gain = (each.steps for each in preset.fits)
    filled = preset.fitted({frequency: 180.0, gain: -4.5})
    [bell] = filled.over(SESSION).strips["bass"].chain
    assert isinstance(bell, Bell)
    assert (bell.freq_hz, bell.gain_db) == (180.0, -4.5)
    assert filled.over(SESSION).strips["bass"].gain_db == -1.0
    assert preset.fitted({}).over(SESSION).strips["bass"].chain[0].neutral, "nothing measured is nothing done"


def test_a_value_out_of_range_is_refused() -> None:
    preset = mine()
    with pytest.raises(UnbakeError, match=r"preset mine: strips\.bass\.chain.*-30"):
        preset.fitted({preset.fits[1].steps: -30.0})


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ('{ fit = "low_mid_exces" }', "strips.bass.chain[0].gain_db.fit: no such measurement"),
        ('{ fit = "sibilance" }', "sibilance gives no gain_db"),
        ('{ fit = "low_mid_excess", max = -1 }', "max: must be >= 0.0"),
        ('{ fit = "low_mid_excess", max = nan }', "not a number"),
        ('{ fit = "low_mid_excess", min = 5, max = 2 }', "min 5 is above max 2"),
        ('{ fit = "low_mid_excess", most = 2 }', "no such key"),
        ("{ fit = 3 }", "must be text"),
    ],
)
def test_what_can_not_be_measured_is_refused_with_its_line(rule: str, complaint: str) -> None:
    with pytest.raises(UnbakeError) as raised:
        mine(rule)
    assert "mine.toml, line 10" in raised.value.line()
    assert complaint in raised.value.line()


def test_a_preset_that_measures_says_so_in_words() -> None:
    said = words.of_preset(mine())
    assert "measured: strips.bass.chain[0].gain_db by low_mid_excess (from 1 dB, 9 dB at the most)" in said


def test_every_fit_gives_fields_that_some_processor_or_strip_has() -> None:
    known = {parameter.name for kind in strip_kinds() for parameter in parameters_of(kind)} | {"gain_db", "blend"}
    for name, fit in FITS.items():
        assert set(fit.fields) <= known, name


def test_built_in_presets_name_findings_that_there_are() -> None:
    for preset in presets.built_in():
        assert set(preset.needs.findings) <= set(FITS), preset.name
    treated = {kind for preset in presets.built_in() for kind in preset.needs.findings}
    assert treated == set(FITS), "everything that presets can be fitted to has one that is"
