"""What can be typed: every command has help with an example, and a wrong word is one line and exit code 2."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from tui.__main__ import main
from tui.cli.parser import build


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for child in group.choices.values():
            yield from commands(child)
    if not groups:
        yield parser


@pytest.mark.parametrize("parser", list(commands(build())), ids=lambda parser: parser.prog)
def test_every_command_has_an_example_json_and_quiet(parser: argparse.ArgumentParser) -> None:
    text = parser.format_help()
    assert f"example: {parser.prog}" in text.replace("\n", " ")
    assert "--json" in text
    assert "--quiet" in text


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["sing"],
        ["info"],
        ["info", "a.wav", "--loud"],
        ["null", "a.wav"],
        ["null", "a.wav", "b.wav", "--threshold", "low"],
        ["repair", "a.wav"],
        ["repair", "a.wav", "--preset", "p", "--overs", "squash"],
        ["session"],
        ["session", "set", "s.toml"],
        ["info", "-"],
        ["repair", "a.wav", "--preset", "untouched", "-o", "-"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("unbake: error: ")
    assert err.count("\n") == 1
