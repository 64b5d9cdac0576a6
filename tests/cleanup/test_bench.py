"""The bench: steps one after another, what each takes away kept, and nothing done twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from core.audio.read import read_all
from core.cleanup import bench
from core.cleanup.cleaner import Cleaner, Finding
from core.errors import UnbakeError
from core.events import Operation, Progress, finish
from core.session.cleaning import NOTHING, Declick, Decrackle, Dehum, NetworkStep, unpinned

RATE = 44_100
FRAMES = 30_000
CARRIED_OUT: list[str] = []
"""Types of the steps that really went over a file."""


class Softer(Cleaner[Any]):
    """Halves what is louder than a tenth in the first channel; finds nothing where nothing is."""

    def find(self) -> Operation[Finding]:
        self.reader.seek(0)
        block = self.reader.read(self.info.frames)
        yield Progress("looking", 1, 1)
        loud = int((np.abs(block[0]) > 0.1).sum())
        sure = 0.5 if loud < 10 else 0.9
        return Finding(type=bench.kind_of(self.step), found=loud > 0, confidence=sure, detail=f"{loud} loud samples")

    def blocks(self) -> Iterator[np.ndarray]:
        CARRIED_OUT.append(bench.kind_of(self.step))
        self.reader.seek(0)
        while (block := self.reader.read(7_001)).shape[1]:
            block[0] = np.where(np.abs(block[0]) > 0.1, 0.5 * block[0], block[0])
            yield block


@pytest.fixture(autouse=True)
def softer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is this one, whatever its name."""
    CARRIED_OUT.clear()
    monkeypatch.setattr(bench, "cleaner", Softer)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "in.wav", "PCM_24")


def write(path: Path, subtype: str, channels: int = 2, **options: Any) -> Path:
    rng = np.random.default_rng(3)
    sound = 0.02 * rng.standard_normal((FRAMES, channels))
    sound[5_000:5_200, 0] += 0.8
    soundfile.write(path, sound, RATE, subtype=subtype, **options)
    return path


def cleaned(path: Path, *steps: Any, **options: Any) -> bench.Cleaned:
    return finish(bench.clean(path, steps, **options))


def removed(done: bench.Done | None) -> np.ndarray:
    assert done is not None
    assert done.removed is not None
    return read_all(done.removed)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_what_is_taken_away_is_zero_where_nothing_was_done(tmp_path: Path, subtype: str, channels: int) -> None:
    path = write(tmp_path / "in.wav", subtype, channels)
    whole = read_all(path)
    found = cleaned(path, Declick())
    taken = removed(found.done[0])
    loud = np.zeros_like(whole, bool)
    loud[0] = np.abs(whole[0]) > 0.1
    assert not taken[~loud].any()
    assert np.abs(whole - taken - np.where(loud, 0.5 * whole, whole)).max() < 1e-7
    assert np.abs(read_all(found.path) - (whole - taken)).max() < 1e-7


def test_a_step_that_was_done_comes_out_of_the_store(file: Path) -> None:
    first = cleaned(file, Declick(), Dehum())
    again = cleaned(file, Declick(), Dehum())
    assert CARRIED_OUT == ["declick", "dehum"]
    assert (again.path, again.sha256) == (first.path, first.sha256)
    assert [done.finding for done in again.done if done] == [done.finding for done in first.done if done]


def test_a_change_does_nothing_again_but_its_step_and_those_behind_it(file: Path) -> None:
    cleaned(file, Declick(), Decrackle(), Dehum())
    CARRIED_OUT.clear()
    cleaned(file, Declick(), Decrackle(sensitivity=7.0), Dehum())
    # the stand-in does the same whatever it is told, so those behind hear the same file and are known
    assert CARRIED_OUT == ["decrackle"]
    CARRIED_OUT.clear()
    cleaned(file, Declick(strength=0.5), Decrackle())
    assert CARRIED_OUT == ["decrackle"]


def test_the_next_step_hears_what_strength_leaves(file: Path) -> None:
    whole = read_all(file)
    found = cleaned(file, Declick(strength=0.25), Dehum())
    first, second = (removed(done) for done in found.done)
    heard = whole - 0.25 * first
    assert np.abs(second[0] - np.where(np.abs(heard[0]) > 0.1, 0.5 * heard[0], 0.0)).max() < 1e-6
    assert np.abs(first).max() == pytest.approx(0.5 * np.abs(whole[0]).max(), rel=1e-6)


