"""Parameters: every field can be stepped, typed and shown from what its class says of itself, also a class to come."""

from __future__ import annotations

import sys
from typing import Annotated, Literal, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from core.errors import UnbakeError
from core.session import files, words
from core.session.document import Separation, Session, Source, Strip
from core.session.parameters import (
    Parameter,
    about_of,
    highest,
    master_kinds,
    new,
    parameter_of,
    parameters_of,
    possible,
    shown,
    stepped,
    strip_kinds,
    title_of,
    typed,
)
from core.session.processors import (
    DB_STEPS,
    Bell,
    Compressor,
    Dither,
    HighCut,
    Limiter,
    LowCut,
    LowShelf,
    Notch,
    Processor,
    Width,
    kinds,
)

RATE = 44_100


class Exciter(Processor, frozen=True, tag="odd_exciter", kw_only=True):
    """Adds harmonics above `freq_hz`, e.g. to a dull voice. A second sentence."""

    freq_hz: Annotated[
        float,
        Meta(
            ge=500.0,
            le=30_000.0,
            title="from",
            description="where it begins",
            extra={"unit": "Hz", "scale": "log", "fine": 1 / 12, "coarse": 1 / 2, "start": 25_000.0},
        ),
    ]
    drive_db: Annotated[float, Meta(ge=0.0, le=24.0, title="drive", description="how hard", extra=DB_STEPS)] = 0.0
    attack_ms: Annotated[
        float, Meta(ge=0.1, le=500.0, description="time", extra={"unit": "ms", "fine": 0.5, "coarse": 5.0})
    ] = 10.0
    order: Annotated[int, Meta(ge=1, le=9, description="order", extra={"unit": "", "fine": 2, "coarse": 4})] = 3
    character: Annotated[Literal["soft_clip", "tape"], Meta(description="sound", extra={"unit": ""})] = "tape"
    note: str = ""


every = pytest.mark.parametrize("kind", [*kinds().values(), Strip, Exciter])


def of(kind: type, name: str) -> Parameter:
    return parameter_of(kind, name)


@every
def test_every_field_says_what_an_editor_needs(kind: type) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    found = parameters_of(kind)
    assert {parameter.name for parameter in found} == set(fields) - {"chain", "cleanup", "note"}
    for parameter in found:
        metas = [extra for extra in fields[parameter.name].type.__metadata__ if isinstance(extra, Meta)]
        assert "unit" in {key for meta in metas for key in meta.extra or {}}, parameter.name
        assert parameter.title
        assert parameter.about, f"{parameter.name} has no help"
        if parameter.kind in ("number", "whole"):
            assert parameter.low < parameter.high
            assert 0 < parameter.fine < parameter.coarse
            assert parameter.coarse / parameter.fine == pytest.approx(round(parameter.coarse / parameter.fine))
            assert parameter.scale == "linear" or parameter.low > 0
        if parameter.kind == "choice":
            assert len(parameter.choices) > 1
            assert get_origin(fields[parameter.name].type.__origin__) is Literal
    if kind is not Strip:
        assert found[-1].name == "bypass"
        assert title_of(kind)
        assert about_of(kind).endswith(".")


@pytest.mark.parametrize("kind", [*kinds().values(), Exciter])
@pytest.mark.parametrize("rate", [8_000, RATE, 192_000])
def test_a_new_processor_is_neutral_where_it_can_be_and_legal_at_any_rate(kind: type[Processor], rate: int) -> None:
    made = new(kind, rate)
    assert made.neutral or not any(p.name in ("gain_db", "amount") for p in parameters_of(kind))
    for parameter in parameters_of(kind):
        if parameter.unit == "Hz" and getattr(made, parameter.name) not in dict(parameter.named):
            assert getattr(made, parameter.name) <= 0.49 * rate
    if kind is not Exciter:
        source = Source("/music/song.wav", "ab", rate, 2, 10, "WAV", "PCM_16")
        session = Session(source=source, separation=Separation(stems=("bass",)), master=(made,))  # type: ignore[arg-type]
        files.check_strips(session, files.Origin("test"))


