"""Each figure: found where it was put, with its place and its remedy; not where it was not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.diagnosis.figures import BY_FIT, Context, Figure, all_figures
from core.diagnosis.fitting import fit
from core.session import presets
from core.session.document import Separation, Session, Source, Strip
from core.session.fits import FITS
from core.session.processors import Bell, Gain, HighShelf
from tests.diagnosis.diagnosis_sounds import (
    RATE,
    STEMS,
    bass_line,
    beats,
    measured_in,
    pad,
    stereo,
    time_s,
    treated,
    voice,
)

CLEAN = dict(zip(STEMS, (voice(), beats(), bass_line(), pad()), strict=True))


def figures_of(folder: Path, **other: np.ndarray) -> dict[str, Figure]:
    """The figures of the clean song with some stems in place of its own, by kind."""
    figures = all_figures(Context(measured_in(folder, CLEAN | other)))
    return {figure.kind: figure for figure in figures if figure.strip != "other"}


def rumbling() -> np.ndarray:
    return CLEAN["other"] + stereo(0.2 * np.sin(2 * np.pi * 12.0 * time_s()))


def opposed() -> np.ndarray:
    sound = CLEAN["bass"].copy()
    sound[1] *= -1.0
    return sound


def wide() -> np.ndarray:
    sound = 10.0 * CLEAN["other"]
    sound[1] = -0.9 * sound[0]
    return sound


def booming() -> np.ndarray:
    return CLEAN["bass"] + stereo(0.4 * np.sin(2 * np.pi * 70.0 * time_s()))


def humming() -> np.ndarray:
    return stereo(np.sum([0.003 * np.sin(2 * np.pi * 50.0 * n * time_s()) for n in (1, 2, 3, 4, 5)], axis=0))


def with_pauses(sound: np.ndarray, noise: float) -> np.ndarray:
    paused = sound * (time_s() % 6.0 < 3.0)
    return paused + noise * np.random.default_rng(9).standard_normal(sound.shape)


FAULTS: dict[str, dict[str, np.ndarray]] = {
    "rumble": {"other": rumbling()},
    "bass_boom": {"bass": booming()},
    "kick_masking": {"bass": 6.0 * CLEAN["bass"], "drums": beats(low_level=0.1)},
    "low_end_width": {"bass": 2.0 * opposed(), "drums": 0.1 * CLEAN["drums"]},
    "mono_loss": {"other": wide()},
    "vocal_deficit": {"vocals": voice(level=0.02)},
    "vocal_surplus": {"vocals": voice(level=1.0)},
    "harshness": {"vocals": treated(voice(), Bell(freq_hz=3000.0, gain_db=18.0, q=4.0))},
    "sibilance": {"vocals": voice(hiss=6.0)},
    "dullness": {"drums": beats(decay_ms=400.0, low_level=0.05)},
    "spikiness": {"drums": beats(decay_ms=3.0, low_level=0.0, body=1.0)},
    "brightness": {"drums": treated(CLEAN["drums"], Bell(freq_hz=11_000.0, gain_db=20.0, q=0.7))},
    "low_mid_excess": {"bass": treated(CLEAN["bass"], Bell(freq_hz=300.0, gain_db=12.0, q=1.0))},
    "hum": {name: np.zeros_like(CLEAN["vocals"]) for name in STEMS} | {"other": humming()},
    "noise": {name: np.zeros_like(CLEAN["vocals"]) for name in STEMS} | {"other": with_pauses(CLEAN["other"], 0.002)},
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    return figures_of(tmp_path_factory.mktemp("clean"))


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_where_it_was_put(tmp_path: Path, kind: str, clean: dict[str, Figure]) -> None:
    figure = figures_of(tmp_path, **FAULTS[kind])[kind]
    assert figure.excess > 0.0, figure
    assert figure.detail
    if kind in clean:
        assert clean[kind].excess == 0.0, clean[kind]
    if kind in FITS:
        assert figure.values is not None
        assert set(FITS[kind].fields) == set(figure.values(figure.excess))


def test_every_measurement_of_presets_has_a_function_and_a_test() -> None:
    assert set(FITS) == set(BY_FIT)
    assert set(FITS) <= set(FAULTS)


def test_what_is_found_is_where_it_was_put(tmp_path: Path) -> None:
    boom = figures_of(tmp_path, bass=booming())["bass_boom"]
    assert boom.values is not None
    assert boom.values(3.0) == {"gain_db": -3.0, "freq_hz": pytest.approx(70.0, rel=0.07)}
    late = voice()
    late[:, : 8 * RATE] *= 0.05
    loud = figures_of(tmp_path, vocals=10.0 * late)["vocal_surplus"]
    assert loud.stretch is not None
    assert loud.stretch[0] > 6.0
    late_wide = wide()
    late_wide[:, : 8 * RATE] = CLEAN["other"][:, : 8 * RATE]
    lost = figures_of(tmp_path, other=late_wide)["mono_loss"]
    assert lost.stretch is not None
    assert lost.stretch[0] > 6.0
    paused = with_pauses(CLEAN["other"], 0.0)
    paused[:, : 9 * RATE] = CLEAN["other"][:, : 9 * RATE]
    paused += 0.002 * np.random.default_rng(9).standard_normal(paused.shape)
    silent = {name: np.zeros_like(CLEAN["vocals"]) for name in STEMS}
    noisy = figures_of(tmp_path, **silent | {"other": paused})["noise"]
    assert noisy.stretch is not None
    assert noisy.stretch[0] > 6.5
    kick = figures_of(tmp_path, **FAULTS["kick_masking"])["kick_masking"]
    assert kick.values is not None
    assert kick.values(2.0)["freq_hz"] == pytest.approx(60.0, rel=0.15)


def test_the_voice_is_measured_in_loudness_units(tmp_path: Path) -> None:
    levels = [figures_of(tmp_path, vocals=factor * voice())["vocal_deficit"].value for factor in (1.0, 0.5)]
    assert levels[0] - levels[1] == pytest.approx(6.02, abs=0.05)


def test_what_a_network_leaves_in_an_instrumental_is_no_voice(tmp_path: Path) -> None:
    kinds = set(figures_of(tmp_path, vocals=0.03 * voice(hiss=6.0)))
    assert not kinds & {"vocal_deficit", "vocal_surplus", "harshness", "sibilance"}


@pytest.mark.parametrize(
    ("channels", "rate", "frames"), [(1, 44_100, 88_200), (2, 8000, 16_000), (6, 48_000, 96_000), (2, 384_000, 400_000)]
)
def test_any_format_can_be_measured(tmp_path: Path, channels: int, rate: int, frames: int) -> None:
    rng = np.random.default_rng(8)
    stems = {name: 0.1 * rng.standard_normal((channels, frames)) for name in STEMS}
    for figure in all_figures(Context(measured_in(tmp_path, stems, rate))):
        assert np.isfinite([figure.value, figure.excess]).all(), figure


@pytest.mark.parametrize("frames", [1, 100, 44_100])
@pytest.mark.parametrize("level", [0.0, 1e-9, 0.5])
def test_silence_dc_and_next_to_nothing_are_no_trouble(tmp_path: Path, frames: int, level: float) -> None:
    stems = {name: np.full((2, frames), level) for name in STEMS}
    for figure in all_figures(Context(measured_in(tmp_path, stems))):
        assert np.isfinite([figure.value, figure.excess]).all(), figure


def test_other_stems_than_the_usual_four_are_measured_as_far_as_they_go(tmp_path: Path) -> None:
    kinds = {figure.kind for figure in all_figures(Context(measured_in(tmp_path, {"accompaniment": pad()})))}
    assert {"rumble", "mono_loss", "low_end_width", "hum"} <= kinds
    assert not kinds & {"vocal_deficit", "bass_boom", "low_mid_excess", "dullness"}


SOURCE = Source("/song.wav", "ab", RATE, 2, 10, "WAV", "FLOAT")
BASS_AND_OTHER = """\
name = "mine"
about = "For testing."