def test_nothing_found_leaves_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "quiet.flac"
    soundfile.write(path, np.zeros((500, 2)), RATE, subtype="PCM_16")
    found = cleaned(path, Declick(), Dehum())
    assert found.path == path
    assert [done.pinned.hash for done in found.done if done] == [NOTHING, NOTHING]
    assert not CARRIED_OUT


def test_what_is_not_sure_enough_is_left_and_a_bypassed_step_not_asked(tmp_path: Path) -> None:
    sound = np.zeros((500, 1))
    sound[100] = 0.9
    path = tmp_path / "one.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    assert cleaned(path, Declick(), least_confidence=0.8).path == path
    assert cleaned(path, Declick(bypass=True), Dehum(strength=0.0)).done == (None, None)
    sure = cleaned(path, Declick(), least_confidence=0.5)
    assert sure.path != path
    # the set that is there now is no reason to be surer than before
    assert cleaned(path, Declick(), least_confidence=0.8).path == path


def test_a_lossy_file_is_heard_from_anywhere(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ogg", "VORBIS", format="OGG")
    whole = read_all(path)
    taken = removed(cleaned(path, Declick()).done[0])
    assert np.array_equal(taken[1], np.zeros_like(whole[1]))
    assert np.abs(taken[0] - np.where(np.abs(whole[0]) > 0.1, 0.5 * whole[0], 0.0)).max() < 1e-7


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused_with_its_place(tmp_path: Path, bad: float) -> None:
    sound = np.zeros((4_000, 2))
    sound[3_000, 1] = bad
    path = tmp_path / "bad.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    with pytest.raises(UnbakeError, match=r"0:00.068 \(frame 3000\), channel 2"):
        cleaned(path, Declick())


def test_what_the_store_has_is_known_without_computing(file: Path) -> None:
    steps = (Declick(strength=0.5), Dehum())
    sha256 = finish(bench.hashing(file))
    assert bench.at_hand(file, steps, sha256) is None
    made = cleaned(file, *steps)
    CARRIED_OUT.clear()
    known = bench.at_hand(file, steps, sha256)
    assert known is not None
    assert (known.path, known.sha256) == (made.path, made.sha256)
    assert bench.at_hand(file, (*steps, Decrackle(hash=NOTHING)), sha256) == known
    assert not CARRIED_OUT


def test_a_finding_that_was_lost_is_found_again(file: Path) -> None:
    (done,) = cleaned(file, Declick()).done
    assert done is not None
    assert done.made is not None
    (Path(done.made.folder) / bench.FINDING).unlink()
    (again,) = cleaned(file, Declick()).done
    assert again is not None
    assert again.finding == done.finding
    assert CARRIED_OUT == ["declick"]


def test_a_network_cleans_as_any_step(file: Path) -> None:
    """The starter as if it were made for it: what it leaves of the master is heard on."""
    step = NetworkStep(model="starter", stem="residual")
    found = cleaned(file, step)
    whole = read_all(file)
    assert np.abs(read_all(found.path) - (whole - removed(found.done[0]))).max() < 1e-7
    with pytest.raises(UnbakeError, match="does not say which of its stems is the clean one"):
        cleaned(file, NetworkStep(model="starter"))
    with pytest.raises(UnbakeError, match='has no stem "crowd"'):
        cleaned(file, NetworkStep(model="starter", stem="crowd"))


def test_hashes_are_forgotten_from_the_first_step_that_hears_or_does_something_else() -> None:
    before = (Declick(hash="a"), Decrackle(hash="b"), Dehum(hash="c"))
    louder = msgspec.structs.replace(before[1], strength=0.5)
    assert [step.hash for step in unpinned((before[0], louder, before[2]), before)] == ["a", "b", ""]
    other = msgspec.structs.replace(before[1], sensitivity=1.0)
    assert [step.hash for step in unpinned((before[0], other, before[2]), before)] == ["a", "", ""]
    assert [step.hash for step in unpinned(before[1:], before)] == ["", ""]
    assert unpinned(before, before) == before