def test_new_ones_start_where_they_are_wanted() -> None:
    starts = {title_of(kind): getattr(new(kind, 48_000), "freq_hz", None) for kind in strip_kinds()}
    assert starts == {
        "bell": 250.0,
        "low shelf": 120.0,
        "high shelf": 8000.0,
        "low cut": 30.0,
        "high cut": 18_000.0,
        "notch": 50.0,
        "tilt": 1000.0,
        "all pass": 100.0,
        "dynamic bell": 250.0,
        "transient shaper": None,
        "compressor": None,
        "gate": None,
        "deesser": 5000.0,
        "saturation": None,
        "width": None,
        "mono below": 120.0,
        "delay": None,
        "gain": None,
        "vst3": None,
    }
    assert new(HighCut, 22_050) == HighCut(freq_hz=0.49 * 22_050)
    assert Limiter in master_kinds()
    assert Limiter not in strip_kinds()


@every
def test_the_way_back_leads_to_the_same_number(kind: type) -> None:
    for parameter in parameters_of(kind):
        for coarse in (False, True):
            value = parameter.default
            if parameter.unit == "Hz":
                assert isinstance(value, float)
                value = min(value, 8000.0)
            value = stepped(parameter, value, 1, sample_rate=RATE)
            value = stepped(parameter, value, -1, sample_rate=RATE)
            for steps in (1, 2, 3):
                there = stepped(parameter, value, steps, coarse=coarse, sample_rate=RATE)
                again = stepped(parameter, there, -steps, coarse=coarse, sample_rate=RATE)
                one_by_one = value
                for _ in range(steps):
                    one_by_one = stepped(parameter, one_by_one, 1, coarse=coarse, sample_rate=RATE)
                assert one_by_one == there, (parameter.name, coarse)
                held = there in (parameter.high, parameter.low, 0.49 * RATE) or parameter.kind in ("choice", "switch")
                assert again == value or held, (parameter.name, coarse, value, there, again)


@given(st.floats(10, 21_000), st.integers(-400, 400).filter(bool), st.booleans())
def test_frequencies_step_over_readable_numbers_within_the_range(value: float, steps: int, coarse: bool) -> None:
    frequency = of(Bell, "freq_hz")
    there = stepped(frequency, value, steps, coarse=coarse, sample_rate=RATE)
    assert isinstance(there, float)
    assert 10.0 <= there <= 0.49 * RATE
    assert (there > value) == (steps > 0) or there in (10.0, 0.49 * RATE)
    assert there == 0.49 * RATE or float(f"{there:.3g}") == there
    if 10.0 < there < 0.49 * RATE:
        up = stepped(frequency, there, 1, sample_rate=RATE)
        assert isinstance(up, float)
        assert up == 0.49 * RATE or 2 ** (0.2 / 24) < up / there < 2 ** (2 / 24)
        assert stepped(frequency, up, -1, sample_rate=RATE) == there


def test_round_frequencies_lie_on_the_grid() -> None:
    frequency = of(Bell, "freq_hz")
    walked, value = set(), 10.0
    while value < 20_000.0:
        walked.add(value)
        value = stepped(frequency, value, 1, sample_rate=RATE)
        assert isinstance(value, float)
    assert {10.0, 20.0, 30.0, 50.0, 60.0, 100.0, 120.0, 150.0, 200.0, 250.0, 400.0, 1000.0, 2500.0, 8000.0} <= walked
    assert stepped(frequency, 250.0, 1, coarse=True, sample_rate=RATE) == 310.0
    assert stepped(frequency, 21_000.0, 5, sample_rate=RATE) == 0.49 * RATE


@given(st.floats(-24, 24), st.integers(-30, 30).filter(bool))
def test_gains_have_no_dust(value: float, steps: int) -> None:
    there = stepped(of(Bell, "gain_db"), value, steps, sample_rate=RATE)
    assert isinstance(there, float)
    assert there == round(there, 1)
    assert str(there) != "-0.0"


def test_steps_from_between_two_points_go_to_the_next_one() -> None:
    gain = of(Bell, "gain_db")
    assert stepped(gain, -4.85, 1, sample_rate=RATE) == -4.8
    assert stepped(gain, -4.85, -1, sample_rate=RATE) == -4.9
    assert stepped(gain, -1.2999999, -1, sample_rate=RATE) == -1.3
    assert stepped(gain, -4.8, 1, coarse=True, sample_rate=RATE) == -3.8
    assert stepped(gain, 23.5, 1, coarse=True, sample_rate=RATE) == 24.0
    assert stepped(gain, 1.0, 0, sample_rate=RATE) == 1.0
    slope = of(LowCut, "slope_db_oct")
    assert stepped(slope, 12, 2, sample_rate=RATE) == 24
    assert stepped(slope, 48, 1, sample_rate=RATE) == 48
    assert stepped(of(LowCut, "bypass"), False, 1, sample_rate=RATE) is True
    assert stepped(of(Dither, "bits"), 16, 1, coarse=True, sample_rate=RATE) == 24
    assert type(stepped(of(Dither, "bits"), 16, 1, sample_rate=RATE)) is int


