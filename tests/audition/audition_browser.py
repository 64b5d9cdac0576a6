"""A listening page in Debian's chromium: the room and its server here, and what the browser decodes and plays."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import soundfile

from core.audition.clips import STREAMS
from core.audition.monitor import Monitor
from core.audition.room import Judge, Mark, Room, SetLoop, State
from core.audition.server import Server
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, LowCut, LowShelf, Width
from tests.audition.audition_session import Heard

SPEAKS_UNASKED: Final = "--autoplay-policy=no-user-gesture-required"
ASKS_FIRST: Final = "--autoplay-policy=document-user-activation-required"
"""As browsers are when nobody set anything."""
TAPE: Final = """
async () => {
  ensureContext(state.clip);
  const source = `registerProcessor("tape", class extends AudioWorkletProcessor {
    process([input]) {
      // of a busy machine the frame may lag behind by a quantum, for one call; what is rendered never does
      this.frame = Math.max(currentFrame, (this.frame ?? -128) + 128);
      this.port.postMessage([this.frame, input.map((samples) => samples.slice())]);
      return true;
    }
  })`;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  await context.audioWorklet.addModule(url);
  window.tape = [];
  const node = new AudioWorkletNode(context, "tape");
  node.port.onmessage = (event) => window.tape.push(event.data);
  bus.connect(node);
  node.connect(context.destination);
}
"""
BASE64: Final = """
const base64 = (samples) => {
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
};
"""
REWOUND: Final = (
    "() => {"
    + BASE64
    + """
  const [first] = window.tape[0];
  const length = window.tape.at(-1)[0] + 128 - first;
  const channels = state.clip.channels;
  const all = new Float32Array(length * channels);
  for (const [frame, input] of window.tape) {
    input.forEach((samples, channel) => all.set(samples, channel * length + frame - first));
  }
  return [first, base64(all)];
}
"""
)
DECODED: Final = (
    "async () => {"
    + BASE64
    + """
  const count = Math.ceil((state.clip.last - state.clip.first) / state.clip.segment_frames);
  const streams = { source: [], repair: [], difference: [] };
  for (let number = 0; number < count; number++) {
    const segment = segmentOf(state.clip, number);
    await segment.here;
    for (const stream of STREAMS) {
      const buffer = segment.buffers[stream];
      if (buffer.sampleRate !== state.clip.sample_rate) throw new Error("resampled");
      const samples = Array.from({ length: buffer.numberOfChannels }, (_, at) => base64(buffer.getChannelData(at)));
      streams[stream].push(samples);
    }
  }
  return streams;
}
"""
)


def floats(text: str, channels: int = 1) -> np.ndarray:
    """Float32 [channels, frames] out of what the scripts above give."""
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(channels, -1)


def make_audible(
    folder: Path, *, rate: int = 44_100, channels: int = 2, seconds: float = 3.0, strips: dict[str, Strip] | None = None
) -> Heard:
    """Two stems of noise under a tone, and the residual; by default one bell on the bass."""
    rng = np.random.default_rng(channels)
    frames = round(seconds * rate)
    time_s = np.arange(frames)[:, np.newaxis] / rate
    folder.mkdir(parents=True, exist_ok=True)
    stems: dict[str, Path] = {}
    total = np.zeros((frames, channels))
    for place, name in enumerate(("vocals", "bass", "residual")):
        beat = 0.25 + 0.75 * np.exp(-8.0 * (time_s * (1 + place) % 1.0))
        sound = beat * (0.08 * rng.standard_normal((frames, channels)) + 0.1 * np.sin(600 * (1 + place) * time_s))
        stems[name] = folder / f"{name}.wav"
        soundfile.write(stems[name], sound.astype(np.float32), rate, subtype="FLOAT")
        total += sound.astype(np.float32)
    soundfile.write(folder / "song.wav", total, rate, subtype="FLOAT")
    source = Source(str(folder / "song.wav"), f"{rate}-{channels}", rate, channels, frames, "WAV", "FLOAT")
    chain = (LowCut(freq_hz=30.0, slope_db_oct=24), Bell(freq_hz=250.0, gain_db=-6.0, q=2.0))
    session = Session(
        source=source,
        separation=Separation(stems=("vocals", "bass")),
        strips={"bass": Strip(chain=chain)} if strips is None else strips,
    )
    return Heard(session, stems)


def two_strips(bell_db: float) -> dict[str, Strip]:
    """A usual repair of two stems."""
    return {
        "bass": Strip(
            chain=(
                LowCut(freq_hz=30.0, slope_db_oct=24),
                Bell(freq_hz=250.0, gain_db=bell_db, q=2.0),
                Width(amount=0.5),
            )
        ),
        "vocals": Strip(chain=(LowShelf(freq_hz=200.0, gain_db=-2.0), Bell(freq_hz=3000.0, gain_db=2.0))),
    }


def rendered(heard: Heard, first: int = 0, last: int | None = None) -> dict[str, np.ndarray]:
    """The three streams of a stretch as the box renders them: float32 [channels, frames]."""
    with Monitor(*heard) as monitor:
        sides = monitor.read(monitor.info.frames if last is None else last)
        return {name: sides.stream(name)[:, first:].astype(np.float32) for name in STREAMS}


class Listener:
    """A room with its server, and pages on it."""

    def __init__(self, browser: Any, asked: Callable[[Judge | Mark | SetLoop], None] | None = None) -> None:
        self.browser = browser
        self.states: list[State] = []
        self.room = Room("a song", self.states.append, asked)
        self.server = Server(self.room, port=0)
        self.problems: list[str] = []

    async def open(self, *, unguarded: bool = False, width: int = 1200, height: int = 800) -> Any:
        """Another page, connected; `unguarded` lets a test's own scripts in, past the content security policy."""
        viewport = {"width": width, "height": height}
        context = await self.browser.new_context(bypass_csp=unguarded, viewport=viewport)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        await page.goto(self.server.url)
        await page.wait_for_selector("#line[data-state=open]")
        return page

    async def tape(self, page: Any) -> None:
        """Records from now on what the page gives out."""
        await page.wait_for_function("() => state.clip")
        await page.evaluate(TAPE)

    async def rewind(self, page: Any) -> tuple[int, np.ndarray]:
        """Frame of the page's clock at which the tape begins, and what is on it: float32 [channels, frames]."""
        first, text = await page.evaluate(REWOUND)
        assert self.room.clip is not None
        return first, floats(text, self.room.clip.channels)

    async def decoded(self, page: Any) -> dict[str, np.ndarray]:
        """What is in the page's buffers, all segments together: float32 [channels, frames] of each stream."""
        streams = await page.evaluate(DECODED)
        return {
            name: np.concatenate([np.concatenate([floats(each) for each in segment]) for segment in segments], axis=1)
            for name, segments in streams.items()
        }

    async def until(self, true: Callable[[], Any], seconds: float = 20.0) -> None:
        """Waits until something of ours is so. AssertionError when it never is."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.room.state
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[Any]:
    """Debian's chromium, headless. Skips the test, visibly, where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.async_api", reason="no playwright here (pip install playwright)")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here (apt-get install chromium)")
    as_root = ["--no-sandbox"] if os.getuid() == 0 else []
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, args=[*as_root, *arguments])
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def listening(
    browser: Any, heard: Heard | None = None, asked: Callable[[Judge | Mark | SetLoop], None] | None = None
) -> AsyncIterator[Listener]:
    """A room that shows a session, and its server; afterwards no page may have met with an error of its own."""
    listener = Listener(browser, asked)
    await listener.server.start()
    try:
        if heard is not None:
            await listener.room.show(*heard)
        yield listener
    finally:
        for context in browser.contexts:
            await context.close()
        await listener.server.stop()
        await listener.room.close()
    assert not listener.problems, listener.problems
