"""What is read before it is needed: the same samples, the right pieces, and nothing of a file that is damaged."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.held import PIECE_FRAMES, Held
from core.audio.read import open_reader, read_all
from core.audition import ahead
from core.audition.ahead import ReadAhead
from core.audition.player import Player
from core.errors import UnbakeError
from tests.audition.audition_session import FRAMES, RATE, Heard

PIECES = -(-FRAMES // PIECE_FRAMES)


@pytest.fixture
def player(heard: Heard):
    found = Player(*heard)
    yield found
    found.close()


def come(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10.0
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def held_of(player: Player, path: Path) -> set[int]:
    with open_reader(path) as reader:
        return {place for place in range(PIECES) if (reader.fingerprint, place) in player.held}


def test_what_is_held_is_not_read_from_the_file_and_the_rest_is(heard: Heard) -> None:
    held = Held()
    path = heard.stems["bass"]
    sound = heard.samples("bass")
    with open_reader(path) as reader:
        held.put(reader.fingerprint, 1, np.full((2, PIECE_FRAMES), 0.5))
    sound[:, PIECE_FRAMES : 2 * PIECE_FRAMES] = 0.5
    with open_reader(path, held=held) as reader:
        assert np.array_equal(reader.read(3 * PIECE_FRAMES), sound[:, : 3 * PIECE_FRAMES])
        reader.seek(PIECE_FRAMES - 7)
        assert np.array_equal(reader.read(20), sound[:, PIECE_FRAMES - 7 :][:, :20])
        reader.seek(2 * PIECE_FRAMES - 5)
        assert np.array_equal(reader.read(FRAMES), sound[:, 2 * PIECE_FRAMES - 5 :])
        assert reader.read(10).shape == (2, 0)
    held.keep([])
    with open_reader(path, held=held) as reader:
        assert np.array_equal(reader.read(FRAMES), heard.samples("bass"))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_flac_in_pieces_is_the_flac(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(1).standard_normal((100_000, 2)), RATE, subtype=subtype)
    held = Held()
    with open_reader(path) as reader:
        for place in (5, 0, 3):
            reader.seek(place * PIECE_FRAMES)
            held.put(reader.fingerprint, place, reader.read(PIECE_FRAMES))
    with open_reader(path, held=held) as reader:
        assert np.array_equal(reader.read(100_000), read_all(path))


def test_what_is_played_with_it_is_the_same(heard: Heard, player: Player) -> None:
    other = Player(*heard)
    for each in (player, other):
        each.play()
    with ReadAhead(player):
        for path in player.files:
            come(lambda path=path: len(held_of(player, path)) == PIECES)
        for _ in range(FRAMES // 1000):
            assert np.array_equal(player.read(1000), other.read(1000))
    other.close()


def test_pieces_in_order_through_a_loop_and_backwards(player: Player) -> None:
    reads = ReadAhead(player)
    assert reads.places(3) == list(range(PIECES))
    player.seek(3 * RATE)
    last = 3 * RATE // PIECE_FRAMES
    assert reads.places(3)[: PIECES - last] == list(range(last, PIECES))
    player.loop((RATE, 3 * RATE + 100))
    assert reads.places(3)[:4] == [last, RATE // PIECE_FRAMES, RATE // PIECE_FRAMES + 1, RATE // PIECE_FRAMES + 2]
    player.shuttle(-1)
    assert reads.places(3)[:3] == [last, last - 1, last - 2]


def test_memory_has_a_limit(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MOST_BYTES", 3 * 4 * 8 * 2 * PIECE_FRAMES)
    assert ReadAhead(player).places(3) == [0, 1, 2, 3]


def test_a_file_that_was_cut_short_is_left_to_the_player(heard: Heard, player: Player) -> None:
    bass, vocals = heard.stems["bass"], heard.stems["vocals"]
    with bass.open("r+b") as file:
        file.truncate(8 * PIECE_FRAMES * 2)
    player.play()
    with ReadAhead(player):
        come(lambda: len(held_of(player, vocals)) == PIECES)
        with pytest.raises(UnbakeError, match="changed while it was read"):
            player.read(FRAMES)
