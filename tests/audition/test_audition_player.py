"""The transport: sample-locked flips, jumps and edits without clicks, loops, the shuttle."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from core.audition.monitor import Listening, Monitor, Stream
from core.audition.player import Player
from core.session.blind import Side
from core.session.document import Strip
from core.session.processors import Gain
from tests.audition.audition_session import FRAMES, RATE, Heard

FADE = round(0.005 * RATE)
"""Of a flip, a jump, a stop: frames."""
BLOCK = 1000


@pytest.fixture
def player(heard: Heard):
    found = Player(*heard)
    yield found
    found.close()


@pytest.fixture
def sides(heard: Heard):
    with Monitor(*heard) as monitor:
        return monitor.read(FRAMES)


def play(player: Player, frames: int) -> np.ndarray:
    blocks = []
    while frames:
        blocks.append(player.read(min(BLOCK, frames)))
        frames -= blocks[-1].shape[1]
    return np.concatenate(blocks, axis=1)


def test_what_is_played_is_the_render_after_the_first_milliseconds(player: Player, sides) -> None:
    assert not play(player, 3000).any(), "it is silent until it is told to play"
    assert player.transport.frame == 0
    player.play()
    out = play(player, 3 * RATE)
    assert np.array_equal(out[:, FADE:], sides.repair[:, FADE : 3 * RATE])
    assert player.transport.frame == 3 * RATE
    player.pause()
    ending = play(player, 2 * BLOCK)
    assert not ending[:, FADE:].any()
    # no more is read than the block in which it fell silent
    assert 3 * RATE + FADE <= (here := player.transport.frame) <= 3 * RATE + BLOCK
    assert not player.transport.playing
    player.play()
    again = play(player, BLOCK)
    assert np.array_equal(again[:, FADE:], sides.repair[:, here + FADE : here + BLOCK])


def test_a_flip_is_locked_to_the_sample_and_takes_5_ms(player: Player, sides) -> None:
    player.play()
    play(player, RATE)
    streams: tuple[Stream, ...] = ("source", "difference")
    for stream in streams:
        expected = sides.stream(stream)
        here = player.transport.frame
        before = sides.repair if stream == "source" else sides.source
        player.choose(stream)
        out = play(player, RATE // 2)
        share = np.arange(1, FADE + 1) / FADE
        old, new = before[:, here : here + FADE], expected[:, here : here + FADE]
        assert np.allclose(out[:, :FADE], old + (new - old) * share, atol=1e-12)
        assert np.array_equal(out[:, FADE:], expected[:, here + FADE : here + RATE // 2])


def test_matched_levels_glide_and_leave_the_difference_alone(player: Player, sides) -> None:
    player.match(0.0, -2.0)
    player.play()
    out = play(player, RATE)
    assert np.allclose(out[:, RATE // 2 :], sides.repair[:, RATE // 2 : RATE] * 10 ** (-2 / 20), atol=1e-12)
    player.choose("difference")
    here = player.transport.frame
    out = play(player, RATE)[:, FADE:]
    assert np.array_equal(out, (sides.repair - sides.source)[:, here + FADE : here + RATE])


def test_a_loop_comes_round_without_a_click_and_to_the_same_samples(player: Player, sides) -> None:
    first, last = RATE, RATE + 12_345
    player.loop((first, last))
    player.choose("source")
    player.seek(first)
    player.play()
    length = last - first
    out = play(player, 4 * length)
    clean = sides.source[:, first + FADE : last]
    for turn in range(4):
        found = out[:, turn * length + FADE : (turn + 1) * length]
        assert np.array_equal(found, clean), turn
    joint = out[:, length - 1 : length + FADE + 1]
    ramp = np.arange(1, FADE + 1) / FADE
    fading = sides.source[:, last : last + FADE] * np.linspace(1.0, 0.0, FADE)
    assert np.allclose(joint[:, 1:-1], sides.source[:, first : first + FADE] * ramp + fading, atol=1e-12)
    player.choose("repair")
    play(player, length)
    out = play(player, 3 * length)
    assert np.array_equal(out[:, :length], out[:, length : 2 * length]), "every turn begins in the same state"
    player.loop(None)
    play(player, length)
    assert player.transport.frame > last - length


def test_a_loop_of_one_sample_and_none_that_are_none(player: Player) -> None:
    player.loop((5, 6))
    player.seek(5)
    player.play()
    assert play(player, BLOCK).shape == (2, BLOCK)
    for loop in ((5, 5), (6, 5), (-1, 5), (0, FRAMES + 1)):
        with pytest.raises(ValueError, match="no loop"):
            player.loop(loop)


def test_an_edit_is_heard_in_the_next_block_and_fades_in(player: Player, heard: Heard, sides) -> None:
    player.play()
    play(player, RATE)
    louder = msgspec.structs.replace(heard.session, strips={"bass": Strip(chain=(Gain(gain_db=6.0),))})
    with Monitor(louder, heard.stems) as monitor:
        expected = monitor.read(FRAMES).repair
    player.edit(louder, heard.stems)
    out = play(player, RATE)
    here, fade = RATE, round(0.020 * RATE)
    assert np.allclose(out[:, fade + 1 :], expected[:, here + fade + 1 : here + RATE], atol=1e-9)
    share = np.arange(1, fade + 1) / fade
    old, new = sides.repair[:, here : here + fade], expected[:, here : here + fade]
    assert np.allclose(out[:, :fade], old + (new - old) * share, atol=1e-9)
    player.edit(louder, heard.stems, Listening(solo=frozenset({"vocals"})))
    play(player, BLOCK)
    here = player.transport.frame
    assert np.allclose(play(player, BLOCK), heard.samples("vocals")[:, here : here + BLOCK], atol=1e-12)


def test_an_edit_that_can_not_be_heard_changes_nothing(player: Player, heard: Heard, sides) -> None:
    player.play()
    play(player, RATE)
    with pytest.raises(Exception, match="no such stem"):
        player.edit(msgspec.structs.replace(heard.session, strips={"vocals": Strip(mode="cancel")}), {})
    assert np.array_equal(play(player, RATE), sides.repair[:, RATE : 2 * RATE])


def test_it_stops_at_the_end_and_begins_again(player: Player, sides) -> None:
    player.seek(FRAMES - 2000)
    player.play()
    out = play(player, 2 * RATE)
    assert np.allclose(out[:, FADE:2000], sides.repair[:, FRAMES - 2000 + FADE :], atol=1e-6)
    assert not out[:, 2000:].any()
    assert (player.transport.playing, player.transport.frame) == (False, FRAMES)
    player.play()
    play(player, BLOCK)
    assert player.transport.frame == BLOCK
    player.seek(10 * FRAMES)
    assert player.transport.frame == FRAMES


def test_the_shuttle_goes_faster_and_backwards(player: Player, sides) -> None:
    player.choose("source")
    player.seek(RATE)
    player.shuttle(1)
    assert player.transport.speed == 1
    player.shuttle(1)
    assert player.transport.speed == 2
    play(player, BLOCK)
    here = player.transport.frame
    out = play(player, BLOCK)
    pairs = sides.source[:, here : here + 2 * BLOCK].reshape(2, BLOCK, 2).mean(axis=2)
    assert np.allclose(out, pairs, atol=1e-12)
    for _ in range(9):
        player.shuttle(1)
    assert player.transport.speed == 8
    for _ in range(4):
        player.shuttle(-1)
    assert player.transport.speed == -1
    here = player.transport.frame
    out = play(player, BLOCK)
    assert player.transport.frame == here - BLOCK
    assert np.allclose(out[:, FADE:], sides.source[:, here - BLOCK : here - FADE][:, ::-1], atol=1e-12)
    player.shuttle(-3)
    play(player, FRAMES)
    assert (player.transport.playing, player.transport.frame) == (False, 0)
    player.play()
    assert player.transport.speed == 1
    play(player, BLOCK)
    assert player.transport.frame == BLOCK


def test_past_the_end_the_shuttle_turns_round(player: Player) -> None:
    player.seek(FRAMES - 3 * BLOCK)
    player.shuttle(1)
    player.shuttle(3)
    play(player, BLOCK // 2)
    player.shuttle(-1)
    assert player.transport.frame <= FRAMES
    player.shuttle(-6)
    assert player.transport.speed < 0
    play(player, BLOCK)
    assert player.transport.frame < FRAMES


def test_no_change_ever_clicks(heard: Heard) -> None:
    """Of a slow sine, no two neighbouring samples may be far apart, whatever is done."""
    time = np.arange(FRAMES) / RATE
    sine = np.stack([0.5 * np.sin(2 * np.pi * 50.0 * time)] * 2).T
    import soundfile

    soundfile.write(heard.session.source.path, sine, RATE, subtype="FLOAT")
    for path in heard.stems.values():
        soundfile.write(path, sine / 3, RATE, subtype="FLOAT")
    player = Player(*heard)
    other = msgspec.structs.replace(heard.session, strips={"bass": Strip(gain_db=-12.0)})
    player.loop((RATE, 3 * RATE))
    steps = (
        player.play,
        lambda: player.seek(2 * RATE + 111),
        lambda: player.choose("source"),
        lambda: player.edit(other, heard.stems),
        lambda: player.choose("difference"),
        player.pause,
        player.play,
        lambda: player.choose("repair"),
        lambda: player.match(-3.0, 0.0),
        lambda: player.seek(RATE + 77),
    )
    out = []
    for step in (*steps, *steps):
        step()
        out.append(play(player, 3333))
    player.close()
    assert np.abs(np.diff(np.concatenate(out, axis=1))).max() < 0.5 / FADE + 2 * np.pi * 50 / RATE


def test_x_is_what_it_hides_and_says_nothing_of_it(player: Player, sides) -> None:
    with pytest.raises(ValueError, match="blind test only"):
        player.choose("x")
    player.play()
    hidden: tuple[Side, ...] = ("source", "repair")
    for side in hidden:
        player.hide(side)
        player.choose("x")
        here = player.transport.frame
        out = play(player, RATE)
        assert np.array_equal(out[:, FADE:], sides.stream(side)[:, here + FADE : here + RATE])
        assert player.transport.stream == "x"
    player.hide(None)
    assert player.transport.stream == "repair"


def test_it_ends_where_it_is_told_to(player: Player, sides) -> None:
    player.end(RATE + 123)
    player.seek(RATE - 1000)
    player.play()
    out = play(player, 3000)
    assert np.array_equal(out[:, FADE:1123], sides.repair[:, RATE - 1000 + FADE : RATE + 123])
    fade = np.arange(1, FADE + 1)[::-1] / FADE - 1 / FADE
    dying = sides.repair[:, RATE + 123 : RATE + 123 + FADE] * fade
    assert np.allclose(out[:, 1123 : 1123 + FADE], dying, atol=1e-12)
    assert not out[:, 1123 + FADE :].any()
    assert not player.transport.playing
