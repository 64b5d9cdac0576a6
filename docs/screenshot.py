"""Makes the pictures in the README from real runs: `.venv/bin/python docs/screenshot.py`.

`demo.svg` is what the demo prints, `desk.svg` the workstation on the demo's repaired session, `bench.svg` the clean-up
bench on its song with hum, hiss and clicks, `report.png` the top of its report in a browser (Debian's chromium).
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tui.app import Workstation

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests" / "tui"))

SIZE = (120, 36)
KEYS = ("1", "shift+tab", *"l" * 52, "tab", "tab", *"j" * 8)
"""The voice, the range of its de-esser, and the playhead a way into the song."""
REPORT_SIZE = (960, 900)
CELL_WIDTH, CELL_HEIGHT, BASELINE = 12.2, 24.4, 18.5
DOT = 4.0
BRAILLE = re.compile("[\u2800-\u28ff]")
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille character."""
TEXT = re.compile(
    r'<text class="(?P<kind>[^"]*)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"(?P<rest>[^>]*)>(?P<text>[^<]*)</text>'
)


def main() -> None:
    """Runs the demo in a fresh folder, its stems made anew; draws what it printed, its report, and the desk on it."""
    with tempfile.TemporaryDirectory() as name:
        env = {"UNBAKE_CACHE": f"{name}/cache", "UNBAKE_HOME": f"{name}/home", "PATH": "/usr/bin:/bin"}
        words = [sys.executable, "-m", "tui", "demo", "-o", "demo"]
        done = subprocess.run(words, cwd=name, env=env, capture_output=True, text=True, check=True)
        (DOCS / "demo.svg").write_text(
            printed(f"$ unbake demo -o demo\n{done.stderr}{done.stdout}".replace(f"{name}/", ""))
        )
        asyncio.run(report(Path(name) / "demo" / "repaired.html"))
        os.environ.update(env, TERM="xterm-256color", COLORTERM="truecolor")
        (DOCS / "desk.svg").write_text(asyncio.run(desk(Path(name) / "demo" / "master.unbake.toml")))
        (DOCS / "bench.svg").write_text(asyncio.run(bench(damaged(Path(name) / "demo" / "master.wav"))))


def printed(text: str) -> str:
    """What a command printed, as SVG."""
    console = Console(record=True, width=100, file=io.StringIO())
    for line in text.rstrip().splitlines():
        style = "bold" if line.startswith("$") else "dim" if line.startswith("unbake:") else ""
        console.print(Text(line, style=style))
    return console.export_svg(title="unbake")


async def report(page: Path) -> None:
    """The top of a report, as far as it says what was done and shows it."""
    from playwright.async_api import async_playwright

    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("no chromium here (apt-get install chromium)")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        view = await browser.new_page(viewport={"width": REPORT_SIZE[0], "height": REPORT_SIZE[1]})
        await view.goto(page.as_uri())
        await view.screenshot(path=DOCS / "report.png")
        await browser.close()


async def desk(session: Path) -> str:
    """The workstation on a session, once its edits are proved, as SVG."""
    from tui.desk.screen import Desk

    app = workstation(session)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: any(isinstance(each, Desk) and each.bench.check for each in app.screen_stack))
        await pilot.press(*KEYS)
        await pilot.pause(1.0)
        return drawn(app)


def damaged(master: Path) -> Path:
    """A copy of a master 6 dB down, with hum, hiss and clicks, as from a bad transfer."""
    sound, rate = soundfile.read(master)
    rng, time_s = np.random.default_rng(1), np.arange(len(sound)) / rate
    hum = sum(0.03 * 0.6**n * np.sin(2 * np.pi * 50.03 * (n + 1) * time_s) for n in range(12))
    sound = 0.5 * sound + np.asarray(hum)[:, None] + 0.002 * rng.standard_normal(sound.shape)
    for at in rng.integers(0, len(sound) - 40, 12):
        sound[at : at + rng.integers(5, 40)] += 0.4 * rng.choice((-1.0, 1.0))
    path = master.with_name("transfer.wav")
    soundfile.write(path, np.clip(sound, -1.0, 1.0), rate, subtype="PCM_24")
    return path


async def bench(song: Path) -> str:
    """The clean-up bench on a damaged song: what was proposed is carried out, as SVG."""
    from tui.desk.screen import Desk

    app = workstation(song)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: any(isinstance(each, Desk) and each.bench.editor for each in app.screen_stack))
        state = next(each for each in app.screen_stack if isinstance(each, Desk)).bench
        await pilot.press("C", "p")
        await until(pilot, lambda: state.damage and state.session is not None and state.session.cleanup)
        await pilot.press("c")
        await until(pilot, lambda: state.taken and not state.cleaning)
        await pilot.press(*"jjjjj")
        await pilot.pause(3.0)
        return drawn(app)


def workstation(path: Path) -> Workstation:
    """The app on a file, with its worker in this process."""
    from tui_in_process import InProcessWorker

    from tui.app import Workstation
    from tui.config import Config

    return Workstation(path, config=Config(), make_worker=InProcessWorker)


async def until(pilot: Pilot[Any], holds: Callable[[], Any]) -> None:
    """Waits, a minute at the most."""
    end = time.monotonic() + 60.0
    while not holds():
        if time.monotonic() > end:
            raise SystemExit("it did not come to that within a minute")
        await pilot.pause(0.1)


def drawn(app: Workstation) -> str:
    """The screen as SVG."""
    from tui_pictures import tidy

    return dotted(tidy(app.export_screenshot(title="unbake")))


def dotted(svg: str) -> str:
    """An SVG whose braille is drawn: fonts have it in any width, some with rings where no dot is."""
    colours = dict(re.findall(r"\.(r\d+) \{ fill: (#\w+)", svg))

    def with_dots(found: re.Match[str]) -> str:
        text, left, top = found["text"], float(found["x"]), float(found["y"]) - BASELINE
        if not BRAILLE.search(text):
            return found[0]
        spots = [
            (left + CELL_WIDTH * (place + 0.27 + 0.46 * column), top + CELL_HEIGHT * (row + 0.5) / 4)
            for place, sign in enumerate(text)
            for bit, (column, row) in enumerate(DOTS)
            if BRAILLE.match(sign) and ord(sign) >> bit & 1
        ]
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in spots)
        line = f'stroke="{colours[found["kind"]]}" stroke-width="{DOT}" stroke-linecap="round"'
        others = BRAILLE.sub(" ", text)
        kept = found[0].replace(text, others) if others.strip() else ""
        return f'<path {line} d="{path}"/>{kept}'

    return TEXT.sub(with_dots, svg)


if __name__ == "__main__":
    main()
