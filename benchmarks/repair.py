"""The mud benchmark, blind: faults drawn at random on the bass of real multitracks, and what the preset makes of them.

A fault is a bell of +4 to +12 dB, 120 to 500 Hz, Q 0.5 to 2, on the stem with the bass, or on that and `other`. The
preset muddy-low-end hears the muddy mix and its stems and knows nothing of the fault. Improvements are in dB of SDR
against the clean mix. It is held against doing nothing, against the best curve that is the same for all of them
(chosen with hindsight), and against the best bell on each whole mix (chosen with hindsight, each time).

    python -m benchmarks.repair [--data DIR] [--cases 12] [--seed 1] [--reference clean|record] [--model starter]
"""

from __future__ import annotations

import itertools
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from benchmarks import data_folder
from core.audio.read import read_all
from core.diagnosis.balance import CENTRES_HZ, BalanceMeter, Windows, third_octaves
from core.events import finish
from core.jobs import sessions
from core.jobs.diagnose import fit_preset, reference_balance
from core.recombine.graph import Graph
from core.session import presets
from core.session.document import Session, Strip
from core.session.processors import Bell
from core.strips.chain import build_strip
from core.strips.eq import response, sections

SPEAKERS = ("L", "R")
PRESET = "muddy-low-end"
HOLDS_THE_BASS = ("bass", "bassdrums", "rest", "other")
"""Where there is no bass stem, the first of these plays its part."""
RECORDS = ("eif", "fof")
"""What the names of multitracks begin with that are of one record."""
GRID_HZ = np.geomspace(80.0, 800.0, 25)
GRID_DB = np.arange(-12.0, 0.1, 0.5)
GRID_Q = (0.2, 0.3, 0.45, 0.6, 0.8, 1.1, 1.5, 2.2, 3.0)
SIZES_DB = (4.0, 6.0, 8.0, 10.0, 12.0)
NOTICED_DB = 0.05
"""Improvements and losses smaller than this are none."""


class Fault(NamedTuple):
    """A bell, and whether it is on `other` too."""

    bell: Bell
    both: bool


class Case(NamedTuple):
    """What one muddy mix came to, improvements in dB."""

    excerpt: str
    own_bass: bool
    fault: Fault
    preset_db: float
    abstained: bool
    bell_db: float
    common: np.ndarray
    """Common powers of bass, other and the rest, muddy: complex128 [3, 3, bands]."""


