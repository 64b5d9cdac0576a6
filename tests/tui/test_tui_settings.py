"""The user's own settings: what is wrong in them is said and the rest holds; keys that are moved really move."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui import actions, config
from tui.config import Config


def settings(text: str | bytes) -> Config:
    """The settings that are read when the file holds this."""
    config.path().parent.mkdir(parents=True, exist_ok=True)
    config.path().write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.load()


def test_without_a_file_there_is_nothing_to_say() -> None:
    assert config.load() == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theme = ", "not valid TOML"),
        ("[keys\n", "not valid TOML"),
        (b"theme = '\xff'", "not a text file"),
        ('theme = "sepia"', "theme: 'sepia' is none of dark, light, contrast"),
        ("theme = 3", "theme: 3 is none of"),
        ("theme = [1]", "theme: [1] is none of"),
        ('glyphs = "emoji"', "glyphs: 'emoji' is none of braille, blocks, ascii"),
        ('low_bandwidth = "yes"', "low_bandwidth: must be true or false"),
        ("colour = 1", "colour: no such setting (there are theme, low_bandwidth, glyphs, keys, models)"),
        ("keys = 1", "keys: must be a table"),
        ("models = 1", "models: must be a table"),
        ("[models]\nmirror = 1", "models.mirror: no such setting (there is mirrors)"),
        ("[models]\nmirrors = 1", "models.mirrors: must be a table"),
        ("[models.mirrors]\n'https://a/' = 1", "models.mirrors.'https://a/': must be an address, or a list"),
        ("[models.mirrors]\n'https://a/' = []", "models.mirrors.'https://a/': must be an address, or a list"),
        ("[models.mirrors]\n'https://a/' = 'https://b'", "models.mirrors.'https://a/': both sides must end in /"),
        ('[keys]\n"edit.unod" = "u"', "keys.edit.unod: no such action"),
        ('[keys]\n"edit.undo" = 7', "keys.edit.undo: must be a key"),
        ('[keys]\n"edit.undo" = []', "keys.edit.undo: must be a key"),
        ('[keys]\n"edit.undo" = ""', "keys.edit.undo: must be a key"),
        ('[keys]\n"edit.undo" = "pgdwn"', "keys.edit.undo: no such key: pgdwn (did you mean pagedown?)"),
        ('[keys]\n"edit.undo" = "hyper+u"', "keys.edit.undo: no such key: hyper+u"),
        ('[keys]\n"edit.undo" = "ctrl+q"', "keys.edit.undo: ctrl+q can't be given to anything"),
        ('[keys]\n"edit.undo" = "d"', "keys.edit.undo: d is the key of chain.delete too; it stays u"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_default_holds(text: str | bytes, said: str) -> None:
    found = settings(text)
    assert len(found.problems) == 1
    assert str(config.path()) in found.problems[0]
    assert said in found.problems[0]
    assert (found.theme, found.low_bandwidth, found.glyphs, found.keys) == ("dark", False, None, {})


def test_a_file_that_can_not_be_read_is_said() -> None:
    config.path().mkdir(parents=True)
    assert "is a directory" in config.load().problems[0]


def test_one_mistake_leaves_the_rest_as_it_is_wanted() -> None:
    found = settings('theme = "light"\nglyphs = "emoji"\n[keys]\n"edit.undo" = "w"\n"edit.redo" = "nonsense"')
    assert len(found.problems) == 2
    assert (found.theme, found.glyphs, found.keys) == ("light", None, {"edit.undo": ("w",)})


def test_keys_are_written_as_people_write_them() -> None:
    found = settings(
        '[keys]\nedit.undo = "w"\nedit.redo = ["@", "Shift+Q", "F5", "PgDn", "Ctrl+Up", "<", "é"]\n'
        'time.back_5 = "("\nchain.up = "shift+up"'
    )
    assert not found.problems
    assert found.keys["edit.undo"] == ("w",)
    assert found.keys["edit.redo"] == ("at", "Q", "f5", "pagedown", "ctrl+up", "less_than_sign", "é")
    assert found.keys["time.back_5"] == ("left_parenthesis",)


def test_two_actions_may_change_places() -> None:
    found = settings('[keys]\n"edit.undo" = "d"\n"chain.delete" = "u"')
    assert not found.problems
    assert found.keys == {"edit.undo": ("d",), "chain.delete": ("u",)}


def test_whatever_is_given_no_action_is_left_without_a_key_and_no_key_has_two() -> None:
    lines = [
        f'"{action.id}" = ["q", "{action.keys[0] if len(action.keys[0]) > 1 else "x"}"]' for action in actions.ACTIONS
    ]
    found = settings("[keys]\n" + "\n".join(lines))
    assert not actions.clashing(found.keys)
    assert all(actions.keys_of(action, found.keys) for action in actions.ACTIONS)
    assert found.problems


async def test_problems_are_notices_and_the_app_is_as_usable_as_ever(workstation, session_path: Path) -> None:
    found = settings('theme = "sepia"\n[keys]\n"edit.undo" = "d"')
    async with workstation(session_path, config=found) as driver:
        desk = await driver.opened()
        said = driver.notices()
        assert "sepia" in said
        assert "chain.delete" in said
        assert driver.app.theme == "dark"
        await driver.press("3", "p", "u")
        assert desk.bench.session.untouched


KEYS = """[keys]
edit.undo = "w"
strip.polarity = ["@", "F2"]
app.help = "F1"
list.close = "z"
form.close = "z"
"""


async def test_keys_of_ones_own_take_the_place_of_the_default_ones(workstation, session_path: Path) -> None:
    async with workstation(session_path, config=settings(KEYS)) as driver:
        desk = await driver.opened()
        start = desk.bench.session
        await driver.press("3", "p")
        assert desk.bench.session == start  # the default key is free now
        await driver.press("at")
        assert desk.bench.session.strips["bass"].polarity == -1
        await driver.press("u")
        assert desk.bench.session.strips["bass"].polarity == -1
        await driver.press("w")
        assert desk.bench.session == start
        await driver.press("f2")
        assert desk.bench.session.strips["bass"].polarity == -1


async def test_texts_speak_of_ones_own_keys(workstation, song: Path) -> None:
    own = settings('[keys]\n"file.open" = "F3"\n"panel.separate" = "F4"\n"chain.insert" = "Ins"\n"view.pane" = "F6"')
    async with workstation(None, config=own) as driver:
        await driver.until(lambda: "f3 opens a master" in driver.text(), "the welcome")
        await driver.press("e")
        assert "nothing is open: f3 opens a file" in driver.text()
    async with workstation(song, config=own) as driver:
        await driver.opened()
        assert "f4 separates" in driver.text()
        assert "Ins inserts a processor" in driver.text()
        await driver.press("d")
        assert "f6 goes to the chain" in driver.text()


async def test_footer_help_palette_and_panels_show_ones_own_keys(workstation, session_path: Path) -> None:
    async with workstation(session_path, config=settings(KEYS), size=(200, 50)) as driver:
        await driver.opened()
        footer = driver.text().splitlines()[-1]
        assert "@ polarity" in footer
        assert "f1 help" in footer
        await driver.press("f1")
        lines = driver.text().splitlines()
        assert any("@  f2" in line and "polarity" in line for line in lines)
        assert "z back" in lines[-1]
        await driver.press("escape")  # the default key of a panel's end is free too
        assert "strip.polarity" in driver.text()
        await driver.press("z")
        assert "strip.polarity" not in driver.text()
        await driver.press("colon", *"polarity")
        assert any("polarity" in line and " @ " in line for line in driver.text().splitlines())
        await driver.press("escape", "S")
        assert "z back" in driver.text()
        await driver.press("z")
        assert "z back" not in driver.text()
