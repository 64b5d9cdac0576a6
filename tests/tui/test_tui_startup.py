"""What the app's own process imports: at the first paint next to nothing, and torch and scipy never."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

OURS = {"core", "models", "presets", "tui"}
EMPTY = """
import json, sys
from textual.app import App
from textual.widgets import Static

class Empty(App[None]):
    def compose(self):
        yield Static("empty")

    def on_ready(self):
        open(sys.argv[1], "w").write(json.dumps(sorted(sys.modules)))
        self.exit()

Empty().run()
"""
FIRST_PAINT = """
import json, sys
from tui import app

class Watched(app.Workstation):
    def on_ready(self):  # before the app's own, which has the desk imported
        open(sys.argv[1], "w").write(json.dumps(sorted(sys.modules)))
        self.exit()

app.Workstation = Watched
from tui.__main__ import main
sys.exit(main(sys.argv[2:]))
"""
USED = """
import asyncio, json, sys, time
from pathlib import Path
from tui.app import Workstation
from tui.desk.screen import Desk

async def use():
    app = Workstation(Path(sys.argv[2]))
    async with app.run_test(size=(160, 50)) as pilot:
        async def until(condition):
            end = time.monotonic() + 60
            while not condition():
                assert time.monotonic() < end
                await pilot.pause(0.02)

        await until(lambda: any(isinstance(screen, Desk) for screen in app.screen_stack))
        (desk,) = (screen for screen in app.screen_stack if isinstance(screen, Desk))
        await until(lambda: desk.bench.stems and desk.bench.report)
        await pilot.press("3", "e", "j", "comma")
        await until(lambda: desk.bench.check and desk.bench.check.passed)
        await pilot.press("v")
        for panel in ("S", "P", "N", "T", "C", "H", "M", "I", "B", "R", "!", "?", ":", "o"):
            await pilot.press(panel)
            await until(lambda: app.screen is not desk)
            await pilot.pause()
            app.pop_screen()
        await pilot.pause()
    open(sys.argv[1], "w").write(json.dumps(sorted(sys.modules)))

asyncio.run(use())
"""


def imported(script: str, modules: Path, *words: object) -> set[str]:
    """The modules that a script which runs an app in a terminal says it had imported."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", script, str(modules), *map(str, words)]
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    said: list[bytes] = []
    reader = threading.Thread(target=read, args=(ours, said))
    reader.start()
    code = program.wait(120)
    reader.join()
    os.close(ours)
    assert code == 0, b"".join(said).decode(errors="replace")
    return set(json.loads(modules.read_text()))


def read(terminal: int, said: list[bytes]) -> None:
    """Takes what is written, as a terminal does, until nobody has it open any more: on Linux that is an error."""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 1 << 16):
            said.append(data)


def test_the_first_paint_needs_only_the_standard_library_and_textual(tmp_path: Path, song: Path) -> None:
    empty = imported(EMPTY, tmp_path / "empty.json")
    found = imported(FIRST_PAINT, tmp_path / "unbake.json", song)
    others = {name for name in found - empty if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name.partition(".")[0] for name in others} <= OURS
    assert "tui.app" in found
    assert not {"core.jobs", "core.session", "core.audio", "tui.desk", "models"} & found


def test_torch_and_scipy_stay_out_of_the_app_whatever_is_done_with_it(tmp_path: Path, session_path: Path) -> None:
    found = imported(USED, tmp_path / "used.json", session_path)
    assert "tui.desk.screen" in found
    assert "core.jobs.operations" in found
    assert not {name.partition(".")[0] for name in found} & {"torch", "scipy"}
