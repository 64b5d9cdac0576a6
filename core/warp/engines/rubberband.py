"""Warping with Rubber Band's command, for single files, where linking does not matter.

Rubber Band turns the phases of every channel as its own sound asks for, so it is not linear: four stems of a song, 1.07
times as long, miss its mix by +2.3 dB of the mix's power one by one and -1.4 in one call (R3; R2 +1.3 and -5.2).
`core.warp.engines.linked` is there for that.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import soundfile

from core import places
from core.atomic import check_room, write_error
from core.audio.formats import BLOCK_FRAMES
from core.errors import UnbakeError, os_error
from core.events import Progress
from core.processes import how_it_ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.audio.formats import Block
    from core.events import Operation
    from core.session.timemap import TimeMap
    from core.warp.engines.sound import Sound

Engine = Literal["r3", "r2"]

COMMAND: Final = "rubberband"
REMEDY: Final = "apt-get install rubberband-cli, or choose another mode"
HIGHEST_RATE: Final = 192_000
"""R3 takes no more; sound of a higher rate is given to it as if it were of half that rate."""
HEADROOM: Final = 0.25
"""What full scale is given to the command as: what it gives back is cut at full scale, in floating point, too."""
LEAD_FRAMES: Final = 16_384
"""Silence on either side of what the command gets, cut off again: it misplaces its first and last frames."""
CONTEXT_SECONDS: Final = 1.0
"""How much of the sound on either side of what is stretched the command hears."""
KEY_FRAMES: Final = 4096
"""Source frames between the keys of a smooth map, at least."""
EARLY_FRAMES: Final = 512
"""R3 looks for keys every 1,024 frames: it is this much too late on average."""
SPLICE_MS: Final = 20.0
POLL_SECONDS: Final = 0.2
LEFT_SECONDS: Final = 24 * 3600.0
"""What is left of a run that was killed may be this old."""
_KEY_PASSED: Final = re.compile(r"surpasses pending key frame: \((\d+), \d+\)")


def find() -> str | None:
    """The version of the command that is installed, such as "3.1.2"; None where there is none that works."""
    try:
        asked = subprocess.run([COMMAND, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^\d+(\.\d+)+", asked.stderr + asked.stdout, re.MULTILINE)
    return found.group() if found else None


def rubberband(
    sounds: Sequence[Sound],
    time_map: TimeMap,
    frames: int,
    sample_rate: int,
    *,
    cents: float = 0.0,
    formants: bool = False,
    engine: Engine = "r3",
) -> Operation[Rubberband]:
    """Warps sounds of `frames` frames at `sample_rate` Hz along a map, and shifts their pitch by `cents`.

    With `formants` the spectral envelope stays where it is while the pitch is shifted. All sounds go through one call
    of the command, which keeps their times alike. What the map moves by whole frames at speed 1 is copied, unless the
    pitch is shifted, and cross-faded into over `SPLICE_MS` outside of it; the rest passes through 32-bit float. Lengths
    are exact, places not: at a steady speed within 100 frames, with a new speed each half second, 3 % apart, 200 (R3 at
    44.1 kHz; R2 up to 300).

    The result holds temporary files as large as the sounds, in unbake's cache folder, until it is closed. Raises
    UnbakeError when the command is missing, has no such engine, or fails, when the disk is full, and when a shift is
    asked of R2, which misses the pitch by up to 31 cents; and as reading the sounds does.
    """
    time_map.check_fits(frames)
    if cents and engine == "r2":
        raise UnbakeError("Rubber Band's R2 can't hit a pitch exactly", remedy="shift the pitch with R3")
    plan = _plan(time_map, frames, sample_rate, shifted=cents != 0.0)
    channels = [sound.channels for sound in sounds]
    options = _options(engine, cents, formants)
    if plan.stretched:
        _check_version(engine)
    with contextlib.ExitStack() as on_failure:
        folder = _folder(plan, frames, sum(channels))
        on_failure.callback(folder.cleanup)
        call = _Call(Path(folder.name), plan, sum(channels), sample_rate, options)
        if plan.stretched and engine == "r3":
            yield from call.place()
        yield from call.take_in(sounds, frames)
        if plan.stretched:
            yield from call.warp()
        result = Rubberband(folder, plan, channels, frames, sample_rate, call.lead, call.gain)
        on_failure.pop_all()
    return result


class Rubberband:
    """Sounds that the command warped: a `Warper` that reads temporary files, which `close` removes."""

    def __init__(
        self,
        folder: tempfile.TemporaryDirectory[str],
        plan: _Plan,
        channels: Sequence[int],
        frames: int,
        sample_rate: int,
        lead: int,
        gain: float,
    ) -> None:
        self.frames = plan.frames
        self._folder = folder
        self._plan = plan
        self._ends = np.cumsum(channels)[:-1]
        self._channels = sum(channels)
        self._source_frames = frames
        self._lead = lead
        self._gain = gain
        self._splice = max(1, round(SPLICE_MS * sample_rate / 1000.0))
        self._held = Path(folder.name) / _HELD if plan.runs else None
        self._made = soundfile.SoundFile(Path(folder.name) / _MADE) if plan.stretched else None
        self._frame = 0

    def read(self, frames: int) -> list[Block]:
        """The next `frames` frames of every sound, float64 [its channels, frames]; silent after the end."""
        start = self._frame
        end = min(start + frames, self.frames)
        self._frame += frames
        block = np.zeros((self._channels, frames))
        if start < end:
            part = block[:, : end - start]
            if self._made is not None:
                part[:] = self._stretched(start, end)
                self._splice_in(part, start)
            for run in self._plan.runs:
                low, high = max(run.start, start), min(run.end, end)
                if low < high:
                    part[:, low - start : high - start] = self._copied(low + run.shift, high + run.shift)
        return [np.ascontiguousarray(sound) for sound in np.split(block, self._ends)]

    def close(self) -> None:
        """Removes the temporary files; safe to call twice."""
        if self._made is not None:
            self._made.close()
        self._folder.cleanup()

    def __enter__(self) -> Rubberband:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stretched(self, start: int, end: int) -> Block:
        """Frames `start` to `end` of the target as the command made them, float64 [all channels, end - start]."""
        assert self._made is not None
        block = np.zeros((self._channels, end - start))
        low, high = max(start, self._plan.target_low), min(end, self._plan.target_high)
        if low < high:
            self._made.seek(low - self._plan.target_low + self._lead)
            found = self._made.read(high - low, dtype="float64", always_2d=True)
            block[:, low - start : low - start + len(found)] = found.T / self._gain
        return block

    def _copied(self, start: int, end: int) -> Block:
        """Frames `start` to `end` of the source, float64 [all channels, end - start], silent outside of it."""
        assert self._held is not None
        block = np.zeros((self._channels, end - start))
        low, high = max(start, 0), min(end, self._source_frames)
        if low < high:
            size = self._channels
            found = np.fromfile(self._held, np.float64, (high - low) * size, offset=low * size * 8)
            block[:, low - start : high - start] = found.reshape(-1, size).T
        return block

    def _splice_in(self, block: Block, start: int) -> None:
        """Fades from what is stretched into what is copied, and back, outside of the latter."""
        end = start + block.shape[1]
        runs = self._plan.runs
        edges = [(None, run) for run in runs[:1]] + list(itertools.pairwise(runs)) + [(run, None) for run in runs[-1:]]
        for before, after in edges:
            low, high = before.end if before else 0, after.start if after else self.frames
            length = min(self._splice, (high - low) // 2 if before and after else high - low)
            if before is not None and low < end and low + length > start:
                self._fade(block, start, low, low + length, before.shift, falling=True)
            if after is not None and high - length < end and high > start:
                self._fade(block, start, high - length, high, after.shift, falling=False)

    def _fade(self, block: Block, start: int, low: int, high: int, shift: int, *, falling: bool) -> None:
        """Between target frames `low` and `high`, with even power however alike the two are."""
        if low >= high:
            return
        copied, made = self._copied(low + shift, high + shift), self._stretched(low, high)
        share = (np.arange(high - low) + 0.5) / (high - low)
        share = 1.0 - share if falling else share
        for ours, theirs, rows in zip(
            np.split(copied, self._ends), np.split(made, self._ends), np.split(block, self._ends), strict=True
        ):
            size = float(np.sqrt(np.square(ours).sum() * np.square(theirs).sum()))
            likeness = max(0.0, float((ours * theirs).sum()) / size) if size else 1.0
            power = share**2 + (1.0 - share) ** 2 + 2.0 * likeness * share * (1.0 - share)
            faded = (share * ours + (1.0 - share) * theirs) / np.sqrt(power)
            first, last = max(low, start), min(high, start + block.shape[1])
            rows[:, first - start : last - start] = faded[:, first - low : last - low]


_HELD: Final = "held.f64"
_GIVEN: Final = "given.w64"
_MADE: Final = "made.w64"
_SILENCE: Final = "silence.w64"
_KEYS: Final = "keys.txt"


class _Run(NamedTuple):
    """Target frames `start` to `end` are those of the source that are `shift` later."""

    start: int
    end: int
    shift: int


class _Plan(NamedTuple):
    """What is copied, and which frames of the source, `low` to `high`, the command gets: none where they are equal.

    `keys` are source and target frames where the speed changes; before the first and after the last it is 1.
    """

    frames: int
    runs: list[_Run]
    low: int
    high: int
    target_low: int
    target_high: int
    keys: list[tuple[int, int]]

    @property
    def stretched(self) -> bool:
        """Whether there is anything for the command to do."""
        return self.low < self.high


def _plan(time_map: TimeMap, frames: int, sample_rate: int, *, shifted: bool) -> _Plan:
    vertices = time_map.vertices(frames)
    length = time_map.length(frames)
    runs: list[_Run] = []
    stretched: list[tuple[float, float]] = []
    for (source, target), (next_source, next_target) in itertools.pairwise(vertices):
        if next_source - source == next_target - target and source.is_integer() and target.is_integer():
            run = _Run(max(0, int(target)), int(next_target), int(source - target))
            if runs and (runs[-1].end, runs[-1].shift) == (run.start, run.shift):
                run = run._replace(start=runs.pop().start)
            if run.start < run.end:
                runs.append(run)
        else:
            stretched += [(source, target), (next_source, next_target)]
    keys = _thinned(stretched, KEY_FRAMES if time_map.curve == "smooth" else 1)
    if shifted:
        return _Plan(length, [], 0, frames, round(vertices[0][1]), length, keys)
    if not keys:
        return _Plan(length, runs, 0, 0, 0, 0, [])
    context = round(CONTEXT_SECONDS * sample_rate)
    before = min(context, keys[0][0])
    after = min(context, frames - keys[-1][0])
    low, target_low = keys[0][0] - before, keys[0][1] - before
    return _Plan(length, runs, low, keys[-1][0] + after, target_low, keys[-1][1] + after, keys)


def _thinned(vertices: Sequence[tuple[float, float]], apart: int) -> list[tuple[int, int]]:
    """Corners on whole frames: the first, the last, and between them those that are `apart` source frames at least."""
    corners = [(round(source), round(target)) for source, target in dict.fromkeys(vertices)]
    kept = corners[:1]
    for corner in corners[1:-1]:
        if corner[0] - kept[-1][0] >= apart <= corners[-1][0] - corner[0]:
            kept.append(corner)
    return kept + corners[1:][-1:]


def _options(engine: Engine, cents: float, formants: bool) -> list[str]:
    options = ["--fine" if engine == "r3" else "--fast"]
    if cents:
        options += ["--pitch", repr(cents / 100.0)]
    if formants:
        options.append("--formant")
    return options


def _check_version(engine: Engine) -> None:
    version = find()
    if version is None:
        raise UnbakeError("is not installed", where=COMMAND, remedy=REMEDY)
    if engine == "r3" and int(version.split(".")[0]) < 3:
        raise UnbakeError(f"is version {version}, which has no R3", where=COMMAND, remedy="install version 3 or later")


def _folder(plan: _Plan, frames: int, channels: int) -> tempfile.TemporaryDirectory[str]:
    """A folder for the temporary files, where there is room for them. What one that was killed left is removed."""
    cache = places.cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob("rubberband-*"):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        held = frames * 8 if plan.runs else 0
        # one more in case it has to be made quieter
        made = 4 * (2 * (plan.high - plan.low) + plan.target_high - plan.target_low + 8 * LEAD_FRAMES)
        check_room(cache / _HELD, channels * (held + (made if plan.stretched else 0)))
        return tempfile.TemporaryDirectory(dir=cache, prefix="rubberband-")
    except OSError as error:
        raise os_error(error, cache) from error


class _Call:
    """A call of the command on files in a folder. `lead`: where the sound begins in them; `gain`: of what it made."""

    def __init__(self, folder: Path, plan: _Plan, channels: int, sample_rate: int, options: Sequence[str]) -> None:
        self.lead = LEAD_FRAMES
        self.gain = HEADROOM
        self._folder = folder
        self._plan = plan
        self._channels = channels
        self._seconds = (plan.high - plan.low) / sample_rate
        while sample_rate > HIGHEST_RATE:
            sample_rate //= 2
        self._rate = sample_rate
        self._options = options
        self._early = 0
        self._peak = 0.0

    def place(self) -> Operation[None]:
        """Finds how long the silence in front must be for R3 to notice the first key on its frame.

        It looks for keys after every 1,024 frames that it is given, wherever it is then, whatever it hears: its log
        tells where, from silence as well.
        """
        if not self._plan.keys:
            return
        key = self._plan.keys[0][0] - self._plan.low + self.lead
        frames = key + LEAD_FRAMES
        with self._writer(_SILENCE, 1) as file:
            for start in range(0, frames, BLOCK_FRAMES):
                file.write(np.zeros(min(BLOCK_FRAMES, frames - start)))
        log = yield from self._run(_SILENCE, frames, [(key, key), (frames, frames)], "--debug", "1")
        passed = _KEY_PASSED.search(log)
        if passed is not None:
            self.lead += max(0, int(passed.group(1)) - key)
            self._early = EARLY_FRAMES

    def take_in(self, sounds: Sequence[Sound], frames: int) -> Operation[None]:
        """Reads the sounds and writes what is to be copied from, and what the command gets."""
        low, high = self._plan.low, self._plan.high
        with contextlib.ExitStack() as stack:
            stack.enter_context(_telling(self._folder))
            held = stack.enter_context((self._folder / _HELD).open("wb")) if self._plan.runs else None
            given = stack.enter_context(self._writer(_GIVEN, self._channels)) if self._plan.stretched else None
            if given is not None:
                given.write(np.zeros((self.lead, self._channels)))
            for start in range(0, frames, BLOCK_FRAMES):
                count = min(BLOCK_FRAMES, frames - start)
                block = np.ascontiguousarray(np.concatenate([sound.read(count) for sound in sounds]).T)
                if held is not None:
                    block.tofile(held)
                part = block[max(0, low - start) : max(0, high - start)]
                if given is not None and len(part):
                    self._peak = max(self._peak, float(np.abs(part).max()))
                    given.write(part * self.gain)
                yield Progress("reading for Rubber Band", start + count, frames)
            if given is not None:
                given.write(np.zeros((LEAD_FRAMES, self._channels)))

    def warp(self) -> Operation[None]:
        """Has the command warp what was taken in, more quietly where it was cut at full scale."""
        while self._peak * self.gain > HEADROOM:
            self._make_quieter()
        keys = [(source - self._plan.low, target - self._plan.target_low) for source, target in self._plan.keys]
        ahead = self.lead - self._early
        length = self._plan.high - self._plan.low + self.lead + LEAD_FRAMES
        becomes = self._plan.target_high - self._plan.target_low + self.lead + LEAD_FRAMES
        keys = [(source + ahead, target + ahead) for source, target in keys] + [(length, becomes)]
        while True:
            yield from self._run(_GIVEN, becomes, keys)
            made = soundfile.info(self._folder / _MADE)
            if made.frames < becomes - LEAD_FRAMES:
                raise UnbakeError(f"wrote {made.frames} of {becomes} frames", where=COMMAND, remedy=REMEDY)
            if not _is_cut(self._folder / _MADE):
                return
            self._make_quieter()

    def _writer(self, name: str, channels: int) -> soundfile.SoundFile:
        return soundfile.SoundFile(self._folder / name, "w", self._rate, channels, "FLOAT", format="W64")

    def _make_quieter(self) -> None:
        """Halves what the command gets, twice: exactly, since that is a power of two."""
        quieter = self._folder / f"quieter-{_GIVEN}"
        with (
            _telling(self._folder),
            soundfile.SoundFile(self._folder / _GIVEN) as loud,
            self._writer(quieter.name, self._channels) as file,
        ):
            for block in loud.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True):
                file.write(block * np.float32(0.25))
        quieter.replace(self._folder / _GIVEN)
        self.gain /= 4.0

    def _run(self, name: str, becomes: int, keys: Sequence[tuple[int, int]], *more: str) -> Operation[str]:
        """Runs the command on a file, of which it makes one of `becomes` frames; gives what it logged.

        The output is W64 as the input is, which may be larger than 4 GiB: for any other pair of formats it is 24-bit.
        """
        (self._folder / _KEYS).write_text("".join(f"{source} {target}\n" for source, target in keys))
        command = [COMMAND, *self._options, *more, "--ignore-clipping", "--duration", repr(becomes / self._rate)]
        if len(keys) > 1:
            command += ["--timemap", _KEYS]
        try:
            popen = subprocess.Popen(
                [*command, name, _MADE],
                cwd=self._folder,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise UnbakeError("can't be run", where=COMMAND, remedy=REMEDY) from error
        try:
            log = yield from _watched(popen, self._seconds)
        finally:
            popen.kill()
            popen.wait()
            assert popen.stderr is not None
            popen.stderr.close()
        if popen.returncode:
            said = [line for line in log.splitlines() if line.strip()]
            raise UnbakeError(how_it_ended(popen.returncode, "\n".join(said), COMMAND), remedy=REMEDY)
        return log


def _watched(popen: subprocess.Popen[bytes], seconds: float) -> Operation[str]:
    """Tells how far the command is, at least every `POLL_SECONDS`, until it ends; gives what it logged besides."""
    assert popen.stderr is not None
    line, log = "", []
    stage, done = "studying with Rubber Band", 0
    while True:
        ready, _, _ = select.select([popen.stderr], [], [], POLL_SECONDS)
        if ready:
            data = os.read(popen.stderr.fileno(), 1 << 16)
            if not data:
                break
            *whole, line = re.split(r"[\r\n]", line + data.decode(errors="replace"))
            for each in whole:
                percent = re.fullmatch(r"\s*(\d+)%\s*", each)
                if percent is not None:
                    done = int(percent.group(1))
                elif each.startswith("Pass 2"):
                    stage, done = "warping with Rubber Band", 0
                elif each.strip():
                    log.append(each)
        yield Progress(stage, done, 100, seconds)
    popen.wait()
    return "\n".join([*log, line])


def _is_cut(path: Path) -> bool:
    """Whether a sample of a file reaches full scale."""
    with soundfile.SoundFile(path) as file:
        return any(float(np.abs(block).max(initial=0.0)) >= 1.0 for block in file.blocks(BLOCK_FRAMES, dtype="float32"))


@contextlib.contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """What stops the writing of a temporary file is told in one line."""
    try:
        yield
    except OSError as error:
        raise write_error(error, folder) from error
    except soundfile.SoundFileError as error:
        raise UnbakeError(f"can't be written to: {error}", where=folder, remedy="free some room") from error