@pytest.mark.parametrize(
    ("kind", "name", "text", "value"),
    [
        (Bell, "freq_hz", "2.5k", 2500.0),
        (Bell, "freq_hz", "2,357 kHz", 2357.0),
        (Bell, "freq_hz", " 250 Hz", 250.0),
        (Bell, "gain_db", "-3db", -3.0),
        (Bell, "gain_db", "-3 dB", -3.0),
        (Bell, "gain_db", "\N{MINUS SIGN}3,5", -3.5),
        (Bell, "q", "Q 0.9", 0.9),
        (Bell, "q", ".7", 0.7),
        (LowCut, "slope_db_oct", "24 dB/oct", 24),
        (LowCut, "slope_db_oct", "24", 24),
        (Limiter, "ceiling_dbtp", "-1 db", -1.0),
        (Width, "amount", "50%", 0.5),
        (Width, "amount", "150", 1.5),
        (Strip, "blend", "12,5 %", 0.125),
        (Strip, "pan", "30 left", -0.3),
        (Strip, "pan", "R 10", 0.1),
        (Strip, "pan", "-30%", -0.3),
        (Strip, "pan", "centre", 0.0),
        (Strip, "mode", "cancel", "cancel"),
        (Strip, "mode", "par", "parallel"),
        (Strip, "polarity", "inverted", -1),
        (Strip, "polarity", "-1", -1),
        (Dither, "shape", "High", "highpass"),
        (Dither, "bits", "16 bits", 16),
        (Dither, "bits", "output bits", 0),
        (Bell, "bypass", "On", True),
        (Exciter, "character", "soft clip", "soft_clip"),
        (Exciter, "attack_ms", "0.02 s", 20.0),
    ],
)
def test_what_a_person_writes_is_understood(kind: type, name: str, text: str, value: object) -> None:
    found = typed(of(kind, name), text, sample_rate=RATE)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "name", "text", "said"),
    [
        (Bell, "freq_hz", "30k", "frequency must be 10 Hz to 21.609 kHz"),
        (Bell, "freq_hz", "250 dB", "frequency must be 10 Hz to 21.609 kHz"),
        (Bell, "gain_db", "loud", "gain must be -24 dB to +24 dB"),
        (Bell, "gain_db", "nan", "gain must be -24 dB to +24 dB"),
        (Bell, "gain_db", "", "gain must be -24 dB to +24 dB"),
        (Bell, "q", "0", "Q must be 0.1 to 40"),
        (Strip, "pan", "150", "pan must be 100% left to 100% right"),
        (Strip, "pan", "-30 right", "pan must be 100% left to 100% right"),
        (Strip, "mode", "swap", "mode must be replace, parallel or cancel"),
        (Dither, "bits", "16.5", "word length must be a whole number from 0 bits to 32 bits"),
        (Bell, "bypass", "maybe", "bypass must be on or off"),
    ],
)
def test_what_can_not_be_is_answered_with_what_can(kind: type, name: str, text: str, said: str) -> None:
    with pytest.raises(UnbakeError) as caught:
        typed(of(kind, name), text, sample_rate=RATE)
    assert caught.value.what == said
    assert caught.value.where == (text or None)


