"""Blind tests: the figures against scipy, and a log that nothing undoes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from scipy.stats import binomtest

from core.errors import UnbakeError
from core.session import history
from core.session.blind import BlindTest, Side, Trial, by_test, p_value
from core.session.document import Separation, Session, Source, Strip
from core.session.editor import Editor
from core.session.edits import Change

SOURCE = Source("/music/song.wav", "ab", 44_100, 2, 10, "WAV", "PCM_16")
BASE = Session(source=SOURCE, separation=Separation(stems=("bass",)))
LOUD = msgspec.structs.replace(BASE, strips={"bass": Strip(gain_db=-3.0)})


def trial(x: Side, answer: Side, test: str = "2026-01-01T00:00:00+00:00", of: int = 4) -> Trial:
    return Trial(test, of, "2026-01-01T00:01:00+00:00", x, answer, 1, 0, 10)


@pytest.mark.parametrize("trials", [1, 8, 16, 32])
def test_p_is_the_one_sided_binomial(trials: int) -> None:
    for right in range(trials + 1):
        expected = binomtest(right, trials, 0.5, alternative="greater").pvalue
        assert p_value(right, trials) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="right of"):
        p_value(trials + 1, trials)


def test_a_test_that_was_left_proves_nothing() -> None:
    left = BlindTest((trial("source", "source"), trial("repair", "repair")))
    assert (left.right, left.finished, left.p_value) == (2, False, None)
    assert left.words() == "2 of 2 right, 4 were planned"
    whole = BlindTest((*left.trials, trial("source", "repair"), trial("repair", "repair")))
    assert (whole.right, whole.finished, whole.p_value) == (3, True, 5 / 16)
    assert whole.words() == "3 of 4 right, p = 0.312"
    sure = BlindTest(tuple(trial("source", "source", of=16) for _ in range(16)))
    assert sure.words() == "16 of 16 right, p < 0.001"


def test_trials_are_told_apart_by_their_tests() -> None:
    trials = [trial("source", "source", "one"), trial("repair", "source", "two"), trial("repair", "repair", "one")]
    found = by_test(trials)
    assert [(each.began, each.right, len(each.trials)) for each in found] == [("one", 2, 2), ("two", 0, 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "song.unbake.toml"
    editor = Editor.create(path, BASE, "made")
    editor.apply(Change(LOUD, "bass gain -3.0 dB"))
    editor.judge(trial("source", "source"))
    editor.save()
    return path


def test_no_undo_takes_an_answer_back(path: Path) -> None:
    history.undo(path)
    editor = Editor.open(path)
    assert editor.session == BASE
    editor.judge(trial("repair", "source"))
    editor.redo()
    editor.journal()
    editor.save()
    found = history.load(path)
    assert found.trials == (trial("source", "source"), trial("repair", "source"))
    assert len(found.edits) == 2
    history.undo(path)
    history.save(path, msgspec.structs.replace(BASE, strips={"bass": Strip(gain_db=-9.0)}), "another")
    assert history.load(path).trials == found.trials


def test_every_answer_is_on_the_disk_by_itself(path: Path) -> None:
    editor = Editor.open(path)
    assert editor.journaled
    editor.judge(trial("repair", "repair"))
    assert not editor.journaled
    editor.journal()
    assert history.load(path).trials[-1] == trial("repair", "repair")
    lines = history.path_for(path).read_text().splitlines()
    assert json.loads(lines[-1])["type"] == "trial"


def test_who_may_only_look_leaves_no_answer(path: Path) -> None:
    editor = Editor.open(path, read_only=True)
    with pytest.raises(UnbakeError, match="look at only"):
        editor.judge(trial("repair", "repair"))


def test_the_log_tells_of_them(unbake, path: Path) -> None:
    told = unbake("session", "log", path, "--json").json
    assert told["blind_tests"] == [
        {
            "began": "2026-01-01T00:00:00+00:00",
            "of": 4,
            "answered": 1,
            "right": 1,
            "p_value": None,
            "edits": [1],
            "trials": [{"at": "2026-01-01T00:01:00+00:00", "x": "source", "answer": "source", "first": 0, "last": 10}],
        }
    ]
    assert "blind test of 2026-01-01 00:00: 1 of 1 right, 4 were planned" in unbake("session", "log", path).out
