"""The build-up in the low mids: found where it was put, left alone where it was not, told as an estimate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.diagnosis.balance import CENTRES_HZ, third_octaves
from core.diagnosis.build_up import OCTAVES, build_up
from core.diagnosis.measure import Measured
from core.session.processors import Bell
from core.strips.eq import response
from tests.diagnosis.diagnosis_sounds import RATE, STEMS, bass_line, beats, measured_in, pad, treated, voice


@pytest.fixture(scope="module")
def stems() -> dict[str, np.ndarray]:
    return dict(zip(STEMS, (voice(), beats(), bass_line(), pad()), strict=True))


def found_in(measured: Measured, **options):
    return build_up(measured.common_of("bass", "other"), measured.harmonics, measured.sample_rate, **options)


@pytest.mark.parametrize(("freq_hz", "gain_db", "q"), [(200.0, 11.0, 0.8), (350.0, 10.0, 1.2)])
def test_a_bell_on_the_bass_is_found_and_undone(tmp_path: Path, stems, freq_hz, gain_db, q) -> None:
    fault = Bell(freq_hz=freq_hz, gain_db=gain_db, q=q)
    found = found_in(measured_in(tmp_path, stems | {"bass": treated(stems["bass"], fault)}))
    assert found.cut is not None
    assert not found.both
    assert found.cut.freq_hz == pytest.approx(freq_hz, rel=0.35)
    assert -gain_db - 2.0 < found.cut.gain_db <= -3.0
    assert found.chance > 0.45
    assert found.improvement_db > 1.5
    alone = treated(treated(stems["bass"], fault), found.cut) - stems["bass"]
    before = treated(stems["bass"], fault) - stems["bass"]
    assert np.sum(alone**2) < 0.7 * np.sum(before**2)


def test_a_clean_bass_is_left_alone(tmp_path: Path, stems) -> None:
    found = found_in(measured_in(tmp_path, stems))
    assert found.cut is None
    assert found.excess_db < 4.0


def test_with_the_clean_mix_as_reference_it_is_exact(tmp_path: Path, stems) -> None:
    (tmp_path / "clean").mkdir()
    clean = measured_in(tmp_path / "clean", stems)
    reference_db = 10.0 * np.log10(np.maximum(third_octaves(clean.master.power), 1e-16))
    for both in (False, True):
        fault = Bell(freq_hz=200.0, gain_db=6.5, q=0.95)
        on = ("bass", "other") if both else ("bass",)
        muddy = measured_in(tmp_path, stems | {name: treated(stems[name], fault) for name in on})
        found = found_in(muddy, reference_db=reference_db)
        assert found.cut is not None
        assert found.both == both
        assert found.cut.freq_hz == pytest.approx(200.0, rel=0.13)
        assert found.cut.gain_db == pytest.approx(-6.5, abs=1.6)
        before, after = (
            sum(np.sum((sound - stems[name]) ** 2) for name, sound in zip(on, sounds, strict=True))
            for sounds in (
                [treated(stems[name], fault) for name in on],
                [treated(stems[name], fault, found.cut) for name in on],
            )
        )
        assert 10 * np.log10(before / after) > 8.0
    assert found_in(clean, reference_db=reference_db).cut is None


def test_what_may_not_be_treated_is_not(tmp_path: Path, stems) -> None:
    fault = Bell(freq_hz=220.0, gain_db=12.0, q=0.8)
    muddy = measured_in(tmp_path, stems | {name: treated(stems[name], fault) for name in ("bass", "other")})
    assert not found_in(muddy, treat_both=False).both


def in_parts(*levels_db: np.ndarray) -> np.ndarray:
    """Common powers of three parts with such balances, which have nothing in common."""
    common = np.zeros((3, 3, len(CENTRES_HZ)), complex)
    for place, part_db in enumerate(levels_db):
        common[place, place] = 10.0 ** (part_db / 10.0)
    return common


def bell_db(gain_db: float) -> np.ndarray:
    return 20.0 * np.log10(np.abs(response([Bell(freq_hz=280.0, gain_db=gain_db, q=1.0)], CENTRES_HZ, RATE)))


def test_a_master_that_is_plainly_muddy_is_cut_with_estimated_stems() -> None:
    first_db, second_db, rest_db = -2.7 * OCTAVES**2, -(OCTAVES**2) - 5.0, -OCTAVES - 15.0
    assert build_up(in_parts(first_db, second_db, rest_db), [], RATE, estimated=True).cut is None
    muddy = in_parts(first_db + bell_db(10.0), second_db + bell_db(10.0), rest_db)
    found = build_up(muddy, [], RATE, estimated=True)
    assert found.cut is not None
    assert found.both
    assert found.cut.freq_hz == pytest.approx(280.0, rel=0.2)
    assert -10.0 <= found.cut.gain_db <= -6.0


def test_an_estimated_stem_that_is_odd_in_a_usual_master_is_no_fault() -> None:
    master_db = -1.2 * OCTAVES - 0.5 * OCTAVES**2
    odd_db = -2.7 * OCTAVES**2 - 14.0 + bell_db(12.0)
    rest_db = 10.0 * np.log10(10.0 ** (master_db / 10.0) - 10.0 ** (odd_db / 10.0))
    common = in_parts(odd_db, np.full(len(OCTAVES), -100.0), rest_db)
    of_stems, of_estimates = build_up(common, [], RATE), build_up(common, [], RATE, estimated=True)
    assert of_estimates.cut is None
    assert of_estimates.chance < 0.75 * of_stems.chance, "true stems are believed more"


@pytest.mark.parametrize("rate", [8000, 192_000])
def test_silence_and_other_rates_are_no_trouble(tmp_path: Path, rate: int) -> None:
    silent = {name: np.zeros((1, rate)) for name in STEMS}
    assert found_in(measured_in(tmp_path, silent, rate)).cut is None
    bass = bass_line(rate, 3.0)
    sounds = {name: bass if name == "bass" else 0.1 * pad(rate, 3.0) for name in STEMS}
    assert 0.0 <= found_in(measured_in(tmp_path, sounds, rate)).chance <= 1.0


def test_a_master_of_one_frame_can_be_measured(tmp_path: Path) -> None:
    one = {name: np.full((2, 1), 0.1) for name in STEMS}
    assert np.isfinite(found_in(measured_in(tmp_path, one, RATE)).excess_db)
