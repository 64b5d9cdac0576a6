"""Draws what each processor does, through the real stages: `.venv/bin/python docs/processors.py`.

Every picture of `processors.md` is one of `PICTURES`: plain SVG, with colours that can be read on white and on black.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from core.recombine.limiter import TruePeakLimiter  # noqa: E402
from core.recombine.output import BusOutput  # noqa: E402
from core.session.document import Session, Source, Strip  # noqa: E402
from core.session.processors import (  # noqa: E402
    AllPass,
    Bell,
    Compressor,
    DeEsser,
    Delay,
    Dither,
    DynamicBell,
    Gain,
    Gate,
    HighCut,
    HighShelf,
    LowCut,
    LowShelf,
    MonoBelow,
    Notch,
    Saturation,
    Tilt,
    TransientShaper,
    Width,
)
from core.strips.chain import build_strip  # noqa: E402
from core.strips.stage import Aligned  # noqa: E402

RATE = 48_000
WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 14, 34
COLOURS = ("#2f7fd1", "#d9730d", "#3a9d5d", "#b04aa8", "#8a8a8a", "#c0392b", "#16a0a0", "#7d6608")
GREY = "#8a8a8a"
Curve = NDArray[np.float64]
PICTURES: dict[str, Callable[[], str]] = {}


class Line(NamedTuple):
    """A curve: what it is, and its points."""

    name: str
    x: Curve
    y: Curve


def picture(draw: Callable[[], str]) -> Callable[[], str]:
    """Notes a picture under the name of its function, whose words are its title."""

    def titled() -> str:
        return draw().replace(' role="img">', f' role="img"><title>{escape(draw.__doc__ or "")}</title>', 1)

    PICTURES[draw.__name__] = titled
    return titled


def plot(
    lines: Sequence[Line],
    x_ticks: dict[float, str],
    y_ticks: dict[float, str],
    *,
    log: bool = False,
) -> str:
    """Lines over ticked axes; the outermost ticks are the ends of the axes."""
    across = np.log(list(x_ticks)) if log else np.array(list(x_ticks))
    down = np.array(list(y_ticks))

    def at_x(x: Curve) -> Curve:
        place = np.log(x) if log else x
        return LEFT + (place - across.min()) / np.ptp(across) * (WIDTH - LEFT - RIGHT)

    def at_y(y: Curve) -> Curve:
        return HEIGHT - BOTTOM - (y - down.min()) / np.ptp(down) * (HEIGHT - TOP - BOTTOM)

    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} fill="{GREY}" role="img">']
    for x, text in x_ticks.items():
        place = float(at_x(np.array(x)))
        parts.append(f'<path d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GREY}" stroke-opacity=".25"/>')
        anchor = "end" if place > WIDTH - RIGHT - 1 else "middle"
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="{anchor}">{escape(text)}</text>')
    for y, text in y_ticks.items():
        place = float(at_y(np.array(y)))
        parts.append(f'<path d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity=".25"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{place + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    key = float(LEFT)
    for line, colour in zip(lines, COLOURS, strict=False):
        height = np.clip(at_y(line.y), TOP, HEIGHT - BOTTOM)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(at_x(line.x), height, strict=True))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts.append(f'<text x="{key:.0f}" y="{HEIGHT - 4}" fill="{colour}">{escape(line.name)}</text>')
        key += 6.0 * len(line.name) + 14
    return "\n".join([*parts, "</svg>"]) + "\n"


# ---- sounds and measurements


def through(strip: Strip, sound: Curve, sides: Curve | None = None) -> Curve:
    """A sound [channels, frames] through the stage of a strip, in time with what went in."""
    speakers = ("M",) if len(sound) == 1 else ("L", "R")
    given = sound if sides is None else np.concatenate([sound, sides])
    return _in_time(build_strip("bass", strip, RATE, speakers), given)


def _in_time(stage: Any, sound: Curve) -> Curve:
    at = 0

    def read(frames: int) -> Curve:
        nonlocal at
        found = sound[:, at : at + frames]
        at += frames
        return np.pad(found, ((0, 0), (0, frames - found.shape[1])))

    return Aligned(stage, read).read(sound.shape[1])


def response(*chain: Any, freqs: Curve, channels: Sequence[float] = (1.0,), **strip: Any) -> NDArray[np.complex128]:
    """The spectrum at frequencies of what a chain makes of an impulse, per channel of those weights."""
    frames = 1 << 17
    sound = np.zeros((len(channels), frames))
    sound[:, frames // 2] = channels
    spectrum = np.fft.rfft(through(Strip(chain=chain, **strip), sound), axis=1)
    turned = np.exp(2j * np.pi * np.arange(spectrum.shape[1]) * (frames // 2) / frames)
    bins = np.clip(np.round(freqs * frames / RATE).astype(int), 1, spectrum.shape[1] - 1)
    return (spectrum * turned)[:, bins]


def db(gain: Any) -> Curve:
    """A gain in dB."""
    return 20.0 * np.log10(np.maximum(np.abs(gain), 1e-6))


def seconds(count: float) -> Curve:
    """Times of the frames of so many seconds."""
    return np.arange(round(count * RATE)) / RATE


def tone(freq_hz: float, time_s: Curve, level_db: Any = 0.0) -> Curve:
    """A tone [1, frames], of one level in dB or of one a frame."""
    return (10.0 ** (np.asarray(level_db) / 20.0) * np.sin(2.0 * np.pi * freq_hz * time_s))[np.newaxis]


def envelope(sound: Curve, window_ms: float = 5.0, columns: int = 240) -> tuple[Curve, Curve]:
    """Times and levels in dB: the highest magnitude of as many windows as are drawn."""
    frames = sound.shape[1] // columns
    peaks = np.abs(sound[0, : frames * columns]).reshape(columns, frames).max(axis=1)
    wide = max(1, round(window_ms * RATE / 1000.0 / frames))
    held = np.array([peaks[max(0, at - wide + 1) : at + 1].max() for at in range(columns)])
    return (np.arange(columns) + 0.5) * frames / RATE, db(held)


def static(strip: Strip, freq_hz: float = 1000.0) -> tuple[Curve, Curve]:
    """Levels in and out of a tone that rises from -60 to 0 dBFS within 12 s."""
    time_s = seconds(12.0)
    sound = tone(freq_hz, time_s, -60.0 + 5.0 * time_s)
    out = through(strip, sound)
    return envelope(sound, columns=121)[1], envelope(out, columns=121)[1]


FREQS = np.geomspace(20.0, 20_000.0, 220)
HZ = {
    20.0: "20 Hz",
    50.0: "50",
    100.0: "100",
    200.0: "200",
    500.0: "500",
    1000.0: "1 k",
    2000.0: "2 k",
    5000.0: "5 k",
    10_000.0: "10 k",
    20_000.0: "20 k",
}
LEVELS = {float(level): f"{level} dB" if level == -60 else str(level) for level in range(-60, 1, 10)}


def ticks(low: float, high: float, step: float, unit: str = "dB") -> dict[float, str]:
    """Ticks whose highest one says the unit."""
    places = np.round(np.arange(low, high + step / 2, step), 6) + 0.0
    return {float(each): f"{each:g} {unit}".strip() if each == places[-1] else f"{each:g}" for each in places}


# ---- pictures


@picture
def equalisers() -> str:
    """Responses of bell, shelves, tilt and notch."""
    bands = {
        "bell +6, Q 0.7": Bell(freq_hz=400.0, gain_db=6.0),
        "bell -9, Q 4": Bell(freq_hz=2000.0, gain_db=-9.0, q=4.0),
        "low shelf +6": LowShelf(freq_hz=120.0, gain_db=6.0),
        "high shelf -6": HighShelf(freq_hz=8000.0, gain_db=-6.0),
        "tilt +6": Tilt(freq_hz=1000.0, gain_db=6.0),
        "notch": Notch(freq_hz=50.0, q=10.0),
    }
    lines = [Line(name, FREQS, db(response(band, freqs=FREQS)[0])) for name, band in bands.items()]
    return plot(lines, HZ, ticks(-12, 9, 3), log=True)


@picture
def cuts() -> str:
    """Low cut at 100 Hz and high cut at 5 kHz."""
    slopes = (6, 12, 24, 48)
    low = [LowCut(freq_hz=100.0, slope_db_oct=slope) for slope in slopes]
    high = [HighCut(freq_hz=5000.0, slope_db_oct=slope) for slope in slopes]
    named = [f"{slope} dB/oct" for slope in slopes]
    lines = [
        Line(name, FREQS, db(response(one, other, freqs=FREQS)[0]))
        for name, one, other in zip(named, low, high, strict=True)
    ]
    return plot(lines, HZ, ticks(-60, 0, 10), log=True)


@picture
def all_pass() -> str:
    """Phase of an all-pass at 300 Hz."""
    lines = []
    for q in (0.4, 0.7, 3.0):
        turn = np.angle(response(AllPass(freq_hz=300.0, q=q), freqs=FREQS)[0])
        lines.append(Line(f"Q {q:g}", FREQS, np.degrees(np.unwrap(turn))))
    return plot(lines, HZ, ticks(-360, 0, 90, "deg"), log=True)


@picture
def placement() -> str:
    """A low cut and a high shelf on the side alone."""
    wide = response(
        HighShelf(freq_hz=4000.0, gain_db=6.0, placement="side"),
        LowCut(freq_hz=120.0, slope_db_oct=24, placement="side"),
        freqs=FREQS,
        channels=(1.0, -0.5),
    )
    mid, side = wide[0] + wide[1], wide[0] - wide[1]
    lines = [Line("mid", FREQS, db(mid / 0.5)), Line("side", FREQS, db(side / 1.5))]
    return plot(lines, HZ, ticks(-24, 9, 3), log=True)


@picture
def linear_phase() -> str:
    """What a low cut at 60 Hz rings with, the impulse itself left out."""
    place = np.arange(-1440, 2401, 4)
    lines = []
    for phase in ("minimum", "linear"):
        sound = np.zeros((1, 48_000))
        sound[0, 24_000] = 1.0
        strip = Strip(eq_phase=phase, chain=(LowCut(freq_hz=60.0, slope_db_oct=24),))
        heard = through(strip, sound)[0, 24_000 + place]
        heard[place == 0] = np.nan
        keep = ~np.isnan(heard)
        lines.append(Line(f"{phase} phase", place[keep] * 1000.0 / RATE, 100.0 * heard[keep]))
    return plot(lines, ticks(-30, 50, 10, "ms"), ticks(-2.5, 0.5, 0.5, "%"))


@picture
def dynamic_bell() -> str:
    """Level in the band, in (across) and out (up)."""
    lines = []
    for name, bell in {
        "cuts what is louder": DynamicBell(freq_hz=1000.0, q=1.0, threshold_db=-30.0, range_db=-12.0),
        "boosts what is louder": DynamicBell(freq_hz=1000.0, q=1.0, threshold_db=-30.0, range_db=6.0),
        "boosts what is quieter": DynamicBell(
            freq_hz=1000.0, q=1.0, threshold_db=-36.0, range_db=9.0, acts="below", release_ms=20.0
        ),
    }.items():
        level_in, level_out = static(Strip(chain=(bell,)))
        lines.append(Line(name, level_in, level_out))
    return plot(lines, LEVELS, LEVELS)


@picture
def side_chain() -> str:
    """A bass that ducks where the kick speaks."""
    time_s = seconds(2.0)
    since = time_s % 0.5
    kick = tone(60.0, since, -50.0 * since - 3.0)
    bass = tone(62.0, time_s, -9.0)
    duck = DynamicBell(
        freq_hz=60.0, q=1.0, threshold_db=-18.0, range_db=-9.0, attack_ms=3.0, release_ms=80.0, sidechain="drums"
    )
    out = through(Strip(chain=(duck,)), bass, kick)
    lines = [
        Line(name, *envelope(sound, 16.0)) for name, sound in (("bass", bass), ("bass, ducked", out), ("kick", kick))
    ]
    return plot(lines, ticks(0, 2, 0.5, "s"), ticks(-30, 0, 6))


@picture
def transient_shaper() -> str:
    """Envelope of two drum hits."""
    time_s = seconds(1.0)
    since = time_s % 0.5
    drum = tone(180.0, since, -60.0 * since - 12.0)
    chains = {
        "as it was": Strip(),
        "attack +9 dB": Strip(chain=(TransientShaper(attack_db=9.0),)),
        "sustain -12 dB": Strip(chain=(TransientShaper(sustain_db=-12.0),)),
    }
    lines = [Line(name, *envelope(through(strip, drum), 6.0)) for name, strip in chains.items()]
    return plot(lines, ticks(0, 1, 0.25, "s"), ticks(-54, 0, 6))


@picture
def compressor() -> str:
    """Compressor at -30 dBFS: level in (across) and out (up)."""
    lines = []
    for ratio, knee in ((2.0, 6.0), (4.0, 0.0), (4.0, 12.0), (100.0, 6.0)):
        strip = Strip(chain=(Compressor(threshold_db=-30.0, ratio=ratio, knee_db=knee),))
        lines.append(Line(f"{ratio:g}:1, knee {knee:g} dB", *static(strip)))
    return plot(lines, LEVELS, LEVELS)


@picture
def compressor_time() -> str:
    """A louder stretch through a compressor."""
    time_s = seconds(1.0)
    burst = tone(1000.0, time_s, np.where((time_s > 0.2) & (time_s < 0.5), -6.0, -30.0))
    lines = [Line("as it was", *envelope(burst, 1.0))]
    for attack, release in ((1.0, 60.0), (30.0, 200.0)):
        strip = Strip(chain=(Compressor(threshold_db=-24.0, ratio=4.0, attack_ms=attack, release_ms=release),))
        lines.append(Line(f"attack {attack:g}, release {release:g} ms", *envelope(through(strip, burst), 1.0)))
    return plot(lines, ticks(0, 1, 0.2, "s"), ticks(-48, 0, 6))


@picture
def gate() -> str:
    """Expander and gate at -30 dBFS: level in (across) and out (up)."""
    lines = []
    for ratio, depth in ((2.0, 40.0), (4.0, 20.0), (100.0, 30.0)):
        strip = Strip(chain=(Gate(threshold_db=-30.0, ratio=ratio, range_db=depth, release_ms=20.0),))
        level_in, level_out = static(strip)
        lines.append(Line(f"{ratio:g}:1, range {depth:g} dB", level_in, level_out))
    up = {float(level): f"{level} dB" if level == 0 else str(level) for level in range(-90, 1, 10)}
    return plot(lines, LEVELS, up)


@picture
def deesser() -> str:
    """The band above 4 kHz before and after, beside the voice."""
    time_s = seconds(1.2)
    voice = tone(250.0, time_s, -15.0)
    ess = np.random.default_rng(3).standard_normal((1, len(time_s)))
    spectrum = np.fft.rfft(ess)
    spectrum[:, np.fft.rfftfreq(len(time_s), 1 / RATE) < 5500.0] = 0.0
    hiss = (
        0.12 * np.fft.irfft(spectrum, len(time_s)) * ((time_s > 0.3) & (time_s < 0.5) | (time_s > 0.8) & (time_s < 0.9))
    )
    out = through(Strip(chain=(DeEsser(freq_hz=5000.0, range_db=12.0, threshold_db=-14.0),)), voice + hiss)
    parts = {"sibilants": hiss, "de-essed": _above(out, 4000.0), "voice": voice}
    lines = [Line(name, *envelope(sound, 8.0)) for name, sound in parts.items()]
    return plot(lines, ticks(0, 1.2, 0.2, "s"), ticks(-48, 0, 6))


def _above(sound: Curve, freq_hz: float) -> Curve:
    spectrum = np.fft.rfft(sound)
    spectrum[:, np.fft.rfftfreq(sound.shape[1], 1 / RATE) < freq_hz] = 0.0
    return np.fft.irfft(spectrum, sound.shape[1])


@picture
def saturation() -> str:
    """One period of a full-scale tone."""
    time_s = seconds(0.2)
    sound = tone(100.0, time_s)
    part = slice(RATE // 10, RATE // 10 + RATE // 100, 3)
    lines = [Line("as it was", 1000.0 * (time_s[part] - 0.1), sound[0, part])]
    for drive in (6.0, 12.0, 24.0):
        out = through(Strip(chain=(Saturation(drive_db=drive),)), sound)
        lines.append(Line(f"drive {drive:g} dB", 1000.0 * (time_s[part] - 0.1), out[0, part]))
    return plot(lines, ticks(0, 10, 2, "ms"), ticks(-1, 1, 0.5, ""))


@picture
def stereo() -> str:
    """Level of the side; the mid stays as it is."""
    chains = {
        "width 50%": Width(amount=0.5),
        "width 150%": Width(amount=1.5),
        "mono below 120 Hz": MonoBelow(freq_hz=120.0),
        "mono below 500 Hz": MonoBelow(freq_hz=500.0),
    }
    lines = []
    for name, processor in chains.items():
        found = response(processor, freqs=FREQS, channels=(1.0, -1.0))
        lines.append(Line(name, FREQS, db((found[0] - found[1]) / 2.0)))
    return plot(lines, HZ, ticks(-48, 6, 6), log=True)


@picture
def delay() -> str:
    """A short sound, frame by frame."""
    place = np.arange(-8, 9)
    sound = np.zeros((1, 4000))
    sound[0, 2000 - 2 : 2000 + 3] = np.hanning(7)[1:-1]
    lines = [Line("as it was", place.astype(float), sound[0, 2000 + place])]
    for frames in (0.5, 3.0, -2.25):
        out = through(Strip(chain=(Delay(frames=frames),)), sound)
        lines.append(Line(f"{frames:+g} frames", place.astype(float), out[0, 2000 + place]))
    return plot(lines, ticks(-8, 8, 2, "frames"), ticks(-0.25, 1.0, 0.25, ""))


@picture
def gain() -> str:
    """A gain, and one that follows points in time."""
    time_s = seconds(8.0)
    ride = Gain(gain_db=-2.0, points=((1.0, 0.0), (3.0, -12.0), (5.0, -12.0), (5.5, 3.0)))
    sound = np.ones((1, len(time_s)))
    lines = [
        Line(name, *envelope(through(Strip(chain=(each,)), sound)))
        for name, each in (("gain -2 dB", Gain(gain_db=-2.0)), ("gain -2 dB, 4 points", ride))
    ]
    return plot(lines, ticks(0, 8, 1, "s"), ticks(-18, 6, 3))


@picture
def limiter() -> str:
    """A stretch over full scale through the limiter."""
    time_s = seconds(0.5)
    sound = tone(220.0, time_s, np.where((time_s > 0.1) & (time_s < 0.2), 3.0, -6.0))
    out = _in_time(TruePeakLimiter(-1.0, RATE, 1), sound)
    lines = [Line("as it was", *envelope(sound, 5.0)), Line("ceiling -1 dBTP", *envelope(out, 5.0))]
    return plot(lines, ticks(0, 0.5, 0.1, "s"), ticks(-12, 6, 3))


class _Kept:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.codes: list[NDArray[np.int32]] = []

    def write_codes(self, codes: NDArray[np.int32]) -> None:
        self.codes.append(codes)


@picture
def dither() -> str:
    """Spectrum of a dithered 16-bit silence, in dBFS per hertz."""
    frames = 1 << 17
    source = Source("song.wav", "ab" * 32, RATE, 1, frames, "WAV", "PCM_16")
    freqs = np.linspace(200.0, 24_000.0, 120)
    lines = []
    for shape in ("flat", "highpass", "f_weighted"):
        bus, kept = BusOutput(Session(source=source, master=(Dither(shape=shape),)), "PCM_16", 1, RATE), _Kept()
        bus.write(np.zeros((1, frames)), kept)  # pyright: ignore[reportArgumentType]
        noise = np.concatenate(kept.codes, axis=1)[0] / 2.0**15
        power = np.abs(np.fft.rfft(noise.reshape(-1, 512), axis=1)) ** 2
        level = 10.0 * np.log10(power.mean(axis=0) / (512.0 * RATE / 2.0) + 1e-30)
        lines.append(Line(shape.replace("_", "-"), freqs, np.interp(freqs, np.fft.rfftfreq(512, 1 / RATE), level)))
    return plot(
        lines,
        {0.0: "0", 6000.0: "6 kHz", 12_000.0: "12", 18_000.0: "18", 24_000.0: "24"},
        ticks(-160, -110, 10),
    )


def main() -> None:
    """Draws every picture anew."""
    folder = DOCS / "pictures"
    folder.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (folder / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