[strips.vocals]
gain_db = { fit = "vocal_surplus", min = 0.5, max = 4 }
pan = 0.25

[[strips.bass.chain]]
type = "bell"
freq_hz = { fit = "bass_boom" }
gain_db = { fit = "bass_boom", max = 3 }

[[strips.other.chain]]
type = "mono_below"
freq_hz = { fit = "low_end_width" }

[[strips.drums.chain]]
type = "transient_shaper"
attack_db = { fit = "dullness" }

[[strips.drums.chain]]
type = "high_shelf"
freq_hz = 9000.0
gain_db = -1.0
"""


def test_what_nothing_is_to_be_done_with_is_left_out_and_left_alone(tmp_path: Path) -> None:
    before = Session(SOURCE, separation=Separation(stems=STEMS), strips={"other": Strip(chain=(Gain(gain_db=-2.0),))})
    preset = presets.parse(BASS_AND_OTHER, "mine.toml", "test")
    found = fit(preset, before, Context(measured_in(tmp_path, CLEAN | {"bass": booming()})))
    after = found.preset.over(before)
    [bell] = after.strips["bass"].chain
    assert isinstance(bell, Bell)
    assert bell.gain_db == -3.0, "max"
    assert bell.freq_hz == pytest.approx(70.0, rel=0.07)
    assert after.strips["other"] == before.strips["other"]
    assert after.strips["vocals"] == Strip(pan=0.25)
    assert after.strips["drums"].chain == (HighShelf(freq_hz=9000.0, gain_db=-1.0),)
    told = {value.path: value for value in found.values}
    assert told["strips.bass.chain[0].gain_db"].value == -3.0
    assert "3 at the most" in told["strips.bass.chain[0].gain_db"].why
    assert told["strips.vocals.gain_db"].value is None
    assert told["strips.vocals.gain_db"].why.endswith("nothing is done")
