"""`unbake play` through a whole sound system: PortAudio, ALSA, and a PulseAudio whose sound card writes to a pipe."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 44_100
PLAY = (sys.executable, "-m", "tui", "play")
TRIES = 4
"""A busy machine may come late, which is said; then it is tried again."""


class Card:
    """A sound card of our own: what it is given is in `heard`, 32-bit floats of two channels."""

    def __init__(self, folder: Path) -> None:
        self.environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        self.environment["PULSE_SERVER"] = f"unix:{folder}/native"
        self._pipe = folder / "card"
        (folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        rate = f"rate={RATE} channels=2 format=float32le"
        self._server = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
                f"--load=module-native-protocol-unix socket={folder}/native auth-anonymous=1",
                f"--load=module-pipe-sink sink_name=ours file={self._pipe} use_system_clock_for_timing=yes {rate}",
            ],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )
        self._bytes = bytearray()
        for _ in range(100):
            if (folder / "native").exists() and self._pipe.exists():
                break
            time.sleep(0.05)
        else:
            self.close()
            pytest.skip("PulseAudio does not start here")
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self._pipe.open("rb", buffering=0) as pipe:
            while data := pipe.read(65_536):
                self._bytes += data

    def rewind(self) -> np.ndarray:
        """What it was given since the last time: float32 [frames, channels]."""
        data, self._bytes = self._bytes, bytearray()
        return np.frombuffer(bytes(data[: len(data) // 8 * 8]), "<f4").reshape(-1, 2)

    def unplug(self) -> None:
        """As when somebody pulls the cable."""
        subprocess.run(["pactl", "unload-module", "module-pipe-sink"], env=self.environment, check=True, timeout=20)

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(timeout=20)


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    if not shutil.which("pulseaudio") or not shutil.which("pactl"):
        pytest.skip("no PulseAudio on this machine: apt-get install pulseaudio pulseaudio-utils libasound2-plugins")
    folder = tmp_path / "card"
    folder.mkdir(mode=0o700)
    found = Card(folder)
    look = "import sounddevice; print([each['name'] for each in sounddevice.query_devices()])"
    done = subprocess.run(
        [sys.executable, "-c", look], env=found.environment, capture_output=True, text=True, timeout=60
    )
    if "pulse" not in done.stdout:
        found.close()
        pytest.skip("PortAudio has no way to PulseAudio here: apt-get install libportaudio2 libasound2-plugins")
    yield found
    found.close()


@pytest.fixture
def session(unbake, song: Path) -> Path:
    path = song.parent / "song.unbake.toml"
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems").code == 0
    assert unbake("session", "set", path, "strips.bass.gain_db=-6").code == 0
    return path


def test_a_card_gets_the_render_bit_for_bit(card: Card, session: Path) -> None:
    piped = subprocess.run([*PLAY, session, "--to", "2", "--stdout"], capture_output=True, check=True, timeout=120)
    expected = soundfile.read(io.BytesIO(piped.stdout), dtype="float32")[0]
    for _ in range(TRIES):
        card.rewind()
        words = [*PLAY, session, "--to", "2", "--card", "pulse", "--no-match"]
        done = subprocess.run(words, env=card.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        time.sleep(0.5)
        if "came late" not in done.stdout:
            break
    else:
        pytest.skip("the machine is too busy for a sound card")
    heard = card.rewind()
    middle = len(expected) // 2
    starts = np.nonzero((heard == expected[middle]).all(axis=1))[0]
    at = next(start - middle for start in starts if np.array_equal(heard[start : start + 64], expected[middle:][:64]))
    fade = round(0.005 * RATE)
    assert np.array_equal(heard[at + fade : at + len(expected)], expected[fade:])
    assert not heard[at + len(expected) + fade :].any(), "nothing past --to but its dying away"


def test_a_card_that_is_unplugged_is_said(card: Card, session: Path) -> None:
    words = [*PLAY, session, "--loop", "--to", "2", "--card", "pulse"]
    playing = subprocess.Popen(words, env=card.environment, stderr=subprocess.PIPE, text=True)
    for _ in range(400):
        if card.rewind().any():
            break
        time.sleep(0.05)
    card.unplug()
    _, said = playing.communicate(timeout=60)
    assert playing.returncode == 2
    assert "pulse: the sound card went away" in said
    assert "Traceback" not in said
