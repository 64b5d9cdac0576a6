"""A stretch along a time map, against the whole render of the same session."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from core.events import finish
from core.jobs import sessions
from core.recombine.graph import Graph
from core.recombine.hearing import excerpt, stretch_of
from core.session import files
from core.session.document import Session
from core.session.timemap import Drawn, TimeMap

FRAMES = 70_001
MAP = TimeMap(((5_000, 5_000), (30_000, 31_500), (50_000, 50_500)))


def warped(path: Path, time_map: TimeMap, edits: list[str] | None = None) -> Session:
    session = files.set_values(files.load(path), edits or [])
    return msgspec.structs.replace(session, warp=time_map)


@pytest.fixture
def session_path(song: Path) -> Path:
    path, _ = finish(sessions.create(song, None, stems_from=song.parent / "stems"))
    return path


def stems_of(path: Path) -> dict[str, Path]:
    return {each.stem: each for each in (path.parent / "stems").glob("*.wav")}


def stretch(session: Session, path: Path, first: int, last: int) -> np.ndarray:
    return np.concatenate(list(finish(stretch_of(session, stems_of(path), first, last))), axis=1)


def whole(session: Session, path: Path) -> np.ndarray:
    with Graph(session, stems_of(path)) as graph:
        return np.concatenate(list(graph.blocks()), axis=1)


def test_without_a_map_it_is_the_source(session_path: Path, song: Path) -> None:
    found = stretch(warped(session_path, TimeMap()), session_path, 40_000, 60_000)
    sound, _ = soundfile.read(song, always_2d=True)
    assert np.array_equal(found, sound.T[:, 40_000:60_000])


def test_what_only_moves_is_the_render_to_the_bit(session_path: Path) -> None:
    session = warped(session_path, MAP, ["strips.bass.gain_db=-6"])
    assert np.array_equal(
        stretch(session, session_path, 56_000, 66_000), whole(session, session_path)[:, 56_000:66_000]
    )


@pytest.mark.parametrize("edits", [[], ["strips.drums.gain_db=3", "strips.drums.warp=beats"]])
def test_what_is_stretched_is_as_long_and_as_loud_as_the_render(session_path: Path, edits: list[str]) -> None:
    session = warped(session_path, MAP, edits)
    found, expected = stretch(session, session_path, 20_000, 40_000), whole(session, session_path)[:, 20_000:40_000]
    assert found.shape == expected.shape
    for part in (slice(0, 10_000), slice(10_000, 20_000)):
        assert np.std(found[:, part]) == pytest.approx(np.std(expected[:, part]), rel=0.05)
    # the hits of the drums, every half second, are where they are in the render
    assert abs(int(np.abs(found[0]).argmax()) - int(np.abs(expected[0]).argmax())) <= 64


@pytest.mark.parametrize(("first", "last"), [(0, FRAMES), (12_345, 20_000), (31_400, 31_600), (60_000, 70_000)])
@pytest.mark.parametrize("curve", ["straight", "smooth"])
def test_an_excerpt_goes_where_the_map_goes(first: int, last: int, curve: str) -> None:
    time_map = TimeMap(MAP.anchors, curve)  # pyright: ignore[reportArgumentType]
    found = excerpt(time_map, FRAMES, first, last, before=3000)
    drawn, part = Drawn(time_map, FRAMES), Drawn(found.time_map, found.last - found.first)
    assert found.start <= first
    for source in range(found.first, found.last, 997):
        assert part.target(source - found.first) + found.start == pytest.approx(drawn.target(source), abs=8.0)
