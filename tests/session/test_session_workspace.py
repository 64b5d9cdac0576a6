"""The workspace: remembered beside the session, never in the way of opening it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UnbakeError
from core.session import workspace
from core.session.workspace import Loop, Marker, Workspace

FULL = Workspace(
    markers=(Marker(0, "in"), Marker(44_100)),
    loop=Loop(100, 200, True),
    playhead=150,
    view=(0, 1000),
    strip="bass",
    solo=frozenset({"vocals", "bass"}),
    mute=frozenset({"drums"}),
    spectrogram=True,
)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    assert workspace.load(path) == (Workspace(), None)
    for remembered in (FULL, Workspace()):
        workspace.save(path, remembered)
        assert workspace.load(path) == (remembered, None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["song.unbake.workspace"]


def test_it_reads_as_toml_in_a_steady_order(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    workspace.save(path, FULL)
    assert 'solo = [\n    "bass",\n    "vocals",\n]' in workspace.path_for(path).read_text()


@pytest.mark.parametrize(
    "text",
    ["playhead = -1", "playhead = 'late'", "[loop]\nfirst = 5\nlast = 5", "view = [1]", "playhead", "\x00", "mute = 3"],
)
def test_a_broken_one_gives_the_default_and_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "song.unbake.toml"
    workspace.path_for(path).write_text(text)
    found, note = workspace.load(path)
    assert found == Workspace()
    assert note is not None
    assert "song.unbake.workspace" in note.text


def test_what_is_not_text_gives_the_default_too(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    workspace.path_for(path).write_bytes(b"\xff\xfe")
    assert workspace.load(path)[0] == Workspace()
    workspace.path_for(path).unlink()
    workspace.path_for(path).mkdir()
    found, note = workspace.load(path)
    assert found == Workspace()
    assert note is not None


def test_keys_of_a_newer_unbake_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "song.unbake.toml"
    workspace.path_for(path).write_text("playhead = 7\ncolour = 'green'\n")
    assert workspace.load(path) == (Workspace(playhead=7), None)


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnbakeError, match="the folder to write to does not exist"):
        workspace.save(tmp_path / "gone" / "song.unbake.toml", FULL)