def sdr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-distortion ratio over the whole excerpt, float64 [channels, frames]."""
    error = float(np.sum((reference - estimate) ** 2))
    return 10 * np.log10(float(np.sum(reference**2)) / max(error, 1e-300))


def drawn(rng: np.random.Generator, *, with_other: bool) -> Fault:
    """A fault at random."""
    freq_hz, gain_db, q = 120.0 * (500 / 120) ** rng.random(), rng.uniform(4.0, 12.0), 0.5 * 4.0 ** rng.random()
    return Fault(Bell(freq_hz=freq_hz, gain_db=gain_db, q=q), bool(rng.random() < 0.5) and with_other)


def best_bell_db(clean: np.ndarray, muddy: np.ndarray, rate: int) -> float:
    """SDR of the best bell on the whole mix, found on power spectra (a filter is a product there)."""
    size = 1 << int(np.ceil(np.log2(clean.shape[1] + rate)))
    spectrum, wanted = np.fft.rfft(muddy, size), np.fft.rfft(clean, size)
    freqs = np.fft.rfftfreq(size, 1 / rate)
    # bins under which the filter is as good as constant: narrow where bells are
    edges = np.unique(
        np.searchsorted(freqs, np.concatenate([np.linspace(0, 1500, 3001), np.geomspace(1500, rate / 2, 500)]))
    )
    edges = edges[edges < len(freqs)]
    weight = np.full(len(freqs), 2.0)
    weight[[0, -1]] = 1.0
    power = np.add.reduceat((np.abs(spectrum) ** 2).sum(axis=0) * weight, edges) / size
    cross = np.add.reduceat((spectrum * wanted.conj()).sum(axis=0) * weight, edges) / size
    energy = float(np.sum(clean**2))
    middles = (freqs[edges] + freqs[np.append(edges[1:], len(freqs) - 1)]) / 2
    z = np.exp(-2j * np.pi * middles / rate)
    powers = np.stack([np.ones_like(z), z, z * z])
    best = np.inf
    for freq_hz, gain_db, q in itertools.product(GRID_HZ, GRID_DB, GRID_Q):
        row = sections(Bell(freq_hz=float(freq_hz), gain_db=float(gain_db), q=q), rate)[0]
        gains = (row[:3] @ powers) / (row[3:] @ powers)
        error = float(np.sum(np.abs(gains) ** 2 * power) - 2 * np.sum((gains * cross).real)) + energy
        best = min(best, error)
    return 10 * np.log10(energy / best)


def best_fixed_curve(cases: list[Case], rate: int) -> tuple[float, str]:
    """The bell that, put on the bass (or on both) of every one of these, improves them most in the mean.

    Reckoned on band powers, which is how far a filtered sum is from another one to within some tenths of a dB.
    """
    best = (-np.inf, "")
    for freq_hz, gain_db, q in itertools.product(GRID_HZ[:18:2], GRID_DB[::2], GRID_Q[1::2]):
        cut = response([Bell(freq_hz=float(freq_hz), gain_db=float(gain_db), q=q)], CENTRES_HZ, rate)
        for both in (False, True):
            mean = float(np.mean([_gained_db(case, cut, rate, both=both) for case in cases]))
            said = f"{gain_db:+.0f} dB at {freq_hz:.0f} Hz, Q {q:g}, on {'bass and other' if both else 'bass'}"
            best = max(best, (mean, said))
    return best


def _gained_db(case: Case, cut: np.ndarray, rate: int, *, both: bool) -> float:
    undone = 1.0 / response([case.fault.bell], CENTRES_HZ, rate)
    one = np.ones_like(cut)
    wanted = np.stack([undone, undone if case.fault.both else one])
    tried = np.stack([cut, cut if both else one])

    def distance(gains: np.ndarray) -> float:
        return float(np.einsum("ik,ijk,jk->", gains.conj(), case.common[:2, :2], gains).real)

    return 10.0 * np.log10(max(distance(1.0 - wanted), 1e-30) / max(distance(tried - wanted), 1e-30))


def heard(session: Session, stems: dict[str, Path]) -> np.ndarray:
    """What a session renders to, before it is quantised."""
    with Graph(session, stems) as graph:
        return np.concatenate(list(graph.blocks()), axis=1)


def common_powers(parts: list[np.ndarray], rate: int) -> np.ndarray:
    """Common powers of parts, complex128 [parts, parts, bands]."""
    windows = Windows(rate)
    meter = BalanceMeter(len(parts), rate, windows.size)
    for window in windows.push(parts):
        meter.push(window)
    return meter.result()[1]


class Excerpt:
    """A multitrack whose stems are called as a session calls them."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.record = next((record for record in RECORDS if self.name.startswith(record)), "")
        found = {path.stem: path for path in sorted(folder.glob("*.flac")) if path.stem != "mixture"}
        bass = next(name for name in HOLDS_THE_BASS if name in found)
        self.own_bass = bass == "bass"
        renamed = {"bass": found.pop(bass)} | {"other" if name == "guitar" else name: at for name, at in found.items()}
        self.stems = {name: read_all(path) for name, path in renamed.items()}
        self.stems.setdefault("other", np.zeros_like(self.stems["bass"]))
        self.has_other = bool(self.stems["other"].any())
        self.rate = soundfile.info(renamed["bass"]).samplerate
        self.clean = np.sum(list(self.stems.values()), axis=0)

    def muddied(self, fault: Fault | None) -> dict[str, np.ndarray]:
        """The stems with a fault on them."""
        if fault is None:
            return self.stems
        on = ("bass", "other") if fault.both else ("bass",)
        strip = Strip(chain=(fault.bell,))
        return self.stems | {
            name: build_strip(name, strip, self.rate, SPEAKERS).process(self.stems[name]) for name in on
        }


def repaired(
    excerpt: Excerpt, fault: Fault | None, model: str | None, *, reference: np.ndarray | None
) -> tuple[np.ndarray, bool]:
    """What the preset makes of a mix, float64 [channels, frames], and whether it left it as it was."""
    stems = excerpt.muddied(fault)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(folder / "mix.wav", np.sum(list(stems.values()), axis=0).T, excerpt.rate, subtype="DOUBLE")
        aim_db = None
        if reference is not None:
            soundfile.write(folder / "reference.wav", reference.T, excerpt.rate, subtype="DOUBLE")
            aim_db = finish(reference_balance(folder / "reference.wav"))
        (folder / "stems").mkdir()
        for stem, sound in stems.items():
            soundfile.write(folder / "stems" / f"{stem}.wav", sound.T, excerpt.rate, subtype="FLOAT")
        stems_from = None if model else folder / "stems"
        made = sessions.new_session(folder / "mix.wav", model=model or "starter", stems_from=stems_from)
        session, taken_in = finish(made)
        session, found = finish(sessions.make_stems(session, taken_in=taken_in))
        preset = presets.find(PRESET)
        session = finish(fit_preset(preset, session, found, reference_db=aim_db)).preset.over(session)
        return heard(session, sessions.stem_paths(found)), session.untouched


