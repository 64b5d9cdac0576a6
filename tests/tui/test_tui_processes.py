"""Real processes: workers that are killed, and the app in a terminal that is poor, noisy, told to end or gone."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from core import places
from core.jobs.client import Worker
from core.jobs.sessions import place_beside
from core.session import history
from core.session.lock import SessionLock

sys.path.insert(0, str(Path(__file__).parent))

from tui_terminal import Terminal, gone

# ---- workers -------------------------------------------------------------------------------------------------------


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Some seconds of noise: a few steps for the starter."""
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(5).standard_normal((9 * 44_100, 2)) * 0.1, 44_100, subtype="PCM_16")
    return path


async def test_a_separation_whose_process_is_killed_goes_on_when_asked_again(
    workstation, long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("from core.separation import work\nwork.SAVE_SECONDS = 0.0\n")

    def safe() -> bool:
        files = (places.cache() / "stems" / "partial").glob("*/state.json")
        return any(any(msgspec.json.decode(file.read_bytes())["done"].values()) for file in files)

    async with workstation(long, make_worker=Worker) as driver:
        desk = await driver.opened()
        device = driver.app.jobs._workers["device"]
        await driver.press("S", "enter")
        await driver.until(safe, "a part of the work", seconds=120)
        os.kill(device.pid, signal.SIGKILL)
        await driver.until(lambda: desk.jobs.shown is None, "the end of the job")
        assert "killed (signal 9)" in driver.notices()
        assert "what is done is kept" in driver.notices()
        await driver.press("3", "comma")
        assert desk.bench.session.strips["bass"].gain_db == -1.0
        await driver.press("S", "enter")
        await driver.until(lambda: "an earlier run is taken up at" in driver.notices(), "the resumption", seconds=120)
        await driver.until(lambda: desk.bench.stems, "the stems", seconds=120)
        await driver.until(lambda: "rest exact" in driver.text(), "the proof", seconds=120)


async def test_a_live_check_whose_process_is_killed_is_made_at_the_next_edit(workstation, session_path: Path) -> None:
    async with workstation(session_path, make_worker=Worker) as driver:
        desk = await driver.opened()
        analysis = driver.app.jobs._workers["analysis"]
        await driver.until(lambda: analysis.state.running is None, "an idle worker")
        os.kill(analysis.pid, signal.SIGSTOP)
        await driver.press("3", "comma")
        await driver.until(lambda: desk.bench.checking and analysis.state.running, "the check")
        os.kill(analysis.pid, signal.SIGKILL)
        await driver.until(lambda: "killed (signal 9)" in driver.notices(), "the notice")
        assert "not checked" in driver.text()
        await driver.press("comma")
        await driver.until(lambda: "rest exact" in driver.text(), "the proof", seconds=120)


async def test_a_worker_that_does_not_answer_is_ended_by_the_second_stop(workstation, session_path: Path) -> None:
    async with workstation(session_path, make_worker=Worker) as driver:
        desk = await driver.opened()
        analysis = driver.app.jobs._workers["analysis"]
        await driver.until(lambda: analysis.state.running is None, "an idle worker")
        pid = analysis.pid
        os.kill(pid, signal.SIGSTOP)
        await driver.press("A")
        driver.app.screen.query_one("Input").value = str(desk.bench.located.source)
        await driver.press("enter")
        await driver.until(lambda: desk.jobs.shown is not None, "the job")
        await driver.press("escape", "s")
        assert "stopping" in driver.text()
        await driver.press("escape")
        assert "End its process at once?" in driver.text()
        await driver.press("s")
        await driver.until(lambda: desk.jobs.shown is None, "the end of the job")
        assert "stopped; what was done is kept" in driver.text()
        gone(pid)
        await driver.press("3", "comma")
        await driver.until(lambda: "rest exact" in driver.text(), "the proof by another", seconds=120)


# ---- the app in a terminal -----------------------------------------------------------------------------------------

NO_UTF8: dict[str, Any] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
DRAWN = re.compile("[\u2580-\u259f\u2800-\u28ff]")


def edited(terminal: Terminal, session_path: Path) -> None:
    """Waits for the desk, lowers the bass, and waits until that is on the disk."""
    terminal.until("their sum is the source")
    terminal.type("3,")
    terminal.until("not saved")
    terminal.until(lambda: len(history.load(session_path).edits) == 2)


def test_a_terminal_without_utf_8_gets_plain_characters_and_says_what_would_help(session_path: Path) -> None:
    with Terminal(session_path, **NO_UTF8) as terminal:
        terminal.until("LANG=C.UTF-8")
        edited(terminal, session_path)
        terminal.until("rest exact")
        assert "> 3 bass" in terminal.text()
        terminal.type("p")
        terminal.until("-1.0 dB /")
        terminal.type("R")
        terminal.until("container")
        terminal.type("\x1b")
        terminal.until(lambda: "container" not in terminal.text())
        terminal.type("?")
        terminal.until("Inverts the polarity")
        assert terminal.written.isascii()


def test_a_latin_terminal_gets_the_letters_that_it_has(song: Path) -> None:
    path = song.rename(song.with_name("Café – Øde 日本.wav"))
    with Terminal(path, encoding="iso8859-1", PYTHONIOENCODING="iso8859-1") as terminal:
        terminal.until("identical")
        assert "Café - /de ????.wav" in terminal.text()


def test_the_linux_console_gets_no_braille(session_path: Path) -> None:
    with Terminal(session_path, TERM="linux") as terminal:
        terminal.until("identical")
        terminal.until("► 1 vocals")
        drawn = set(DRAWN.findall(terminal.text()))
        assert drawn
        assert drawn <= set("█▀▄▌▐░▒▓")


def test_a_name_that_is_no_text_is_shown_and_said(song: Path) -> None:
    with Terminal(song.rename(song.with_name(os.fsdecode(b"caf\xe9.wav")))) as terminal:
        terminal.until("not valid UTF-8")
        assert "caf?.wav" in terminal.text()


def test_noise_on_the_line_is_not_the_end(session_path: Path) -> None:
    with Terminal(session_path) as terminal:
        terminal.until("identical")
        terminal.type(b"\xff\xfe\xc3\x1b[99999999999P\x1b[:200~\x80\x1b[<0;0;0M\x1b[")
        terminal.read(0.5)
        edited(terminal, session_path)


@pytest.mark.parametrize("keys", ["\x03", "\x03\x03\x1a\x1c", "\x04\x13\x0f"])
def test_control_keys_end_nothing(session_path: Path, keys: str) -> None:
    with Terminal(session_path) as terminal:
        edited(terminal, session_path)
        terminal.type(keys + "p")
        terminal.until(lambda: len(history.load(session_path).edits) == 3)
        assert terminal.process.poll() is None


def test_ctrl_q_asks_before_it_leaves(session_path: Path) -> None:
    with Terminal(session_path) as terminal:
        edited(terminal, session_path)
        terminal.type("\x11")
        terminal.until("is not saved")
        terminal.type("\x1b")
        terminal.until(lambda: "is not saved" not in terminal.text())
        terminal.type("\x11")
        terminal.until("is not saved")
        terminal.type("l")
        assert terminal.ended() == 0


def test_leaving_gives_the_terminal_back_and_says_nothing(session_path: Path) -> None:
    with Terminal(session_path) as terminal:
        edited(terminal, session_path)
        terminal.type("q")
        terminal.until("is not saved")
        terminal.type("s")
        assert terminal.ended() == 0
        assert not terminal.said().strip()
        assert termios.tcgetattr(terminal._theirs) == terminal.modes


def test_told_to_end_it_ends_with_every_edit_kept_and_nobody_left(session_path: Path) -> None:
    with Terminal(session_path) as terminal:
        edited(terminal, session_path)
        terminal.until("rest exact")
        workers = terminal.children()
        assert workers
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended(20) == 130
        assert not terminal.said().strip()
        assert termios.tcgetattr(terminal._theirs) == terminal.modes
        assert SessionLock(session_path).holder() is None
        for worker in workers:
            gone(worker)
    assert len(history.load(session_path).edits) == 2


def test_a_line_that_drops_ends_it_with_every_edit_kept_and_nobody_left(session_path: Path) -> None:
    with Terminal(session_path) as terminal:
        edited(terminal, session_path)
        workers = terminal.children()
        terminal.hang_up()
        assert terminal.process.wait(20) == 130
        assert SessionLock(session_path).holder() is None
        for worker in workers:
            gone(worker)
    assert len(history.load(session_path).edits) == 2


def test_a_terminal_that_goes_without_a_signal_ends_it_too(session_path: Path) -> None:
    def deaf() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with Terminal(session_path, before=deaf) as terminal:
        edited(terminal, session_path)
        terminal.hang_up()
        assert terminal.process.wait(20) == 130
        assert SessionLock(session_path).holder() is None


def test_a_terminal_that_takes_nothing_any_more_does_not_hold_it(session_path: Path) -> None:
    with Terminal(session_path, size=(250, 60), code="import tui.app; tui.app.LEAVE_SECONDS = 1.0") as terminal:
        edited(terminal, session_path)
        for _ in range(40):
            terminal.type("?q")  # and nobody reads what that draws
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(20) == 130
        assert SessionLock(session_path).holder() is None


def test_killed_it_offers_the_edits_the_next_time(session_path: Path) -> None:
    with Terminal(session_path) as terminal:
        edited(terminal, session_path)
        workers = terminal.children()
        terminal.process.kill()
        terminal.process.wait()
        for worker in workers:
            gone(worker)
    with Terminal(session_path) as terminal:
        terminal.until("was left without being saved: 1 edit")
        terminal.type("r")
        terminal.until("not saved")
        terminal.until("-1.0 dB")


def test_killed_before_it_was_ever_saved_it_offers_the_edits_as_well(song: Path) -> None:
    session_path = place_beside(song)
    with Terminal(song) as terminal:
        terminal.until("not separated yet")
        terminal.type("3,")
        terminal.until(lambda: len(history.load(session_path).edits) == 2)
        terminal.process.kill()
        terminal.process.wait()
    assert not session_path.exists()
    with Terminal(song) as terminal:
        terminal.until("was left without being saved: 1 edit")
        terminal.until("begin anew")
        terminal.type("r")
        terminal.until("-1.0 dB")


FAILS_WHERE_IT_DRAWS = """
import tui.widgets.rows
right = tui.widgets.rows.Rows.render_line
def wrong(self, y):
    if self.chosen == 4:
        raise ZeroDivisionError("a mistake\\nof ours")
    return right(self, y)
tui.widgets.rows.Rows.render_line = wrong
"""
FAILS_BEFORE_THE_DESK = """
import sys
sys.modules["tui.desk.screen"] = None
"""


def test_a_mistake_where_it_draws_ends_in_one_line_that_names_the_log(session_path: Path) -> None:
    with Terminal(session_path, code=FAILS_WHERE_IT_DRAWS) as terminal:
        edited(terminal, session_path)
        terminal.type("p5")
        assert terminal.ended() == 1
        lines = terminal.said().strip().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("unbake: a defect: ZeroDivisionError: a mistake of ours: written down in ")
        assert lines[0].endswith("; every edit is in the journal, open the file again")
        assert b"Traceback" not in terminal.written
        assert termios.tcgetattr(terminal._theirs) == terminal.modes
        log = next((Path(os.environ["UNBAKE_HOME"]) / "logs").glob("*.log"))
        assert "render_line" in log.read_text()
        assert SessionLock(session_path).holder() is None
    assert len(history.load(session_path).edits) == 3


def test_a_mistake_before_there_is_a_desk_ends_in_one_line_too(session_path: Path) -> None:
    with Terminal(session_path, code=FAILS_BEFORE_THE_DESK) as terminal:
        assert terminal.ended() == 1
        assert len(terminal.said().strip().splitlines()) == 1
        assert b"Traceback" not in terminal.written


def limited(file_bytes: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))

    return limit


def test_a_disk_that_takes_no_more_is_said_and_the_app_stays(session_path: Path) -> None:
    room = history.path_for(session_path).stat().st_size + 10
    with Terminal(session_path, before=limited(room)) as terminal:
        terminal.until("their sum is the source")
        terminal.type("3,")
        terminal.until("not on disk")
        terminal.type("q")
        terminal.until("is not saved")
        terminal.type("l")
        terminal.until("The last edits can't be written")
        resource.prlimit(terminal.process.pid, resource.RLIMIT_FSIZE, (1 << 40, resource.RLIM_INFINITY))
        terminal.type("\x1b")
        terminal.until(lambda: len(history.load(session_path).edits) == 2)
        terminal.until(lambda: "not on disk" not in terminal.text())
