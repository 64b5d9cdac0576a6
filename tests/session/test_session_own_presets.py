"""Presets of the user's own, made of what was done in a session."""

from __future__ import annotations

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import presets
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, Gain, Limiter

SOURCE = Source("/music/song.wav", "ab", 44_100, 2, 10, "WAV", "PCM_16")
FRESH = Session(source=SOURCE, separation=Separation(stems=("vocals", "drums", "bass", "other")))
DONE = msgspec.structs.replace(
    FRESH,
    strips={
        "bass": Strip(gain_db=-1.5, pan=0.2, chain=(Bell(freq_hz=250.0, gain_db=-4.0), Gain(bypass=True))),
        "drums": Strip(mode="parallel", blend=0.3, polarity=-1),
        "residual": Strip(gain_db=-3.0),
    },
    master=(Gain(gain_db=-1.0), Limiter()),
)


def test_a_preset_of_a_session_lays_the_same_over_another() -> None:
    path = presets.save_own("My bass no. 2", "What I do to every bass.", DONE, tuple(DONE.strips), True)
    found = presets.read(path)
    assert found == presets.find("My bass no. 2")
    assert found.about == "What I do to every bass."
    assert found.needs.stems == ("bass", "drums")
    assert found.over(FRESH) == DONE
    used = msgspec.structs.replace(FRESH, strips={"bass": Strip(gain_db=2.0, mode="cancel")})
    assert found.over(used).strips["bass"] == DONE.strips["bass"]


def test_only_what_was_asked_for_is_kept() -> None:
    kept = presets.read(presets.save_own("bass-only", "One strip.", DONE, ("bass",), False)).over(FRESH)
    assert kept == msgspec.structs.replace(FRESH, strips={"bass": DONE.strips["bass"]})
    kept = presets.read(presets.save_own("ceiling", "Master.", DONE, (), True)).over(FRESH)
    assert kept == msgspec.structs.replace(FRESH, master=DONE.master)


def test_one_that_is_there_is_replaced_only_when_asked() -> None:
    presets.save_own("mine", "First.", DONE, ("bass",), False)
    with pytest.raises(UnbakeError, match="exists already"):
        presets.save_own("mine", "Second.", DONE, ("bass",), False)
    presets.save_own("mine", "Second.", DONE, ("bass",), False, force=True)
    assert presets.find("mine").about == "Second."
    (presets.user_folder() / "mine.toml").rename(presets.user_folder() / "elsewhere.toml")
    with pytest.raises(UnbakeError, match=r"elsewhere\.toml: another preset has this name already"):
        presets.save_own("mine", "Third.", DONE, ("bass",), False, force=True)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a\nb", " a", "a ", "x.toml", "a" * 101, "~"]
)
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(UnbakeError, match="can't be the name of a preset"):
        presets.save_own(name, "", DONE, ("bass",), False)
    assert not presets.user_files()


def test_nothing_is_no_preset() -> None:
    with pytest.raises(UnbakeError, match="there is nothing to keep"):
        presets.save_own("empty", "", DONE, (), False)
    with pytest.raises(UnbakeError, match="there is nothing to keep"):
        presets.save_own("empty", "", FRESH, (), True)
    with pytest.raises(UnbakeError, match="nothing is done to vocals"):
        presets.save_own("empty", "", DONE, ("bass", "vocals"), False)
