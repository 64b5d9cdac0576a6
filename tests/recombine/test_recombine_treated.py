"""Strips that hear a treated copy in place of their stem: `wet * P(t) - s`, in time, from anywhere, proved."""

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
from core.recombine.check import check_session
from core.recombine.graph import Graph
from core.session.document import Brought, Session, Strip
from core.session.processors import Bell, Compressor

CHAIN = (Bell(freq_hz=200.0, gain_db=-6.0), Compressor(threshold_db=-30.0, ratio=3.0))


@pytest.fixture
def opened(song: Path) -> tuple[Session, dict[str, Path]]:
    """A session with bass and drums as brought stems, and a copy of the drums at half their level."""
    folder = song.parent / "stems"
    drums, rate = soundfile.read(folder / "drums.wav")
    soundfile.write(folder / "half.wav", 0.5 * drums, rate, subtype="FLOAT")
    stems = {"low": folder / "bass.wav", "hits": folder / "drums.wav", "half": folder / "half.wav"}
    brought = {name: Brought(str(path), "00" * 32) for name, path in stems.items()}
    return Session(source=describe_source(song), brought=brought), stems


def with_strip(session: Session, **fields: Any) -> Session:
    return msgspec.structs.replace(session, strips={"hits": Strip(**fields)})


def heard(session: Session, stems: dict[str, Path]) -> np.ndarray:
    with Graph(session, stems) as graph:
        return np.concatenate(list(graph.blocks(5000)), axis=1)


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0].T


@pytest.mark.parametrize("phase", ["minimum", "linear"])
def test_a_copy_is_heard_through_the_chain_in_time_with_what_is_taken_out(opened, song: Path, phase) -> None:
    session, stems = opened
    plain = heard(with_strip(session, chain=CHAIN, eq_phase=phase), stems)
    same = {**stems, "half": stems["hits"]}
    assert np.array_equal(heard(with_strip(session, chain=CHAIN, eq_phase=phase, treated="half"), same), plain)
    alone = heard(with_strip(session, gain_db=-6.0, eq_phase=phase, treated="half"), stems)
    half = 10 ** (-6.0 / 20.0) * samples(stems["half"])
    assert np.abs(alone - (samples(song) + half - samples(stems["hits"]))).max() < 1e-12


def test_the_copy_is_added_in_parallel_and_left_out_of_a_cancel(opened, song: Path) -> None:
    session, stems = opened
    blended = heard(with_strip(session, mode="parallel", blend=0.4, treated="half"), stems)
    assert np.abs(blended - (samples(song) + 0.4 * samples(stems["half"]))).max() < 1e-12
    cancelled = heard(with_strip(session, mode="cancel", treated="half"), {"hits": stems["hits"]})
    assert np.abs(cancelled - (samples(song) - samples(stems["hits"]))).max() < 1e-12


def test_the_same_samples_come_from_anywhere_and_alone(opened) -> None:
    session, stems = opened
    session = with_strip(session, chain=CHAIN, eq_phase="linear", treated="half")
    whole = heard(session, stems)
    with Graph(session, stems) as graph:
        graph.seek(30_000)
        state = graph.state()
        first = graph.read(9000)
        graph.resume(state)
        assert np.array_equal(graph.read(9000), first)
    assert np.abs(first - whole[:, 30_000:39_000]).max() < 1e-6
    plain = with_strip(session, treated="half")
    with Monitor(plain, stems, Listening(solo=frozenset({"hits"}))) as monitor:
        sides = monitor.read(70_001)
    assert np.abs(sides.source - samples(stems["hits"])).max() < 1e-12
    assert np.abs(sides.repair - samples(stems["half"])).max() < 1e-12


def test_the_proof_holds_and_a_copy_of_the_very_stem_changes_nothing(opened) -> None:
    session, stems = opened
    found = finish(check_session(with_strip(session, chain=CHAIN, budget=0.5, treated="half"), stems))
    assert found.passed
    assert found.strips[0].rms_dbfs is not None
    same = finish(check_session(with_strip(session, treated="half"), {**stems, "half": stems["hits"]}))
    assert same.identical


def test_a_copy_that_is_not_there_is_named(opened) -> None:
    session, stems = opened
    with pytest.raises(UnbakeError, match=r"strips\.hits\.treated: there is no stem half"):
        heard(with_strip(session, treated="half"), {"hits": stems["hits"]})
