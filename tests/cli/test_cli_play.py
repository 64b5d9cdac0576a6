"""`unbake play`: streams down a pipe as the render computes them, the listening page, what can't be played."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 44_100
PLAY = (sys.executable, "-m", "tui", "play")


def heard(*words: str | Path) -> tuple[np.ndarray, int]:
    """What comes down the pipe: float64 [frames, channels], and the rate."""
    done = subprocess.run([*PLAY, *map(str, words), "--stdout"], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return soundfile.read(io.BytesIO(done.stdout), always_2d=True)


@pytest.fixture
def session(unbake, song: Path) -> Path:
    """A session with the stems of another tool whose bass is lowered."""
    path = song.parent / "song.unbake.toml"
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems").code == 0
    assert unbake("session", "set", path, "strips.bass.gain_db=-6").code == 0
    return path


def test_the_pipe_has_what_the_render_writes(unbake, session: Path, song: Path, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.wav"
    assert unbake("render", session, "-o", rendered, "--subtype", "float").code == 0
    repair, rate = heard(session)
    assert rate == soundfile.info(song).samplerate
    assert np.array_equal(repair, soundfile.read(rendered, always_2d=True)[0])
    source, _ = heard(session, "--stream", "a")
    assert np.array_equal(source, soundfile.read(song, always_2d=True)[0].astype(np.float32))
    difference, _ = heard(session, "--stream", "difference")
    bass, _ = heard(session, "--stream", "bass")
    stem = soundfile.read(song.parent / "stems" / "bass.wav", always_2d=True)[0]
    assert np.allclose(bass, stem * 10 ** (-6 / 20), atol=1e-6)
    assert np.allclose(difference, bass - stem, atol=1e-6)


def test_a_stretch_is_cut_to_the_frame(session: Path) -> None:
    whole, rate = heard(session)
    part, _ = heard(session, "--from", "0:00.1", "--to", "0.25")
    assert np.allclose(part, whole[round(0.1 * rate) : round(0.25 * rate)], atol=1e-6)


def test_an_audio_file_is_played_as_it_is_and_lossy_ones_from_the_middle(stem_file: Path, tmp_path: Path) -> None:
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    path = tmp_path / "tone.mp3"
    soundfile.write(path, np.stack([tone, -tone], axis=1), RATE, format="MP3")
    whole, _ = heard(path)
    assert np.array_equal(whole, soundfile.read(path, always_2d=True)[0].astype(np.float32))
    part, _ = heard(path, "--from", "0.5", "--to", "1")
    assert np.array_equal(part, whole[RATE // 2 : RATE])
    (copy,) = (Path(os.environ["UNBAKE_CACHE"]) / "decoded").iterdir()
    assert copy.suffix == ".w64"


def test_who_stops_listening_is_no_error(session: Path) -> None:
    command = f"{sys.executable} -m tui play '{session}' --stdout | head -c 100 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_page_is_served_until_ctrl_c(session: Path) -> None:
    words = [*PLAY, str(session), "--browser", "--port", "0", "--from", "0.1", "--json"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = []
        while not any("then open:" in line for line in lines):
            lines.append(process.stderr.readline())
            assert lines[-1], "it ended"
        tunnel = next(line for line in lines if "ssh -N" in line)
        url = lines[-1].partition("then open: ")[2].strip()
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"] == url
        port = url.split(":")[2].partition("/")[0]
        assert f"-L {port}:127.0.0.1:{port}" in tunnel
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert b"unbake" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stream", "guitar"], 'there is no stream "guitar"'),
        (["--from", "1000"], "nothing lies from 1000 s"),
        (["--from", "0.2", "--to", "0.1"], "nothing lies from 0.2 s to 0.1 s"),
        (["--port", "99999", "--browser"], "must be a port"),
        (["--stdout", "--json"], "both want standard output"),
        (["--stdout", "--browser"], "not allowed with argument"),
        (["--card", "no such card"], ""),
    ],
)
def test_what_can_not_be_played_is_one_line(unbake, song: Path, words: list[str], says: str) -> None:
    done = unbake("play", song, *words)
    assert done.code == 2
    assert says in done.err
    assert done.err.count("\n") == 1, done.err