def run_case(excerpt: Excerpt, fault: Fault, model: str | None, *, reference: np.ndarray | None) -> Case:
    """One fault."""
    stems = excerpt.muddied(fault)
    muddy = np.sum(list(stems.values()), axis=0)
    before = sdr_db(excerpt.clean, muddy)
    out, abstained = repaired(excerpt, fault, model, reference=reference)
    rest = muddy - stems["bass"] - stems["other"]
    return Case(
        excerpt.name,
        excerpt.own_bass,
        fault,
        0.0 if abstained else sdr_db(excerpt.clean, out) - before,
        abstained,
        best_bell_db(excerpt.clean, muddy, excerpt.rate) - before,
        common_powers([stems["bass"], stems["other"], rest], excerpt.rate),
    )


def change_db(excerpt: Excerpt, model: str | None, *, reference: np.ndarray | None) -> np.ndarray:
    """How far the preset moves each third octave of the clean mix, float64 [bands], dB."""
    out, _ = repaired(excerpt, None, model, reference=reference)
    before, after = (third_octaves(common_powers([sound], excerpt.rate)[0, 0].real) for sound in (excerpt.clean, out))
    there = before > 1e-10 * before.max()
    return np.where(there, np.abs(10.0 * np.log10(np.maximum(after, 1e-30) / np.maximum(before, 1e-30))), 0.0)


def references_of(excerpts: list[Excerpt], what: str | None) -> dict[str, np.ndarray]:
    """What each is held against: nothing, its clean mix, or the next song of its record."""
    if what is None:
        return {}
    if what == "clean":
        return {excerpt.name: excerpt.clean for excerpt in excerpts}
    found = {}
    for excerpt in excerpts:
        record = [other for other in excerpts if other.record == excerpt.record]
        found[excerpt.name] = record[(record.index(excerpt) + 1) % len(record)].clean
    return found


def tell(title: str, cases: list[Case]) -> None:
    """One line of the curve."""
    if not cases:
        return
    preset, bell = (np.array([getattr(case, name) for case in cases]) for name in ("preset_db", "bell_db"))
    print(
        f"{title:24}{len(cases):6}{preset.mean():9.2f}{np.median(preset):9.2f}{(preset > NOTICED_DB).mean():9.0%}"
        f"{(preset < -0.5).mean():13.0%}{np.mean([case.abstained for case in cases]):11.0%}{bell.mean():11.2f}"
    )


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, help="folder with multitracks/ (default: UNBAKE_TEST_DATA, ../shared/data)"
    )
    parser.add_argument("--cases", type=int, default=12, help="faults on each multitrack")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", help="stems of this model, in place of the true ones")
    parser.add_argument(
        "--reference",
        choices=("clean", "record"),
        help="with the clean mix as the reference, or another song of the record",
    )
    options = parser.parse_args()
    excerpts = [Excerpt(folder) for folder in sorted((data_folder(options.data) / "multitracks").iterdir())]
    if options.reference == "record":
        excerpts = [excerpt for excerpt in excerpts if excerpt.record]
    references = references_of(excerpts, options.reference)
    rng = np.random.default_rng(options.seed)
    cases = [
        run_case(
            excerpt, drawn(rng, with_other=excerpt.has_other), options.model, reference=references.get(excerpt.name)
        )
        for excerpt in excerpts
        for _ in range(options.cases)
    ]
    columns = f"{'cases':>6}{'mean':>9}{'median':>9}{'better':>9}{'worse by 0.5':>13}{'abstained':>11}{'best bell':>11}"
    print(f"{'improvement in dB':24}{columns}")
    for low_db, high_db in itertools.pairwise(SIZES_DB):
        tell(f"faults of {low_db:g} to {high_db:g} dB", [c for c in cases if low_db <= c.fault.bell.gain_db < high_db])
    large = [case for case in cases if case.fault.bell.gain_db >= 8.0]
    tell("8 dB and more", large)
    tell("  with a bass stem", [case for case in large if case.own_bass])
    tell("  on bass alone", [case for case in large if not case.fault.both])
    tell("  on bass and other", [case for case in large if case.fault.both])
    rate = excerpts[0].rate
    fixed_db, curve = best_fixed_curve(large, rate)
    print(f"best fixed curve for those of 8 dB and more, with hindsight: {fixed_db:+.2f} dB ({curve})")
    for excerpt in excerpts:
        tell(f"  {excerpt.name}", [case for case in large if case.excerpt == excerpt.name])
    changes = np.array(
        [change_db(excerpt, options.model, reference=references.get(excerpt.name)) for excerpt in excerpts]
    )
    print(
        f"clean mixes: no third octave moves by more than {np.median(changes, axis=0).max():.2f} dB in the median; "
        f"the largest of each: {', '.join(f'{change:.1f}' for change in changes.max(axis=1))} dB"
    )


if __name__ == "__main__":
    main()