@pytest.mark.parametrize(
    ("kind", "name", "value", "padded", "short"),
    [
        (Bell, "freq_hz", 247.0, "247 Hz", "247 Hz"),
        (Bell, "freq_hz", 2500.0, "2.5 kHz", "2.5 kHz"),
        (Bell, "gain_db", -4.8, "-4.8 dB", "-4.8 dB"),
        (Bell, "gain_db", 3.0, "+3.0 dB", "+3 dB"),
        (Bell, "gain_db", -4.85, "-4.85 dB", "-4.85 dB"),
        (Bell, "gain_db", 0.0, "0.0 dB", "0 dB"),
        (Bell, "q", 0.9, "Q 0.90", "Q 0.9"),
        (LowShelf, "slope", 0.7, "0.70", "0.7"),
        (LowCut, "slope_db_oct", 24, "24 dB/oct", "24 dB/oct"),
        (Limiter, "ceiling_dbtp", -1.0, "-1.0 dBTP", "-1 dBTP"),
        (Dither, "shape", "flat", "flat", "flat"),
        (Dither, "bits", 0, "output bits", "output bits"),
        (Width, "amount", 0.07, "7%", "7%"),
        (Strip, "pan", -0.3, "30% left", "30% left"),
        (Strip, "pan", 0.0, "centre", "centre"),
        (Strip, "polarity", -1, "inverted", "inverted"),
        (Notch, "bypass", True, "on", "on"),
        (Exciter, "character", "soft_clip", "soft clip", "soft clip"),
        (Exciter, "attack_ms", 10.0, "10.0 ms", "10 ms"),
    ],
)
def test_values_are_shown_as_engineers_write_them(kind: type, name: str, value: float, padded: str, short: str) -> None:
    assert shown(of(kind, name), value) == padded
    assert shown(of(kind, name), value, padded=False) == short


@every
def test_what_is_shown_can_be_typed(kind: type) -> None:
    for parameter in parameters_of(kind):
        value = stepped(parameter, parameter.default, -1, sample_rate=192_000)
        for _ in range(60):
            assert typed(parameter, shown(parameter, value), sample_rate=192_000) == value, parameter.name
            value = stepped(parameter, value, 1, coarse=True, sample_rate=192_000)
        assert possible(parameter, 192_000)


def test_a_class_to_come_is_edited_from_what_it_says() -> None:
    made = new(Exciter, RATE)
    assert isinstance(made, Exciter)
    assert made.freq_hz == 0.49 * RATE
    assert about_of(Exciter) == "Adds harmonics above freq_hz, e.g. to a dull voice."
    assert [p.title for p in parameters_of(Exciter)] == ["from", "drive", "attack ms", "order", "character", "bypass"]
    assert stepped(of(Exciter, "order"), 3, 1, sample_rate=RATE) == 4
    assert words.of_processor(Exciter(freq_hz=3000.0, drive_db=2.0, note="warm")) == "odd exciter from 3 kHz 2 dB"
    changed = Exciter(freq_hz=3000.0, order=5, character="soft_clip", bypass=True)
    assert words.of_processor(changed) == "odd exciter from 3 kHz 0 dB order 5 character soft clip (bypassed)"
    compressor = Compressor(threshold_db=-24.0, ratio=2.5, release_ms=1500.0)
    assert words.of_processor(compressor) == "compressor -24 dBFS 2.5:1 release 1500 ms"
    with pytest.raises(UnbakeError, match="the odd exciter has no loudness"):
        parameter_of(Exciter, "loudness")


def test_a_class_that_says_too_little_is_a_defect() -> None:
    class Silent(Processor, frozen=True, tag="silent", kw_only=True):
        level: float = 0.0

    class Late(Processor, frozen=True, tag="late", kw_only=True):
        level: Annotated[float, Meta(ge=0.0, le=1.0, extra={"unit": "", "fine": 0.1, "coarse": 0.5})]

    for kind in (Silent, Late):
        setattr(sys.modules[__name__], kind.__name__, kind)
        with pytest.raises(TypeError, match=f"{kind.__name__}.level states"):
            parameters_of(kind)


def test_the_words_of_a_session_did_not_change() -> None:
    strip = Strip(
        gain_db=-1.5, pan=-0.3, polarity=-1, chain=(Bell(freq_hz=250.0, gain_db=-5.0, q=0.8), LowCut(freq_hz=28.0))
    )
    assert words.of_strip(strip) == (
        "-1.5 dB; pan 30% left; polarity inverted; bell 250 Hz -5 dB Q 0.8; low cut 28 Hz 12 dB/oct"
    )
    assert words.of_strip(Strip(mode="parallel", blend=0.5)) == "parallel 50%"
    linear = Strip(eq_phase="linear", chain=(Bell(freq_hz=250.0, gain_db=-5.0),))
    assert words.of_strip(linear) == "EQ phase linear; bell 250 Hz -5 dB Q 0.7"
    placed = Bell(freq_hz=250.0, gain_db=-5.0, placement="side", bypass=True)
    assert words.of_processor(placed) == "bell 250 Hz -5 dB Q 0.7 acts on side (bypassed)"
    assert highest(of(Bell, "freq_hz"), 96_000) == 47_040.0
