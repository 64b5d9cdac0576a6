"""A page with the same passages warped by every engine, for a person to judge: `python -m benchmarks.warp_page`.

Writes `docs/warp/index.html` and its clips (Opus) from recordings that are in the public domain (CC0). Needs the
`rubberband` command and an FFmpeg with libopus.
"""

from __future__ import annotations

import argparse
import html
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from benchmarks import data_folder
from benchmarks.warp import Samples, banded, warped
from core.events import finish
from core.warp.engines.course import Attacks
from core.warp.rhythm.attacks import attacks_of

PASSAGES = {"eif-lithium": 4.0, "eif-sodium": 6.0}
"""Recordings, and the second at which their passage begins."""
SECONDS = 4.0
FACTORS = (0.9, 1.12)
BIT_RATE = 112_000
PAGE = Path(__file__).resolve().parents[1] / "docs" / "warp"
ENGINES: dict[str, Callable[[Samples, float, int, Attacks], Samples]] = {
    "linked": lambda sound, factor, rate, attacks: warped([sound], factor, rate, "linked", attacks)[0],
    "beats": lambda sound, factor, rate, attacks: warped([sound], factor, rate, "beats", attacks)[0],
    "tones": lambda sound, factor, rate, attacks: warped([sound], factor, rate, "tones", attacks)[0],
    "texture": lambda sound, factor, rate, attacks: warped([sound], factor, rate, "texture", attacks)[0],
    "repitch": lambda sound, factor, rate, attacks: warped([sound], factor, rate, "repitch", attacks)[0],
    "Rubber Band R3": lambda sound, factor, rate, _: banded(sound, factor, rate, "r3"),
    "Rubber Band R2": lambda sound, factor, rate, _: banded(sound, factor, rate, "r2"),
}
HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Warped, to judge by ear</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
  :root { color-scheme: light dark }
  table { border-collapse: collapse; width: 100% }
  td { padding: .3rem .6rem; border-bottom: 1px solid #8886 }
  audio { width: 100%; min-width: 16rem }
  .hidden td:first-child { color: transparent; user-select: none }
</style>
<h1>Warped, to judge by ear</h1>
<p>Four seconds of two electronic songs by ichbinsoftware (everythingisremixed, CC0-1.0), made shorter (0.9) and
longer (1.12) by every engine, whole mixes as they are. Opus at 112 kbit/s. Hide the names first, and listen for the
attacks of the drums, for what rings before them, for roughness in what sounds on, and for the width of the image.</p>
<p><button id="hide">Hide names and shuffle</button> <button id="show">Show names</button></p>
"""
SCRIPT = """<script>
  const tables = document.querySelectorAll("tbody");
  const shuffled = rows => rows.map(row => [Math.random(), row]).sort((a, b) => a[0] - b[0]).map(pair => pair[1]);
  document.getElementById("hide").onclick = () => tables.forEach(table => {
    table.classList.add("hidden");
    table.append(...shuffled([...table.rows]));
  });
  document.getElementById("show").onclick = () => tables.forEach(table => table.classList.remove("hidden"));
</script>
</html>
"""


def write_clip(path: Path, sound: Samples, rate: int) -> None:
    """A clip as Opus, a little below full scale wherever it was."""
    at_48k = soxr.resample(np.ascontiguousarray(sound.T), rate, 48_000, "VHQ").astype(np.float32)
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="stereo")
        stream.bit_rate = BIT_RATE
        frame = av.AudioFrame.from_ndarray(0.7 * at_48k.reshape(1, -1), format="flt", layout="stereo")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warp_page")
    parser.add_argument("--data", type=Path, default=None)
    folder = data_folder(parser.parse_args().data)
    PAGE.mkdir(exist_ok=True)
    for old in PAGE.glob("*.opus"):
        old.unlink()
    parts = [HEAD]
    for name, begin in PASSAGES.items():
        path = folder / "multitracks" / name / "mixture.flac"
        sound, rate = soundfile.read(path, always_2d=True, start=round(begin * 44_100), frames=round(SECONDS * 44_100))
        sound = np.ascontiguousarray(sound.T, dtype=np.float64)
        with tempfile.TemporaryDirectory() as room:
            soundfile.write(Path(room) / "passage.wav", sound.T, rate, subtype="DOUBLE")
            attacks = finish(attacks_of(Path(room) / "passage.wav"))
        write_clip(PAGE / f"{name}.opus", sound, rate)
        parts.append(f"<h2>{html.escape(name)}</h2>\n<p>As it is: <audio controls src='{name}.opus'></audio></p>\n")
        for factor in FACTORS:
            parts.append(f"<h3>{factor} times as long</h3>\n<table><tbody>\n")
            for engine, run in ENGINES.items():
                clip = f"{name}-{factor}-{engine.lower().replace(' ', '-')}.opus"
                write_clip(PAGE / clip, run(sound, factor, rate, attacks), rate)
                parts.append(f"<tr><td>{engine}<td><audio controls preload='none' src='{clip}'></audio>\n")
            parts.append("</tbody></table>\n")
    (PAGE / "index.html").write_text("".join([*parts, SCRIPT]))
    size = sum(each.stat().st_size for each in PAGE.iterdir())
    print(f"{PAGE / 'index.html'}: {size / 1e6:.2f} MB with its clips")


if __name__ == "__main__":
    main()
