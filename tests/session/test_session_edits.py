"""Edits: pure, checked whole, and undone by hand they leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import edits, files, presets
from core.session.document import RESIDUAL, Separation, Session, Source, Strip
from core.session.edits import MASTER, Change
from core.session.processors import Bell, Dither, Gain, HighCut, Limiter, LowCut, Notch, Width

BELL, CUT = Bell(freq_hz=250.0, gain_db=-4.0), LowCut(freq_hz=28.0)


def start(channels: int = 2, **changes: object) -> Session:
    source = Source("/music/song.wav", "ab", 44_100, channels, 10, "WAV", "PCM_16")
    made = Session(source=source, separation=Separation(stems=("vocals", "drums", "bass", "other")))
    return msgspec.structs.replace(made, **changes)


CHAINED = start(strips={"bass": Strip(chain=(BELL, CUT))}, master=(Gain(gain_db=-1.0), Limiter()))


def test_an_edit_is_a_new_session_with_its_words() -> None:
    before = start()
    change = edits.set_strip(before, "bass", "gain_db", -1.5)
    assert change == Change(start(strips={"bass": Strip(gain_db=-1.5)}), "bass: gain -1.5 dB", "bass gain_db")
    assert before == start()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda s: edits.set_strip(s, "bass", "pan", -0.3), "bass: pan 30% left"),
        (lambda s: edits.set_strip(s, "bass", "polarity", -1), "bass: polarity inverted"),
        (lambda s: edits.set_strip(s, RESIDUAL, "mode", "cancel"), "residual: mode cancel"),
        (lambda s: edits.set_parameter(s, "bass", 0, "gain_db", -4.8), "bass: bell gain -4.8 dB"),
        (lambda s: edits.set_parameter(s, "bass", 0, "q", 2), "bass: bell Q 2"),
        (lambda s: edits.set_parameter(s, "bass", 1, "slope_db_oct", 24), "bass: low cut slope 24 dB/oct"),
        (lambda s: edits.set_parameter(s, "bass", 1, "bypass", True), "bass: low cut bypassed"),
        (lambda s: edits.set_parameter(s, MASTER, 1, "ceiling_dbtp", -2.0), "master: limiter ceiling -2 dBTP"),
        (lambda s: edits.insert(s, "bass", 1, Width(amount=0.5)), "bass: + width 50%"),
        (lambda s: edits.insert(s, MASTER, 2, Dither()), "master: + dither output bits flat"),
        (lambda s: edits.delete(s, "bass", 0), "bass: - bell 250 Hz -4 dB Q 0.7"),
        (lambda s: edits.move(s, "bass", 0, 1), "bass: bell 250 Hz -4 dB Q 0.7 moved to place 2"),
        (lambda s: edits.replace_processor(s, "bass", 0, CUT), "bass: bell -> low cut 28 Hz 12 dB/oct"),
        (lambda s: edits.toggle_bypass(s, MASTER, 0), "master: gain bypassed"),
        (lambda s: edits.bypass_all(s, "bass"), "bass: whole chain bypassed"),
        (lambda s: edits.reset_strip(s, "bass"), "bass: reset"),
        (lambda s: edits.lay(s, presets.find("tame-drums")), "preset tame-drums"),
    ],
)
def test_every_edit_says_what_it_did_and_comes_back_from_toml(make: Callable[[Session], Change], what: str) -> None:
    change = make(CHAINED)
    assert change.what == what
    assert change.session != CHAINED
    text = files.dumps(change.session)
    assert files.from_tables(files.toml.parse(text, "text"), files.Origin("text", text)) == change.session


def test_what_was_undone_by_hand_was_never_done() -> None:
    made = edits.insert(start(), "bass", 0, BELL).session
    assert edits.delete(made, "bass", 0).session == start()
    made = edits.set_strip(start(), "bass", "gain_db", -1.0).session
    back = edits.set_strip(made, "bass", "gain_db", -0.0).session
    assert back == start()
    assert files.dumps(back) == files.dumps(start())
    for strip in ("bass", MASTER):
        assert edits.chain_of(edits.reset_strip(CHAINED, strip).session, strip) == ()
    twice = edits.bypass_all(edits.bypass_all(CHAINED, "bass").session, "bass").session
    assert twice == CHAINED
    assert edits.toggle_bypass(edits.toggle_bypass(CHAINED, "bass", 1).session, "bass", 1).session == CHAINED


def test_strips_are_written_in_the_order_of_the_stems() -> None:
    made = start()
    for name in (RESIDUAL, "bass", "vocals", "drums"):
        made = edits.set_strip(made, name, "gain_db", 1.0).session
    assert list(made.strips) == ["vocals", "drums", "bass", RESIDUAL]


def test_whole_numbers_are_taken_where_any_number_goes() -> None:
    made = edits.set_parameter(CHAINED, "bass", 0, "gain_db", -3).session
    assert "gain_db = -3.0" in files.dumps(made)


def test_a_move_ends_at_the_ends() -> None:
    assert edits.move(CHAINED, "bass", 1, 5).session == CHAINED
    assert edits.move(CHAINED, "bass", 1, -5).session.strips["bass"].chain == (CUT, BELL)


def test_bypass_of_a_chain_that_is_half_on_turns_it_off() -> None:
    half = edits.toggle_bypass(CHAINED, "bass", 0).session
    assert all(one.bypass for one in edits.bypass_all(half, "bass").session.strips["bass"].chain)


def test_nudges_of_one_parameter_share_a_key_and_others_do_not() -> None:
    keys = [
        edits.set_parameter(CHAINED, "bass", 0, "gain_db", -4.1).merge_key,
        edits.set_parameter(CHAINED, "bass", 0, "q", 1.0).merge_key,
        edits.set_parameter(CHAINED, "bass", 1, "freq_hz", 30.0).merge_key,
        edits.set_parameter(CHAINED, MASTER, 0, "gain_db", -4.1).merge_key,
        edits.set_strip(CHAINED, "bass", "gain_db", -4.1).merge_key,
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == edits.set_parameter(CHAINED, "bass", 0, "gain_db", -9.0).merge_key
    assert edits.toggle_bypass(CHAINED, "bass", 0).merge_key is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: edits.set_strip(start(), "tuba", "gain_db", 1.0), "tuba: no such strip (starter makes vocals"),
        (lambda: edits.reset_strip(start(), "tuba"), "tuba: no such strip"),
        (lambda: edits.insert(start(), "tuba", 0, BELL), "tuba: no such strip"),
        (lambda: edits.set_strip(start(), MASTER, "gain_db", 1.0), "no fader of its own (put a gain into it)"),
        (lambda: edits.set_strip(start(), "bass", "gain_db", 100.0), "strips.bass.gain_db: must be <= 24"),
        (lambda: edits.set_strip(start(), "bass", "gain_db", float("nan")), "strips.bass.gain_db"),
        (lambda: edits.set_strip(start(), "bass", "mode", "swap"), "it can be replace, parallel, cancel"),
        (lambda: edits.set_strip(start(), "bass", "chain", ()), "the strip has no chain"),
        (lambda: edits.set_strip(start(1), "bass", "pan", 0.5), "the source is mono"),
        (lambda: edits.insert(start(1), "bass", 0, Width(amount=0.5)), "the source is mono"),
        (lambda: edits.insert(start(1), "bass", 0, Notch(freq_hz=50.0, placement="side")), "notch on side needs a"),
        (lambda: edits.insert(start(), "bass", 1, BELL), "bass: has no place 2; its chain is 0 long"),
        (lambda: edits.insert(start(), "bass", 0, Limiter()), "the limiter does not go here, only on the master"),
        (lambda: edits.replace_processor(CHAINED, "bass", 0, Dither()), "the dither does not go here"),
        (lambda: edits.insert(start(), "bass", 0, HighCut(freq_hz=22_000.0)), "is 22000, above 21609, the highest"),
        (lambda: edits.set_parameter(CHAINED, "bass", 0, "freq_hz", 22_000.0), "chain[0].freq_hz: is 22000, above"),
        (lambda: edits.set_parameter(CHAINED, "bass", 0, "gain_db", -25.0), "strips.bass.chain[0].gain_db: must be"),
        (lambda: edits.set_parameter(CHAINED, "bass", 0, "gain", 1.0), "did you mean gain_db?"),
        (lambda: edits.set_parameter(CHAINED, MASTER, 1, "ceiling_dbtp", 1.0), "master[1].ceiling_dbtp: must be"),
        (lambda: edits.set_parameter(CHAINED, "bass", 2, "gain_db", 1.0), "has no place 3; its chain is 2 long"),
        (lambda: edits.delete(CHAINED, "bass", -1), "has no place"),
        (lambda: edits.move(CHAINED, "drums", 0, 1), "drums: has no place 1"),
        (lambda: edits.toggle_bypass(CHAINED, MASTER, 2), "master: has no place 3"),
        (lambda: edits.bypass_all(CHAINED, "drums"), "drums: there is nothing to bypass"),
    ],
)
def test_what_can_not_be_is_refused(make: Callable[[], Change], said: str) -> None:
    with pytest.raises(UnbakeError) as caught:
        make()
    assert said in caught.value.line()
