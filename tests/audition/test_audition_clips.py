"""Segments: joined they are the render, whoever asks when; what is kept is bounded and known by its content."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest

import core.audition.clips as clips_module
from core.audio.formats import AudioInfo
from core.audio.read import open_reader
from core.audition.clips import STREAMS, Clip, Clips, Segment, clip_of, planar
from core.audition.monitor import Listening, Monitor
from core.errors import UnbakeError
from core.session.document import Session, Strip
from core.session.processors import Bell
from tests.audition.audition_session import FRAMES, RATE, Heard, make_session


@pytest.fixture
def clips():
    found = Clips()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_module, "SEGMENT_SECONDS", 0.5)


def whole(heard: Heard, listening: Listening | None = None) -> dict[str, np.ndarray]:
    with Monitor(*heard, listening) as monitor:
        sides = monitor.read(FRAMES)
        return {name: sides.stream(name).astype(np.float32) for name in STREAMS}


def segment(clips: Clips, clip: Clip, number: int) -> Segment:
    found = clips.segment(clip.id, number)
    assert found is not None
    return found


def joined(clips: Clips, clip: Clip, name: str) -> np.ndarray:
    parts = [segment(clips, clip, number).streams[name] for number in range(clip.segments)]
    return np.concatenate([planar(part, clip.channels) for part in parts], axis=1)


def info_of(heard: Heard) -> AudioInfo:
    with open_reader(Path(heard.session.source.path)) as reader:
        return reader.info


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("listening", [None, Listening(mute=frozenset({"vocals"}))])
def test_segments_joined_are_the_whole_render_bit_for_bit(
    tmp_path: Path, clips: Clips, limited: bool, listening: Listening | None
) -> None:
    heard = make_session(tmp_path, limited=limited)
    expected = whole(heard, listening)
    clip = clips.show(*heard, listening)
    assert (clip.first, clip.last, clip.frames, clip.segments) == (0, FRAMES, FRAMES, 9)
    for name in STREAMS:
        found = joined(clips, clip, name)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected[name]), name


def test_one_asked_for_out_of_turn_is_the_render_to_minus_120_dbfs(heard: Heard, clips: Clips) -> None:
    expected = whole(heard)["repair"]
    clip = clips.show(*heard)
    for number in (5, 2, 8):
        first, last = clip.bounds(number)
        found = planar(segment(clips, clip, number).streams["repair"], 2)
        assert np.abs(found.astype(float) - expected[:, first:last]).max() < 10 ** (-120 / 20)
    after = planar(segment(clips, clip, 6).streams["repair"], 2)
    begin, end = clip.bounds(6)
    assert np.abs(after.astype(float) - expected[:, begin:end]).max() < 10 ** (-120 / 20), "on from there, too"


def test_a_loop_begins_and_ends_where_it_was_set(heard: Heard, clips: Clips) -> None:
    expected = whole(heard)
    for loop in ((RATE, RATE + 1), (RATE, RATE + 5), (123, 123 + RATE // 2), (17, 3 * RATE), (FRAMES - 3, FRAMES)):
        clip = clips.show(*heard, loop=loop)
        assert (clip.first, clip.last) == loop
        assert clip.segments == -(-(loop[1] - loop[0]) // (RATE // 2))
        for name in STREAMS:
            found = joined(clips, clip, name)
            assert np.abs(found.astype(float) - expected[name][:, slice(*loop)]).max() < 10 ** (-120 / 20)


def test_no_loop_that_is_none_and_what_was_shown_stays(heard: Heard, clips: Clips) -> None:
    before = clips.show(*heard)
    for loop in ((5, 5), (6, 5), (-1, 5), (0, FRAMES + 1)):
        with pytest.raises(ValueError, match="no loop from"):
            clips.show(*heard, loop=loop)
    missing = msgspec.structs.replace(heard.session, strips={"vocals": Strip(mode="cancel")})
    with pytest.raises(UnbakeError, match="there is no such stem"):
        clips.show(missing, {})
    assert clips.clip == before
    assert clips.segment(before.id, 0) is not None


def test_the_id_is_the_content(heard: Heard, clips: Clips) -> None:
    session, stems = heard
    louder = msgspec.structs.replace(session, strips={"bass": Strip(gain_db=1.0)})
    first = clips.show(session, stems)
    values: list[tuple[Session, dict[str, Path], Listening | None, tuple[int, int] | None]] = [
        (louder, stems, None, None),
        (session, stems, Listening(mute=frozenset({"bass"})), None),
        (session, stems, Listening(solo=frozenset({"bass"})), None),
        (session, stems, None, (0, FRAMES - 1)),
        (session, stems, None, (1, FRAMES)),
        (session, {**stems, "bass": stems["vocals"]}, None, None),
    ]
    ids = [clips.show(*value).id for value in values]
    assert len({first.id, *ids}) == 7
    assert clips.show(session, dict(stems)).id == first.id
    flat = msgspec.structs.replace(session, strips={**session.strips, "vocals": Strip(chain=(Bell(freq_hz=99.0),))})
    assert clips.show(flat, stems).id == first.id, "what isn't heard makes no other clip"


def test_ids_and_numbers_that_are_not_there(heard: Heard, clips: Clips) -> None:
    assert clips.segment("", 0) is None
    clip = clips.show(*heard)
    for clip_id, number in ((clip.id, -1), (clip.id, clip.segments), (clip.id, 10**12), ("../x", 0), ("", 0)):
        assert clips.segment(clip_id, number) is None
    kept = segment(clips, clip, 0)
    clips.show(*heard, loop=(0, 10))
    assert clips.segment(clip.id, 0) is kept, "what is kept can be had although another clip is shown"
    assert clips.segment(clip.id, 1) is None
    clips.close()
    assert clips.segment(clip.id, 0) is kept
    assert clips.segment(clip.id, 1) is None


def test_memory_is_bounded_and_the_oldest_use_goes_first(heard: Heard) -> None:
    size = 3 * 2 * 4 * RATE // 2
    clips = Clips(memory_bytes=3 * size)
    clip = clips.show(*heard)
    first = segment(clips, clip, 0)
    for number in (1, 2):
        segment(clips, clip, number)
    assert first.size == size
    assert clips.segment(clip.id, 0) is first
    segment(clips, clip, 3)
    assert clips.segment(clip.id, 0) is first, "it was used last"
    again = segment(clips, clip, 1)
    assert sum(segment is not None for segment in (clips._kept.get((clip.id, number)) for number in range(9))) == 3
    assert again.streams == joined_bytes(heard, 1), "made again from the saved state it is the same"
    clips.close()


def joined_bytes(heard: Heard, number: int) -> dict[str, bytes]:
    clips = Clips()
    clip = clips.show(*heard)
    found = [segment(clips, clip, each) for each in range(number + 1)][-1]
    clips.close()
    return found.streams


def test_how_files_of_any_size_are_cut(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_module, "SEGMENT_SECONDS", 4.0)
    info = info_of(heard)

    def cut(loop: tuple[int, int] | None = None, **changes: int) -> Clip:
        return clip_of("c", msgspec.structs.replace(info, **changes), loop)

    hours = cut(frames=7200 * RATE + 1)
    assert (hours.segments, hours.segment_frames) == (1801, 4 * RATE)
    assert hours.bounds(1800) == (7200 * RATE, 7200 * RATE + 1)
    assert cut((0, 7200 * RATE), frames=7200 * RATE).segments == 1800
    assert cut((7, 8)).segments == 1
    assert cut(frames=0).segments == 0
    wide = cut(channels=16, sample_rate=384_000, frames=10**9)
    assert 0 < wide.segment_frames * wide.channels * 4 * 3 <= 32 << 20


def test_several_at_once_get_the_same_samples(heard: Heard, clips: Clips) -> None:
    clip = clips.show(*heard)
    found: dict[int, list[Segment]] = {number: [] for number in range(3)}

    def ask() -> None:
        for number in (2, 0, 1):
            found[number].append(segment(clips, clip, number))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for segments in found.values():
        assert len(segments) == 4
        assert all(each is segments[0] for each in segments)


def test_a_newer_clip_does_not_wait_for_an_old_segment(
    heard: Heard, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody will hear is given up at the next block."""
    monkeypatch.setattr(clips_module, "BLOCK_FRAMES", 1000)
    clip = clips.show(*heard)
    reading, may_go_on = threading.Event(), threading.Event()
    read = Monitor.read

    def slow(self: Monitor, frames: int):
        reading.set()
        assert may_go_on.wait(10)
        return read(self, frames)

    monkeypatch.setattr(Monitor, "read", slow)
    found: list[Segment | None] = []
    asker = threading.Thread(target=lambda: found.append(clips.segment(clip.id, 0)))
    asker.start()
    assert reading.wait(10)
    other = clips.show(*heard, loop=(0, 2000))  # comes back although the old segment is being made
    monkeypatch.setattr(Monitor, "read", read)
    may_go_on.set()
    asker.join(10)
    assert found == [None]
    assert np.array_equal(planar(segment(clips, other, 0).streams["source"], 2), whole(heard)["source"][:, :2000])
