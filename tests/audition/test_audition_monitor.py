"""What is heard is what will be rendered, from any place on, and solo and mute are sums of stems."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.audition.monitor import Listening, Monitor, stretch
from core.errors import UnbakeError
from core.recombine.graph import Graph
from core.session.document import Strip
from core.session.processors import Bell
from tests.audition.audition_session import CHAIN, FRAMES, RATE, Heard, make_session


def whole(heard: Heard) -> np.ndarray:
    with Graph(heard.session, heard.stems) as graph:
        return np.concatenate(list(graph.blocks()), axis=1)


def piece(monitor: Monitor, first: int, last: int, side: str = "repair") -> np.ndarray:
    return np.concatenate([getattr(sides, side) for sides in stretch(monitor, first, last, 10_007)], axis=1)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("first", [0, 1, 2 * RATE + 5, FRAMES - 1])
def test_a_region_is_the_whole_render_there(tmp_path: Path, first: int, limited: bool) -> None:
    heard = make_session(tmp_path, limited=limited)
    expected = whole(heard)
    last = min(FRAMES, first + RATE)
    with Monitor(*heard) as monitor:
        found = piece(monitor, first, last)
        assert np.abs(found - expected[:, first:last]).max() < 10 ** (-120 / 20)
        assert np.array_equal(piece(monitor, first, last, "source"), heard.samples("source")[:, first:last])


def test_a_pre_roll_of_nothing_would_be_heard(heard: Heard) -> None:
    first = 2 * RATE
    with Monitor(*heard) as monitor:
        assert 0.1 * RATE < monitor.pre_roll < 60 * RATE
        monitor.seek(first, 0)
        bare = monitor.read(1000).repair
        assert np.abs(bare - whole(heard)[:, first : first + 1000]).max() > 1e-3


@pytest.mark.parametrize("limited", [False, True])
def test_from_a_saved_state_it_goes_on_identically(tmp_path: Path, limited: bool) -> None:
    heard = make_session(tmp_path, limited=limited)
    expected = whole(heard)
    with Monitor(*heard) as monitor, Monitor(*heard) as other:
        states = []
        while monitor.frame < 3 * RATE:
            states.append((monitor.frame, monitor.state()))
            monitor.read(RATE // 3)
        for frame, state in reversed(states):
            for one in (monitor, other):
                one.resume(state)
                assert one.frame == frame
                assert np.array_equal(one.read(9000).repair, expected[:, frame : frame + 9000])


def test_mute_takes_a_stem_out_of_both_sides_and_solo_leaves_nothing_else(heard: Heard) -> None:
    source, vocals, bass = (heard.samples(name) for name in ("source", "vocals", "bass"))
    expected = whole(heard)
    with Monitor(*heard, Listening(mute=frozenset({"vocals"}))) as monitor:
        sides = monitor.read(FRAMES)
        assert np.allclose(sides.source, source - vocals, atol=1e-12)
        assert np.allclose(sides.repair, expected - vocals, atol=1e-12)
    with Monitor(*heard, Listening(mute=frozenset({"bass"}))) as monitor:
        assert np.array_equal(*monitor.read(FRAMES)), "what was done to a muted strip is muted with it"
    with Monitor(*heard, Listening(solo=frozenset({"bass"}))) as monitor:
        sides = monitor.read(FRAMES)
        assert np.array_equal(sides.source, bass)
        assert np.allclose(sides.repair, bass + (expected - source), atol=1e-12)
        assert np.allclose(sides.stream("difference"), expected - source, atol=1e-12)
    with Monitor(*heard, Listening(solo=frozenset({"bass", "vocals"}), mute=frozenset({"bass"}))) as monitor:
        assert np.array_equal(monitor.read(FRAMES).repair, vocals)


@pytest.mark.parametrize(
    ("strip", "left"),
    [
        (Strip(gain_db=-6.0), lambda s: s * 10 ** (-6 / 20)),
        (Strip(mode="parallel", blend=0.5), lambda s: 1.5 * s),
        (Strip(mode="cancel", chain=CHAIN), lambda s: 0.0 * s),
    ],
)
def test_a_solo_is_what_the_sum_holds_of_the_stem(tmp_path: Path, strip: Strip, left) -> None:
    heard = make_session(tmp_path, strips={"bass": strip})
    with Monitor(*heard, Listening(solo=frozenset({"bass"}))) as monitor:
        assert np.allclose(monitor.read(FRAMES).repair, left(heard.samples("bass")), atol=1e-12)


def test_what_is_not_there_is_said(heard: Heard) -> None:
    with pytest.raises(UnbakeError, match='the session has no strip "drums"'):
        Monitor(*heard, Listening(solo=frozenset({"drums"})))
    with pytest.raises(UnbakeError, match="there is no such stem"):
        Monitor(heard.session, {}, Listening())
    untouched = msgspec.structs.replace(heard.session, strips={"bass": Strip(chain=(Bell(freq_hz=100.0),))})
    with Monitor(untouched, {}) as monitor:
        assert np.array_equal(*monitor.read(1000)), "an untouched session needs no stem"
        for first, last in ((-1, 5), (5, 4), (0, FRAMES + 1)):
            with pytest.raises(ValueError, match="outside"):
                list(stretch(monitor, first, last))
