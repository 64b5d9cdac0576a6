"""The artefact budget: the change is weighed by how certain its stem is, linearly, in time, from any start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.events import finish
from core.recombine.check import check_session
from core.recombine.graph import Graph
from core.session import words
from core.session.document import Separation, Session, Source, Strip, audible_key
from core.session.processors import Bell, Delay, DynamicBell
from core.strips.budget import Budget
from tui.desk.chain import shows

RATE = 44_100
FRAMES = 40_003
EXACT = 10 ** (-200 / 20)

Sounds = dict[str, np.ndarray]


def noise(seed: int, frames: int = FRAMES, channels: int = 2) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((frames, channels)) * 0.1).astype(np.float32).astype(np.float64)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Session, dict[str, Path]]]:
    def build(strip: Strip, bass: np.ndarray, whole: np.ndarray, rate: int = RATE) -> tuple[Session, dict[str, Path]]:
        paths = {"bass": tmp_path / "bass.wav", "drums": tmp_path / "drums.wav"}
        soundfile.write(tmp_path / "song.wav", whole, rate, subtype="DOUBLE")
        soundfile.write(paths["bass"], bass, rate, subtype="DOUBLE")
        soundfile.write(paths["drums"], whole - bass, rate, subtype="DOUBLE")
        frames, channels = whole.shape
        source = Source(str(tmp_path / "song.wav"), "ab", rate, channels, frames, "WAV", "DOUBLE")
        return Session(source=source, separation=Separation(stems=("bass", "drums")), strips={"bass": strip}), paths

    return build


def heard(document: Session, stems: dict[str, Path], frames: int = 65_536, **how: object) -> np.ndarray:
    with Graph(document, stems, **how) as graph:  # type: ignore[arg-type]
        return np.concatenate(list(graph.blocks(frames)), axis=1).T


def change(document: Session, stems: dict[str, Path]) -> np.ndarray:
    return heard(document, stems) - soundfile.read(document.source.path, always_2d=True)[0]


def test_at_1_it_is_not_there_at_all(make) -> None:
    bass, whole = noise(1), noise(1) + noise(2)
    plain, stems = make(Strip(gain_db=-6.0), bass, whole)
    full, _ = make(Strip(gain_db=-6.0, budget=1.0), bass, whole)
    assert np.array_equal(heard(full, stems), heard(plain, stems))
    assert audible_key(full) == audible_key(plain)
    assert Strip(budget=0.3).neutral


def test_where_the_stem_is_alone_all_of_the_change_is_made(make) -> None:
    bass = noise(1)
    document, stems = make(Strip(gain_db=-6.0, budget=0.0), bass, bass)
    assert change(document, stems) == pytest.approx(bass * (10 ** (-6 / 20) - 1), abs=1e-12)


@pytest.mark.parametrize("budget", [0.0, 0.25, 0.8])
def test_beside_a_rest_as_loud_as_the_stem_half_of_it_is_certain_and_in_time(make, budget: float) -> None:
    bass = noise(1)
    document, stems = make(Strip(gain_db=-6.0, budget=budget), bass, 2.0 * bass)
    expected = bass * (10 ** (-6 / 20) - 1) * (budget + (1 - budget) * 0.5)
    assert change(document, stems) == pytest.approx(expected, abs=1e-10)


def test_where_the_rest_is_far_louder_only_the_budget_is_left(make) -> None:
    bass = noise(1)
    document, stems = make(Strip(gain_db=-6.0, budget=0.4), bass, bass + 300.0 * bass)
    assert change(document, stems) == pytest.approx(0.4 * bass * (10 ** (-6 / 20) - 1), abs=1e-5)


def test_bands_are_weighed_by_themselves(make) -> None:
    """A stem that has the lows for itself, and highs that are hidden under something else."""
    time = np.arange(FRAMES)[:, None] / RATE * np.ones(2)
    low, high = 0.1 * np.sin(2 * np.pi * 100 * time), 0.1 * np.sin(2 * np.pi * 5000 * time)
    document, stems = make(Strip(gain_db=-6.0, budget=0.0), low + 0.01 * high, low + high)
    half_second = np.abs(np.fft.rfft(change(document, stems)[8000 : 8000 + RATE // 2, 0])) / (RATE / 4)
    cut = 1 - 10 ** (-6 / 20)
    assert half_second[50] == pytest.approx(0.1 * cut, rel=1e-3)
    assert half_second[2500] == pytest.approx(0.001 * cut * 0.01**2 / (0.01**2 + 0.99**2), rel=0.01)


STRIPS = {
    "replace": Strip(budget=0.3, chain=(Bell(freq_hz=300.0, gain_db=-9.0),)),
    "parallel with latency": Strip(budget=0.0, mode="parallel", blend=0.5, chain=(Delay(frames=-700.25),)),
    "cancel": Strip(budget=0.5, mode="cancel"),
    "side-chain": Strip(budget=0.2, chain=(DynamicBell(freq_hz=200.0, range_db=-6.0, sidechain="drums"),)),
}


@pytest.mark.parametrize("strip", STRIPS.values(), ids=STRIPS)
def test_it_is_linear_in_the_budget_and_blocks_do_not_matter(make, strip: Strip) -> None:
    bass, whole = noise(1), noise(1) + 0.5 * noise(2)
    document, stems = make(strip, bass, whole)

    def at(budget: float) -> np.ndarray:
        values = {name: getattr(strip, name) for name in strip.__struct_fields__}
        return change(make(Strip(**{**values, "budget": budget}), bass, whole)[0], stems)

    mixed = strip.budget * at(1.0) + (1.0 - strip.budget) * at(0.0)
    assert change(document, stems) == pytest.approx(mixed, abs=1e-12)
    once = heard(document, stems, FRAMES)
    for frames in (64, 4096):
        assert np.abs(heard(document, stems, frames) - once).max() <= EXACT
    with Graph(document, stems) as graph:
        single = np.concatenate([graph.read(1) for _ in range(300)], axis=1).T
    assert np.abs(single - once[:300]).max() <= EXACT


@pytest.mark.parametrize("strip", STRIPS.values(), ids=STRIPS)
def test_a_start_anywhere_and_a_kept_state_go_on_as_the_whole(make, strip: Strip) -> None:
    bass, whole = noise(1), noise(1) + 0.5 * noise(2)
    document, stems = make(strip, bass, whole)
    once = heard(document, stems)
    with Graph(document, stems) as graph:
        for frame in (1, 20_000, 33_333, FRAMES - 1):
            graph.seek(frame)
            found = graph.read(min(3000, FRAMES - frame)).T
            assert np.abs(found - once[frame : frame + 3000]).max() < 10 ** (-120 / 20)
        graph.seek(0)
        graph.read(12_345)
        state = graph.state()
        first = graph.read(5000)
        graph.resume(state)
        assert np.array_equal(graph.read(5000), first)
    with Graph(document, stems) as other:
        other.resume(state)
        assert np.array_equal(other.read(5000), first)


def test_a_strip_alone_is_its_stem_and_the_weighed_change(make) -> None:
    bass, whole = noise(1), noise(1) + 0.5 * noise(2)
    for strip in (Strip(budget=0.3, gain_db=-9.0), Strip(budget=0.5, mode="cancel")):
        document, stems = make(strip, bass, whole)
        alone = heard(document, stems, alone=["bass"])
        assert alone == pytest.approx(bass + change(document, stems), abs=1e-12)


@pytest.mark.parametrize(
    ("rate", "channels", "frames"), [(8000, 1, 5000), (384_000, 1, 50_000), (44_100, 3, 9000), (48_000, 6, 9000)]
)
def test_any_rate_and_channels(make, rate: int, channels: int, frames: int) -> None:
    bass = noise(1, frames, channels)
    document, stems = make(Strip(gain_db=6.0, budget=0.5), bass, 2.0 * bass, rate)
    assert change(document, stems) == pytest.approx(bass * (10 ** (6 / 20) - 1) * 0.75, abs=1e-10)


def test_one_sample_silence_and_a_constant(make) -> None:
    for sound in (np.full((1, 2), 0.25), np.zeros((9000, 2)), np.full((9000, 2), 0.25)):
        document, stems = make(Strip(gain_db=-6.0, budget=0.0), sound, sound)
        assert change(document, stems) == pytest.approx(sound * (10 ** (-6 / 20) - 1), abs=1e-12)


def test_its_latency_and_memory_are_what_it_says() -> None:
    """An impulse comes out where the latency says, and nothing of what lies before the memory is left."""
    sound = np.zeros((1, 30_000))
    sound[0, 7777] = 1.0
    stage = Budget(0.5, RATE, ("M",))
    found = stage.process(np.concatenate([sound, sound, sound]))
    assert np.argmax(np.abs(found)) == 7777 + stage.latency
    assert found[0, 7777 + stage.latency] == pytest.approx(1.0)
    assert stage.latency == 4096 + 2048
    other = np.random.default_rng(1).standard_normal((3, 60_000))
    whole = Budget(0.0, RATE, ("M",)).process(other)
    start = 21_001
    late = Budget(0.0, RATE, ("M",))
    late.start(start)
    assert np.abs(late.process(other[:, start:]) - whole[:, start:])[:, late.memory :].max() < 1e-12


def test_the_live_proof_holds(make) -> None:
    bass, whole = noise(1), noise(1) + 0.5 * noise(2)
    document, stems = make(Strip(gain_db=-6.0, budget=0.2), bass, whole)
    assert finish(check_session(document, stems)).passed


def test_it_is_said_shown_and_written_only_where_it_is_used(unbake, song: Path, tmp_path: Path) -> None:
    assert words.of_strip(Strip(gain_db=-6.0, budget=0.35)) == "-6 dB; budget 35%"
    assert words.of_strip(Strip(mode="cancel", budget=0.35)) == "cancelled; budget 35%"
    assert not shows(Strip(), "budget")
    assert shows(Strip(budget=0.5), "budget")
    assert shows(Strip(gain_db=1.0), "budget")
    path = tmp_path / "s.unbake.toml"
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems", "-o", path).code == 0
    assert unbake("session", "set", path, "strips.bass.gain_db=-6").code == 0
    assert "budget" not in path.read_text()
    assert unbake("session", "set", path, "strips.bass.budget=0.25").code == 0
    assert "budget = 0.25" in path.read_text()
    done = unbake("render", path, "-o", tmp_path / "out.wav", "--json")
    assert done.code == 0
    proof = done.json["certificate"]
    assert proof["untouched_residual_dbfs"] <= proof["quantisation_dbfs"]


@pytest.mark.parametrize("value", ["-0.1", "1.01", "nan", "much"])
def test_what_can_not_be_is_refused_by_key(unbake, song: Path, tmp_path: Path, value: str) -> None:
    path = tmp_path / "s.unbake.toml"
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems", "-o", path).code == 0
    found = unbake("session", "set", path, f"strips.bass.budget={value}")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "strips.bass.budget" in found.err
