"""Stems that were brought, in the document: names, placement, treated copies, what is written and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import changes, edits, files, presets, toml, words
from core.session.document import Brought, Separation, Session, Source, Strip, audible_key
from core.session.processors import Bell, DynamicBell
from core.session.toml import Origin

GUITAR = Brought("/music/gtr.wav", "ab" * 32, 12345.3, 50.0, -1, -6.02)
COPY = Brought("/music/gtr treated.wav", "cd" * 32, 12345.3, 50.0, -1, -6.02)


def start(**more: Any) -> Session:
    source = Source("/music/song.wav", "00" * 32, 44_100, 2, 70_001, "WAV", "PCM_24")
    separation = Separation(stems=("vocals", "drums", "bass", "other"))
    return Session(source=source, separation=separation, **more)


def with_copy() -> Session:
    return edits.bring(start(), "guitar", GUITAR, mode="replace", treated=("guitar-treated", COPY)).session


def test_a_session_without_brought_stems_is_written_as_ever_and_keys_the_same_dither() -> None:
    before = start(strips={"bass": Strip(gain_db=-2.0)})
    text = files.dumps(before)
    assert "brought" not in text
    assert "treated" not in text
    assert audible_key(before) == (
        b'["0000000000000000000000000000000000000000000000000000000000000000",{"bass":{"gain_db":-2.0,"pan":0.0,'
        b'"polarity":1,"mode":"replace","blend":0.0,"chain":[]}},[]]'
    )
    assert files.from_tables(toml.parse(text, "it"), Origin("it", text)) == before


def test_a_brought_stem_is_written_and_read_again_relative_to_the_session(tmp_path: Path) -> None:
    source = msgspec.structs.replace(start().source, path=str(tmp_path / "song.wav"))
    here = msgspec.structs.replace(GUITAR, path=str(tmp_path / "stems" / "gtr.wav"), hash="ef" * 32)
    session = edits.bring(msgspec.structs.replace(start(), source=source), "guitar", here).session
    path = tmp_path / "song.unbake.toml"
    path.write_text(files.dumps(session, tmp_path))
    assert 'path = "stems/gtr.wav"' in path.read_text()
    assert files.load(path) == session


def test_strips_come_in_the_order_of_stems_residual_and_what_was_brought() -> None:
    session = with_copy()
    assert session.strip_names == ("vocals", "drums", "bass", "other", "residual", "guitar", "guitar-treated")
    assert session.changed == ("guitar",)
    assert session.stems_used == ("guitar", "guitar-treated")
    assert not session.needs_separation(session.stems_used)
    both = edits.set_strip(session, "bass", "gain_db", -1.0).session
    assert both.stems_used == ("bass", "guitar", "guitar-treated")
    assert both.needs_separation(both.stems_used)


def test_a_cancelled_strip_hears_no_treated_copy() -> None:
    session = edits.set_strip(with_copy(), "guitar", "mode", "cancel").session
    assert session.stems_used == ("guitar",)


def test_a_treated_copy_changes_its_strip_and_nothing_else_does() -> None:
    assert not Strip(treated="guitar-treated").neutral
    assert Strip(treated="guitar-treated", mode="parallel").neutral
    assert not Strip(treated="guitar-treated", mode="parallel", blend=0.5).neutral


@pytest.mark.parametrize("name", ["bass", "residual", "master", "source", "n", "Guitar", "", "a b", "-x"])
def test_names_that_are_taken_or_no_names_are_refused(name: str) -> None:
    with pytest.raises(UnbakeError, match="name of"):
        edits.bring(start(), name, GUITAR)


def test_a_name_is_brought_once() -> None:
    session = edits.bring(start(), "guitar", GUITAR).session
    with pytest.raises(UnbakeError, match="guitar: a stem of this name was brought already"):
        edits.bring(session, "guitar", GUITAR)


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("strips.bass.treated=tuba", "strips.bass.treated: no stem tuba was brought (there are guitar"),
        ("strips.guitar.treated=guitar", "strips.guitar.treated: a stem can't be its own treated copy"),
        ("strips.tuba.gain_db=1", "brought: guitar, guitar-treated"),
        ("brought.guitar.gain_db=nan", "brought.guitar"),
        ("brought.guitar.polarity=2", "brought.guitar.polarity"),
        ("brought.guitar.drift_ppm=5000", "brought.guitar"),
        ("brought.guitar.sha256=ab", "was measured and can't be set"),
        ("brought.guitar.hash=", "was measured and can't be set"),
        ("brought.guitar=", "is brought and taken out as a whole"),
        ("brought.guitar.colour=1", "brought.guitar.colour: no such key"),
    ],
)
def test_what_can_not_be_set_is_refused_by_its_path(assignment: str, complaint: str) -> None:
    with pytest.raises(UnbakeError) as raised:
        files.set_values(with_copy(), [assignment])
    assert complaint in str(raised.value)


def test_the_placement_can_be_set() -> None:
    after = files.set_values(with_copy(), ["brought.guitar.gain_db=-2", "brought.guitar.delay_samples=7"])
    assert (after.brought["guitar"].gain_db, after.brought["guitar"].delay_samples) == (-2.0, 7.0)


def test_another_model_that_makes_a_stem_of_the_name_is_refused() -> None:
    session = edits.bring(start(), "guitar", GUITAR).session
    six = Separation(model="six", stems=("vocals", "guitar"))
    with pytest.raises(UnbakeError, match=r"brought\.guitar: guitar is the name of another strip"):
        files.check_strips(msgspec.structs.replace(session, separation=six), Origin("it"))


def test_taking_a_stem_out_takes_its_strip_and_its_copy_along() -> None:
    session = edits.set_strip(with_copy(), "guitar", "gain_db", 2.0).session
    assert edits.drop(session, "guitar").session == start()


def test_taking_out_a_copy_leaves_the_strip_to_its_own_stem() -> None:
    after = edits.drop(with_copy(), "guitar-treated").session
    assert list(after.brought) == ["guitar"]
    assert after.changed == ()


def test_a_copy_that_has_work_of_its_own_stays() -> None:
    session = edits.set_strip(with_copy(), "guitar-treated", "gain_db", 2.0).session
    assert list(edits.drop(session, "guitar").session.brought) == ["guitar-treated"]


def test_what_another_strip_listens_to_is_not_taken_out() -> None:
    session = edits.bring(start(), "guitar", GUITAR).session
    session = edits.insert(session, "bass", 0, DynamicBell(freq_hz=80, range_db=-6, sidechain="guitar")).session
    assert session.stems_used == ("bass", "guitar")
    with pytest.raises(UnbakeError, match=r"strips\.bass\.chain\[0\]\.sidechain: there is no stem guitar"):
        edits.drop(session, "guitar")


def test_what_was_not_brought_is_not_taken_out() -> None:
    with pytest.raises(UnbakeError, match="bass: no stem of this name was brought"):
        edits.drop(start(), "bass")


def test_words_and_differences_name_file_and_placement() -> None:
    said = words.of_brought("guitar", GUITAR)
    assert said == (
        "guitar is gtr.wav, 12345.3 frames later, clock +50 ppm, inverted, at -6.02 dB (SHA-256 abababababab)"
    )
    assert words.of_brought("x", Brought("x.wav", "01" * 32)) == "x is x.wav (SHA-256 010101010101)"
    assert words.of_session(with_copy()) == ["guitar: as guitar-treated"]
    lines = [each.line for each in changes.differences(start(), with_copy())]
    assert f"guitar: + brought: {said}" in lines
    moved = files.set_values(with_copy(), ["brought.guitar.gain_db=-3"])
    assert [each.line for each in changes.differences(with_copy(), moved)] == ["guitar: gain db -6.02 -> -3"]


def test_presets_lie_over_brought_stems_and_keep_no_treated_copy() -> None:
    session = with_copy()
    with pytest.raises(UnbakeError, match="heard as its treated copy"):
        presets.save_own("mine", "", session, ("guitar",), False)
    other = edits.insert(edits.bring(start(), "guitar", GUITAR).session, "guitar", 0, Bell(freq_hz=250, gain_db=-3))
    presets.save_own("mine", "", other.session, ("guitar",), False)
    laid = presets.find("mine").over(session)
    assert laid.strips["guitar"].chain == other.session.strips["guitar"].chain
    with pytest.raises(UnbakeError, match="needs the stem guitar"):
        presets.find("mine").over(start())
