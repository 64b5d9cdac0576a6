"""Stretches of what is heard as lossless clips: computed once, known by their content, handed out as 32-bit float.

A clip is a loop, or the whole file, cut into segments. Each segment begins in the state in which the one before ended,
so that a row of them has no seam; one that is asked for out of turn begins with the graph's pre-roll.
"""

from __future__ import annotations

import collections
import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

import msgspec
import numpy as np

from core.audio.formats import BLOCK_FRAMES, AudioInfo
from core.audition.monitor import Listening, Monitor, MonitorState, Stream
from core.recombine.graph import Moved
from core.session.document import Session, audible_key

SEGMENT_SECONDS: Final = 4.0
"""Short, so that little has to be made and sent before an edit is heard. A loop up to this is one segment."""
SEGMENT_BYTES: Final = 32 << 20
"""Of all streams together, where many channels or a high rate would take more."""
MEMORY_BYTES: Final = 256 << 20
METER_SECONDS: Final = 0.05
STATES: Final = 64
"""Ends of segments that are remembered at most; a state is small, but long files have many."""
STREAMS: Final[tuple[Stream, ...]] = get_args(Stream)


class Clip(msgspec.Struct, frozen=True):
    """What can be fetched: frames `first` to before `last` of a source of `frames`, cut every `segment_frames`.

    `id` changes with every change of the samples.
    """

    id: str
    sample_rate: int
    channels: int
    frames: int
    first: int
    last: int
    segment_frames: int

    @property
    def segments(self) -> int:
        """How many there are."""
        return -(-(self.last - self.first) // self.segment_frames)

    def bounds(self, segment: int) -> tuple[int, int]:
        """First and last (exclusive) frame of a segment."""
        first = self.first + segment * self.segment_frames
        return first, min(self.last, first + self.segment_frames)


class Segment(msgspec.Struct, frozen=True):
    """The samples of a segment: for each stream planar little-endian 32-bit floats, one channel after the other."""

    streams: dict[str, bytes]
    moved: tuple[tuple[Moved, ...], ...] = ()
    """How far gains that follow the sound were moved, for each `METER_SECONDS`; empty where there are none."""

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(len(each) for each in self.streams.values())


class Clips:
    """Makes and keeps the segments of one clip after another; `show` says of what. Any thread may ask for segments.

    Raises UnbakeError as `Monitor` does.
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._kept: collections.OrderedDict[tuple[str, int], Segment] = collections.OrderedDict()
        self._kept_bytes = 0
        self._states: collections.OrderedDict[tuple[str, int], MonitorState] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.Lock()
        """Held by who uses the monitor; taken before `_lock`, never after it."""
        self._monitor: Monitor | None = None
        self._content = ""
        self.clip: Clip | None = None

    def show(
        self,
        session: Session,
        stems: Mapping[str, Path],
        listening: Listening | None = None,
        loop: tuple[int, int] | None = None,
    ) -> Clip:
        """Makes another value of the session, or another stretch, what segments are of. Computes nothing yet.

        ValueError for a loop without length or outside the file. What fails leaves the clip that was.
        """
        listening = listening or Listening()
        content = content_id(session, stems, listening)
        with self._lock:
            if content == self._content and self._monitor is not None:
                self.clip = clip_of(content, self._monitor.info, loop)
                return self.clip
        monitor = Monitor(session, stems, listening)
        try:
            clip = clip_of(content, monitor.info, loop)
        except ValueError:
            monitor.close()
            raise
        with self._lock:
            before, self._monitor = self._monitor, monitor
            self._content, self.clip = content, clip
        self._put_away(before)
        return clip

    def segment(self, clip_id: str, number: int) -> Segment | None:
        """A segment of the clip of that id; None when there is none, or another clip is shown and it is not kept."""
        if (found := self._find(clip_id, number)) is not None:
            return found
        with self._making:
            if (found := self._find(clip_id, number)) is not None:
                return found
            with self._lock:
                clip, monitor, content = self.clip, self._monitor, self._content
            if clip is None or monitor is None or clip.id != clip_id or not 0 <= number < clip.segments:
                return None
            segment = self._make(clip, monitor, content, number)
            if segment is not None:
                self._keep(clip_id, number, segment)
            return segment

    def moved(self, frame: int) -> tuple[Moved, ...]:
        """How far gains that follow the sound are moved at a frame; nothing where no segment is made of it yet."""
        clip = self.clip
        if clip is None or not clip.first <= frame < clip.last:
            return ()
        number = (frame - clip.first) // clip.segment_frames
        with self._lock:
            segment = self._kept.get((clip.id, number))
        if segment is None or not segment.moved:
            return ()
        place = (frame - clip.bounds(number)[0]) // round(METER_SECONDS * clip.sample_rate)
        return segment.moved[min(place, len(segment.moved) - 1)]

    def close(self) -> None:
        """Closes its files. Segments that were made can still be had."""
        with self._lock:
            before, self._monitor = self._monitor, None
            self.clip = None
        self._put_away(before)

    def _put_away(self, monitor: Monitor | None) -> None:
        if monitor is not None:
            with self._making:  # who reads from it gives up at the next block
                monitor.close()

    def _find(self, clip_id: str, number: int) -> Segment | None:
        with self._lock:
            found = self._kept.get((clip_id, number))
            if found is not None:
                self._kept.move_to_end((clip_id, number))
            return found

    def _make(self, clip: Clip, monitor: Monitor, content: str, number: int) -> Segment | None:
        """The samples of a segment; None as soon as another clip is shown, which is more urgent."""
        first, last = clip.bounds(number)
        state = self._states.get((content, first))
        if state is not None:
            monitor.resume(state)
        elif monitor.frame != first:
            monitor.seek(first)
        sounds = np.empty((len(STREAMS), clip.channels, last - first), "<f4")
        moved: list[tuple[Moved, ...]] = []
        frames = round(METER_SECONDS * clip.sample_rate) if monitor.moved() else BLOCK_FRAMES
        while monitor.frame < last:
            if self.clip != clip:
                return None
            here = monitor.frame - first
            sides = monitor.read(min(frames, last - monitor.frame))
            moved.append(monitor.moved())
            for sound, name in zip(sounds, STREAMS, strict=True):
                sound[:, here : monitor.frame - first] = sides.stream(name)
        if monitor.copyable:
            self._states[content, last] = monitor.state()
        while len(self._states) > STATES:
            self._states.popitem(last=False)
        streams = {name: sound.tobytes() for name, sound in zip(STREAMS, sounds, strict=True)}
        return Segment(streams, tuple(moved) if any(moved) else ())

    def _keep(self, clip_id: str, number: int, segment: Segment) -> None:
        with self._lock:
            self._kept[clip_id, number] = segment
            self._kept_bytes += segment.size
            while self._kept_bytes > self._memory_bytes and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._kept_bytes -= gone.size


def content_id(session: Session, stems: Mapping[str, Path], listening: Listening) -> str:
    """What decides the samples of all streams, as a short text."""
    needed = sorted({*session.stems_used, *listening.strips})
    hashes = session.stem_hashes
    files = [(name, hashes.get(name, ""), _stamp(stems.get(name))) for name in needed]
    parts = (files, sorted(listening.solo), sorted(listening.mute))
    return hashlib.sha256(audible_key(session) + msgspec.json.encode(parts)).hexdigest()[:24]


def clip_of(content: str, info: AudioInfo, loop: tuple[int, int] | None) -> Clip:
    """How a stretch is cut. ValueError for a loop without length or outside the file."""
    first, last = loop or (0, info.frames)
    if not 0 <= first <= last <= info.frames or (loop is not None and first == last):
        raise ValueError(f"no loop from {first} to {last}")
    most = SEGMENT_BYTES // (len(STREAMS) * 4 * info.channels)
    frames = min(round(SEGMENT_SECONDS * info.sample_rate), most)
    return Clip(f"{content}-{first}-{last}", info.sample_rate, info.channels, info.frames, first, last, max(1, frames))


def planar(data: bytes, channels: int) -> np.ndarray:
    """The samples of a stream of a segment: float32 [channels, frames]."""
    return np.frombuffer(data, "<f4").reshape(channels, -1)


def _stamp(path: Path | None) -> tuple[str, int, int]:
    if path is None or not path.exists():
        return "", 0, 0
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns
