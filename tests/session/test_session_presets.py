"""Presets: partial sessions, laid over without touching what they do not name."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from core.errors import UnbakeError
from core.session import presets, words
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, Gain

SOURCE = Source("/music/song.wav", "ab", 44_100, 2, 10, "WAV", "PCM_16")
SESSION = Session(source=SOURCE, separation=Separation(stems=("vocals", "drums", "bass", "other")))

MINE = """\
name = "mine"
about = "For testing."

[strips.bass]
gain_db = -1.0

[[strips.bass.chain]]
type = "bell"
freq_hz = 200.0
gain_db = -3.0
"""


def test_the_first_presets_are_there_and_lay_over_a_four_stem_session() -> None:
    found = {preset.name: preset for preset in presets.built_in()}
    assert {"muddy-low-end", "vocal-lift", "tame-drums", "de-mud-bass-only", "untouched"} <= set(found)
    assert len(found) >= 16
    for name, preset in found.items():
        assert words.of_preset(preset)
        if preset.fits:
            with pytest.raises(UnbakeError, match="has values that are measured on the stems first"):
                preset.over(SESSION)
            continue
        laid = preset.over(SESSION)
        assert laid.untouched == (name == "untouched")
        assert preset.over(laid) == laid


def test_a_preset_sets_what_it_names_and_nothing_else() -> None:
    before = msgspec.structs.replace(
        SESSION,
        strips={"bass": Strip(pan=0.5, chain=(Gain(gain_db=1.0),)), "drums": Strip(gain_db=2.0)},
        master=(Gain(gain_db=-1.0),),
    )
    after = presets.parse(MINE, "mine.toml", "test").over(before)
    assert after.strips["bass"] == Strip(gain_db=-1.0, pan=0.5, chain=(Bell(freq_hz=200.0, gain_db=-3.0),))
    assert after.strips["drums"] == before.strips["drums"]
    assert after.master == before.master


def test_a_preset_says_which_stem_it_lacks() -> None:
    two = msgspec.structs.replace(
        SESSION, separation=Separation(model="spleeter-2stems", stems=("vocals", "accompaniment"))
    )
    with pytest.raises(UnbakeError, match="needs the stem bass, but spleeter-2stems makes vocals, accompaniment"):
        presets.find("muddy-low-end").over(two)


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ("gain_db = -3.0", "gain_db = -300.0", "line 10: strips.bass.chain[0].gain_db"),
        ("gain_db = -1.0", "gain = -1.0", "line 5: strips.bass.gain: no such key (did you mean gain_db?)"),
        ('name = "mine"', "", "name: is missing"),
        ('about = "For testing."', "colour = 1", "line 2: colour: no such key"),
        ("[strips.bass]", "[strips.bass", "not valid TOML"),
    ],
)
def test_a_wrong_preset_names_its_line(line: str, replacement: str, said: str) -> None:
    with pytest.raises(UnbakeError) as caught:
        presets.parse(MINE.replace(line, replacement), "mine.toml", "test")
    assert said in caught.value.line()
    assert "mine.toml" in caught.value.line()


def test_the_users_own_preset_is_found_by_file_and_by_name(tmp_path: Path) -> None:
    folder = presets.user_folder()
    folder.mkdir(parents=True)
    (folder / "other-file-name.toml").write_text(MINE)
    (folder / "broken.toml").write_text("name = ")
    assert presets.find("mine").origin.endswith("other-file-name.toml")
    assert presets.find(str(folder / "other-file-name.toml")).name == "mine"
    found, broken = presets.all_presets()
    assert found[-1].name == "mine"
    assert len(broken) == 1
    with pytest.raises(UnbakeError, match="not valid TOML"):
        presets.find("broken")


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnbakeError, match="did you mean muddy-low-end"):
        presets.find("mudy-low-end")
