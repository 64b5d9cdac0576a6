"""Clean-up as one more delta: of the master and of what a strip's chain hears, proved like all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from core.audition.monitor import Listening, Monitor
from core.errors import UnbakeError
from core.events import finish
from core.jobs.sessions import describe_source
from core.recombine.check import CLEANUP, check_session
from core.recombine.graph import Graph
from core.session.cleaning import NOTHING, Declick, Dehum, removed_name
from core.session.document import Brought, Session, Strip
from core.session.processors import Bell, Gain

HASH = "ab" * 32


@pytest.fixture
def files(song: Path) -> dict[str, Path]:
    """What two steps took away from the song, and one from its drums; the drums are a brought stem."""
    folder = song.parent / "stems"
    made = {"drums": folder / "drums.wav"}
    for name, source in (("cleanup/0", "bass"), ("cleanup/1", "other"), ("drums/cleanup/0", "other")):
        sound, rate = soundfile.read(folder / f"{source}.wav")
        sound[20_000:] = 0.0
        made[name] = folder / f"{name.replace('/', '-')}.wav"
        soundfile.write(made[name], sound, rate, subtype="FLOAT")
    return made


def session_of(song: Path, **fields: Any) -> Session:
    brought = {"drums": Brought("drums.wav", "00" * 32)}
    return Session(source=describe_source(song), brought=brought, **fields)


def heard(session: Session, stems: dict[str, Path], block: int = 5_000) -> np.ndarray:
    with Graph(session, stems) as graph:
        return np.concatenate(list(graph.blocks(block)), axis=1)


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0].T


STEPS = (Declick(apply="master", hash=HASH), Dehum(apply="master", hash=HASH, strength=0.3))


def test_the_master_is_the_source_less_what_was_taken_away_by_its_strength(song: Path, files: dict[str, Path]) -> None:
    found = heard(session_of(song, cleanup=STEPS), files)
    taken = samples(files["cleanup/0"]) + 0.3 * samples(files["cleanup/1"])
    assert np.abs(found - (samples(song) - taken)).max() < 1e-15
    assert np.array_equal(found[:, 20_000:], samples(song)[:, 20_000:])


def test_networks_alone_nothing_found_and_bypass_leave_the_source(song: Path) -> None:
    steps = (
        Declick(hash=HASH),
        Dehum(apply="master", hash=NOTHING),
        Declick(apply="master", bypass=True, hash=HASH),
        Declick(apply="master", strength=0.0, hash=HASH),
    )
    session = session_of(song, cleanup=steps)
    assert session.untouched
    assert session.stems_used == ()
    assert np.array_equal(heard(session, {}), samples(song))


def test_what_was_not_carried_out_yet_counts_as_a_change_and_is_asked_for(song: Path) -> None:
    session = session_of(song, cleanup=(Declick(apply="master"),))
    assert not session.untouched
    assert session.stems_used == (removed_name(0),)
    assert not session.needs_separation(session.stems_used)
    with pytest.raises(UnbakeError, match="no such stem"):
        Graph(session, {})


def test_a_chain_hears_its_stem_cleaned(song: Path, files: dict[str, Path]) -> None:
    strip = Strip(cleanup=(Declick(hash=HASH, strength=0.5),), chain=(Gain(gain_db=6.0),))
    session = session_of(song, strips={"drums": strip})
    drums, gain = samples(files["drums"]), 10.0 ** (6.0 / 20.0)
    expected = samples(song) + gain * (drums - 0.5 * samples(files["drums/cleanup/0"])) - drums
    assert np.abs(heard(session, files) - expected).max() < 1e-14
    bare = session_of(song, strips={"drums": msgspec.structs.replace(strip, chain=())})
    assert bare.changed == ("drums",)
    assert session_of(song, strips={"drums": Strip(cleanup=(Declick(hash=NOTHING),))}).untouched


def test_from_anywhere_the_same_samples(song: Path, files: dict[str, Path]) -> None:
    strip = Strip(cleanup=(Declick(hash=HASH),), chain=(Bell(freq_hz=500.0, gain_db=4.0),))
    session = session_of(song, cleanup=STEPS, strips={"drums": strip})
    whole = heard(session, files)
    with Graph(session, files) as graph:
        graph.seek(18_000, pre_roll=18_000)
        first = graph.read(3_000)
        state = graph.state()
        second = graph.read(3_000)
        graph.resume(state)
        assert np.array_equal(graph.read(3_000), second)
    assert np.array_equal(np.concatenate([first, second], axis=1), whole[:, 18_000:24_000])


def test_the_proof_knows_the_clean_up_as_a_part_of_its_own(song: Path, files: dict[str, Path]) -> None:
    strips = {"drums": Strip(gain_db=-3.0)}
    found = finish(check_session(session_of(song, cleanup=STEPS, strips=strips), files))
    assert found.passed
    assert [strip.name for strip in found.strips] == [CLEANUP, "drums"]
    assert found.strips[0].peak_dbfs is not None


def test_the_source_is_heard_as_it_was(song: Path, files: dict[str, Path]) -> None:
    session = session_of(song, cleanup=STEPS)
    with Monitor(session, files, Listening()) as monitor:
        sides = monitor.read(10_000)
    assert np.array_equal(sides.stream("source"), samples(song)[:, :10_000])
    assert np.array_equal(sides.stream("repair"), heard(session, files)[:, :10_000])
