"""Delivery profiles: what ships, what a user writes, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import UnbakeError
from core.session import profiles
from core.session.profiles import Profile

HEAD = 'name = "mine"\nabout = "of my own"\n'


def test_those_that_ship_are_right() -> None:
    found = {profile.name: profile for profile in profiles.built_in()}
    assert {"streaming", "cd", "club", "film"} <= set(found)
    streaming, cd = found["streaming"], found["cd"]
    assert (streaming.target_lufs, streaming.ceiling_dbtp) == (-14.0, -1.0)
    assert (cd.sample_rate, cd.subtype, cd.dither, cd.target_lufs) == (44_100, "PCM_16", "f_weighted", None)
    assert all(profile.about and profile.words() for profile in found.values())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("target_lufs = nan", "target_lufs: is nan"),
        ("target_lufs = 1", "target_lufs: must be <= 0"),
        ("target_lufs = '-14'", "target_lufs: must be a number"),
        ("target_lufs = true", "target_lufs: must not be true or false"),
        ("ceiling_dbtp = 0.1", "ceiling_dbtp: must be <= 0"),
        ("ceiling_dbtp = -inf", "ceiling_dbtp: "),
        ("most_limiting_db = -1", "most_limiting_db: must be >= 0"),
        ("sample_rate = 0", "sample_rate: must be >= 8000"),
        ("sample_rate = 7999", "sample_rate: must be >= 8000"),
        ("sample_rate = 384001", "sample_rate: must be <= 384000"),
        ("sample_rate = 44100.5", "sample_rate: must be a whole number"),
        ("subtype = 'PCM_12'", "it can be PCM_16, PCM_24"),
        ("dither = 'pink'", "it can be flat, highpass, f_weighted"),
        ("ceilin_dbtp = -1", "did you mean ceiling_dbtp?"),
        ("origin = 'me'", "no such key"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, said: str) -> None:
    with pytest.raises(UnbakeError) as caught:
        profiles.parse(HEAD + line + "\n", "mine.toml", "mine.toml")
    assert caught.value.line().startswith("mine.toml, line 3: ")
    assert said in caught.value.line()


def test_name_and_about_are_asked_for() -> None:
    with pytest.raises(UnbakeError, match="about: is missing"):
        profiles.parse('name = "x"', "x.toml", "x.toml")


def test_numbers_are_checked_however_a_profile_is_made() -> None:
    wrongs: tuple[dict[str, Any], ...] = ({"target_lufs": float("nan")}, {"ceiling_dbtp": 0.5}, {"sample_rate": 7999})
    for wrong in wrongs:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Profile(name="x", about="y", **wrong)


def test_the_users_own_win_and_a_broken_one_hides_nothing(tmp_path: Path) -> None:
    folder = profiles.user_folder()
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('name = "streaming"\nabout = "louder"\ntarget_lufs = -11\n')
    (folder / "broken.toml").write_text("name = 3\n")
    assert profiles.find("streaming").target_lufs == -11.0
    assert profiles.find("cd").origin == "built in"
    found, broken = profiles.all_profiles()
    assert [profile.about for profile in found].count("louder") == 1
    assert len(broken) == 1
    with pytest.raises(UnbakeError, match=r"broken\.toml"):
        profiles.find("broken")
    (tmp_path / "else.toml").write_text(HEAD + "ceiling_dbtp = -2\n")
    assert profiles.find(str(tmp_path / "else.toml")).ceiling_dbtp == -2.0


def test_an_unknown_one_is_one_line_with_near_names() -> None:
    with pytest.raises(UnbakeError, match=r"no such delivery profile \(did you mean streaming\?\)|streaming"):
        profiles.find("streming")
    for wanted in ("", "zzz"):
        with pytest.raises(UnbakeError) as caught:
            profiles.find(wanted)
        assert "there are: broadcast, cd" in caught.value.line()
