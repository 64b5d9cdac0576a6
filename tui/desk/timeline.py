"""Where the engineer is in time: what is shown, the playhead, the loop and the markers. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.session.workspace import Loop, Marker, Workspace

CLOSEST = 8
"""Frames that the deepest zoom shows."""


@dataclass(frozen=True)
class Timeline:
    """A file of `frames` frames at `sample_rate` Hz, of which `first` to `last` (exclusive) is shown.

    `follow` keeps the playhead in view.
    """

    frames: int
    sample_rate: int
    first: int = 0
    last: int = 0
    playhead: int = 0
    loop: Loop | None = None
    markers: tuple[Marker, ...] = ()
    follow: bool = True

    @classmethod
    def whole(cls, frames: int, sample_rate: int) -> Timeline:
        """All of a file, the playhead at its start."""
        return cls(frames, sample_rate, 0, frames)

    @classmethod
    def of(cls, frames: int, sample_rate: int, workspace: Workspace) -> Timeline:
        """The whole file, or what the workspace remembers of it where that fits."""
        whole = cls.whole(frames, sample_rate)
        first, last = workspace.view or (0, frames)
        if not 0 <= first < last <= frames:
            first, last = 0, frames
        loop = workspace.loop
        if loop is not None and not 0 <= loop.first < loop.last <= frames:
            loop = None
        markers = tuple(marker for marker in workspace.markers if marker.frame <= frames)
        playhead = min(max(workspace.playhead, 0), frames)
        return replace(whole, first=first, last=last, playhead=playhead, loop=loop, markers=markers)

    def resumed(self, workspace: Workspace) -> Timeline:
        """As the workspace remembers it; of one who moved while a long file was read, place and view stay."""
        remembered = Timeline.of(self.frames, self.sample_rate, workspace)
        if self == Timeline.whole(self.frames, self.sample_rate):
            return remembered
        markers = {marker.frame: marker for marker in (*remembered.markers, *self.markers)}
        return replace(
            self, loop=self.loop or remembered.loop, markers=tuple(markers[frame] for frame in sorted(markers))
        )

    @property
    def shown(self) -> int:
        """Frames in view."""
        return self.last - self.first

    @property
    def region(self) -> tuple[int, int]:
        """The loop where it is on, else the whole file: what figures are measured over."""
        if self.loop is not None and self.loop.on:
            return self.loop.first, self.loop.last
        return 0, self.frames

    def at(self, frame: int) -> Timeline:
        """With the playhead at a frame, in view when it is followed."""
        moved = replace(self, playhead=min(max(frame, 0), self.frames))
        return moved._in_view() if self.follow else moved

    def nudged(self, steps: int, columns: int) -> Timeline:
        """The playhead moved by so many columns of the view, one frame at least."""
        return self.at(self.playhead + steps * max(1, self.shown // max(1, columns)))

    def moved_seconds(self, seconds: float) -> Timeline:
        """The playhead moved by a time."""
        return self.at(self.playhead + round(seconds * self.sample_rate))

    def zoomed(self, factor: float, around: int | None = None) -> Timeline:
        """`factor` times as many frames in view; the frame `around` (the playhead) stays where it is on the screen."""
        if self.frames == 0:
            return self
        centre = self.playhead if around is None else around
        if not self.first <= centre <= self.last:
            centre = (self.first + self.last) // 2
        shown = min(self.frames, max(min(CLOSEST, self.frames), round(self.shown * factor)))
        share = (centre - self.first) / max(1, self.shown)
        first = min(max(0, round(centre - share * shown)), self.frames - shown)
        return replace(self, first=first, last=first + shown)

    def all(self) -> Timeline:
        """The whole file in view."""
        return replace(self, first=0, last=self.frames)

    def on_loop(self) -> Timeline:
        """The loop in view, with a little around it; as it was where there is none."""
        if self.loop is None:
            return self
        margin = (self.loop.last - self.loop.first) // 20
        first, last = max(0, self.loop.first - margin), min(self.frames, self.loop.last + margin)
        return replace(self, first=first, last=max(last, min(self.frames, first + CLOSEST)))

    def loop_from(self) -> Timeline:
        """The loop begins at the playhead; a loop that would end before is pulled to the end of the file."""
        last = self.loop.last if self.loop is not None and self.loop.last > self.playhead else self.frames
        return self._looped(self.playhead, last)

    def loop_to(self) -> Timeline:
        """The loop ends at the playhead; a loop that would begin after begins at the start."""
        first = self.loop.first if self.loop is not None and self.loop.first < self.playhead else 0
        return self._looped(first, self.playhead)

    def loop_switched(self) -> Timeline:
        """The loop on or off; without one, what is in view becomes the loop."""
        if self.loop is None:
            return self._looped(self.first, self.last)
        return replace(self, loop=Loop(self.loop.first, self.loop.last, not self.loop.on))

    def looped(self, loop: tuple[int, int] | None) -> Timeline:
        """With another loop, cut to the file; None turns the one there is off."""
        if loop is None:
            return self if self.loop is None else replace(self, loop=Loop(self.loop.first, self.loop.last, False))
        return self._looped(max(0, loop[0]), min(self.frames, loop[1]))

    def marked(self, frame: int | None = None) -> Timeline:
        """With a marker at a frame (the playhead), or without the one that is there."""
        place = self.playhead if frame is None else min(frame, self.frames)
        kept = tuple(marker for marker in self.markers if marker.frame != place)
        if len(kept) == len(self.markers):
            kept = (*kept, Marker(place, self._free_name()))
        return replace(self, markers=tuple(sorted(kept, key=lambda marker: marker.frame)))

    def to_marker(self, direction: int) -> Timeline:
        """The playhead at the nearest marker after (1) or before (-1) it; as it was where there is none."""
        frames = [marker.frame for marker in self.markers if (marker.frame - self.playhead) * direction > 0]
        return self.at(min(frames, key=lambda frame: abs(frame - self.playhead))) if frames else self

    def _looped(self, first: int, last: int) -> Timeline:
        return replace(self, loop=Loop(first, last, True)) if first < last else self

    def _free_name(self) -> str:
        taken = {marker.name for marker in self.markers}
        return next(str(number) for number in range(1, len(taken) + 2) if str(number) not in taken)

    def _in_view(self) -> Timeline:
        if self.first <= self.playhead < self.last or self.shown >= self.frames:
            return self
        first = min(max(0, self.playhead - self.shown // 4), self.frames - self.shown)
        return replace(self, first=first, last=first + self.shown)


def clock(frame: int, sample_rate: int, *, thousandths: bool = True) -> str:
    """A frame as a time: 1:24.310, hours in front where there are any."""
    total = round(frame * 1000 / sample_rate)
    minutes, ms = divmod(total, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, ms = divmod(ms, 1000)
    text = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"{text}.{ms:03d}" if thousandths else text
