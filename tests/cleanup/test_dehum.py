"""Hum: found to a hundredth of a hertz, taken out to -40 dB as it drifts; notes stay, and so does all else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from core.audio.read import open_reader
from core.cleanup.cleaner import Finding
from core.cleanup.dehum import Dehummer
from core.cleanup.dehum.tracking import course
from core.cleanup.proposal import PROPOSED_FROM
from core.errors import UnbakeError
from core.events import finish
from core.session.cleaning import Dehum

RATE = 9_000
pytestmark = pytest.mark.filterwarnings("error")


def carried_out(
    folder: Path, sound: np.ndarray, step: Dehum | None = None, rate: int = RATE, then: np.ndarray | None = None
) -> tuple[Finding, np.ndarray]:
    """What is found in [frames] or [frames, channels], and what comes out; `then` goes through what was decided."""
    soundfile.write(folder / "sound.wav", sound, rate, subtype="DOUBLE")
    soundfile.write(folder / "then.wav", sound if then is None else then, rate, subtype="DOUBLE")
    with open_reader(folder / "sound.wav") as reader, open_reader(folder / "then.wav") as other:
        worker = Dehummer(reader, step or Dehum())
        found = finish(worker.find())
        if not found.found:
            return found, sound.reshape(len(sound), -1)
        worker.reader = other
        return found, np.concatenate(list(worker.blocks()), axis=1).T


def mains(seconds: float, freq_hz: float = 50.03, rms: float = 0.01, rate: int = RATE, drift_hz: float = 0.02):
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(freq_hz + drift_hz * np.sin(2 * np.pi * time / 40)) / rate
    count = int(min(4000, 0.45 * rate) / freq_hz)
    hum = sum(np.cos(n * phase + n * n) / n for n in range(1, count + 1))
    return np.asarray(hum) * rms / np.sqrt(np.square(hum).mean())


def music(seconds: float, rate: int = RATE, seed: int = 1) -> np.ndarray:
    """Notes of a tune over noise that comes and goes, with rests: [frames]."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.002 * rng.standard_normal(len(time))
    for start in np.arange(0.5, seconds - 1, 0.4):
        if start % 5 < 1:
            continue
        hertz = 98.0 * 2 ** (int(rng.integers(0, 30)) / 12)
        age = time[: round(0.7 * rate)]
        note = sum(np.sin(2 * np.pi * hertz * n * age) / n for n in range(1, 6)) * np.exp(-5 * age)
        first = round(start * rate)
        part = sound[first : first + len(age)]
        part += 0.08 * note[: len(part)]
    return sound


def gone_db(hum: np.ndarray, left: np.ndarray) -> float:
    return float(10 * np.log10(np.square(hum).sum() / np.square(left).sum()))


def left_of(hum: np.ndarray, sound: np.ndarray, folder: Path, step: Dehum | None = None) -> np.ndarray:
    """What is left of hum in sound: half of what the same sound with it and with its opposite differ by afterwards."""
    one, other = (carried_out(folder, sound + sign * hum, step) for sign in (1.0, -1.0))
    assert one[0].found
    assert other[0].found
    return 0.5 * (one[1] - other[1])[:, 0]


@pytest.mark.parametrize("method", ["subtract", "notch"])
@pytest.mark.parametrize(("freq_hz", "rms"), [(50.03, 0.01), (59.97, 0.1)])
def test_drifting_hum_goes_by_40_db_to_its_ends(
    tmp_path: Path, freq_hz: float, rms: float, method: Literal["subtract", "notch"]
) -> None:
    hum, step = mains(45.0, freq_hz, rms), Dehum(method=method)
    found, _ = carried_out(tmp_path, music(45.0) + hum, step)
    assert found.confidence > 0.8
    assert abs(found.figures["freq_hz"] - freq_hz) < 0.02
    assert 0.01 < found.figures["drift_hz"] < 0.03
    assert abs(found.figures["level_dbfs"] - 20 * np.log10(rms)) < 1.0
    left = left_of(hum, music(45.0), tmp_path, step)
    assert gone_db(hum, left) > 40.0
    assert gone_db(hum[: RATE // 2], left[: RATE // 2]) > 20.0
    assert gone_db(hum[-RATE // 2 :], left[-RATE // 2 :]) > 20.0


@pytest.mark.parametrize("method", ["subtract", "notch"])
def test_hum_that_swells_goes_as_well(tmp_path: Path, method: Literal["subtract", "notch"]) -> None:
    hum = mains(45.0, rms=0.02) * (1.0 + 0.23 * np.sin(2 * np.pi * 0.2 * np.arange(45 * RATE) / RATE))
    step = Dehum(method=method)
    assert gone_db(hum, left_of(hum, music(45.0), tmp_path, step)) > 35.0


def test_music_beside_the_lines_is_left(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noise = 0.02 * rng.standard_normal(40 * RATE)
    hum = mains(40.0, 50.0, 0.05, drift_hz=0.0)
    _, left = carried_out(tmp_path, noise + hum, then=noise)
    spectra = [np.square(np.abs(np.fft.rfft(one * np.hanning(len(one))))) for one in (noise, left[:, 0])]
    freqs = np.fft.rfftfreq(len(noise), 1 / RATE)
    off = np.abs(freqs - np.rint(freqs / 50.0) * 50.0)
    for low in np.arange(3.0, 25.0, 1.0):
        near = (off >= low) & (off < low + 1.0) & (freqs > 30) & (freqs < 4000)
        assert abs(10 * np.log10(spectra[1][near].sum() / spectra[0][near].sum())) < 0.1
    above = freqs > 4020
    assert np.abs(spectra[1] - spectra[0])[above].sum() < 1e-6 * spectra[0][above].sum()


def test_subtracting_spares_more_music_than_notches(tmp_path: Path) -> None:
    clean, hum = music(25.0), mains(25.0)
    left = {}
    for method in ("notch", "subtract"):
        _, done = carried_out(tmp_path, clean + hum, Dehum(method=method))
        left[method] = gone_db(hum, done[:, 0] - clean)
    assert left["subtract"] > left["notch"] + 3.0


def test_up_to_leaves_higher_harmonics(tmp_path: Path) -> None:
    hum = mains(30.0, drift_hz=0.0)
    found, left = carried_out(tmp_path, music(30.0) + hum, Dehum(up_to_hz=500.0), then=hum)
    assert found.figures["harmonics"] <= 9
    spectrum, before = (np.abs(np.fft.rfft(one)) for one in (left[:, 0], hum))
    freqs = np.fft.rfftfreq(len(hum), 1 / RATE)
    assert np.square(spectrum[freqs < 480]).sum() < 1e-3 * np.square(before[freqs < 480]).sum()
    assert np.square((spectrum - before)[freqs > 490]).sum() < 1e-3 * np.square(before[freqs > 490]).sum()


def test_each_channel_on_its_own(tmp_path: Path) -> None:
    clean = np.stack([music(30.0, seed=n) for n in range(6)], axis=1)
    sound = clean.copy()
    sound[:, 4] += mains(30.0, rms=0.02)
    found, done = carried_out(tmp_path, sound)
    assert found.found
    others = [0, 1, 2, 3, 5]
    assert np.square(done[:, others] - clean[:, others]).sum() < 1e-4 * np.square(clean[:, others]).sum()
    assert gone_db(sound[:, 4] - clean[:, 4], done[:, 4] - clean[:, 4]) > 3.0


@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
def test_any_rate(tmp_path: Path, rate: int) -> None:
    hum = mains(8.0, 60.02, rate=rate, drift_hz=0.0)
    found, left = carried_out(tmp_path, music(8.0, rate) + hum, rate=rate, then=hum)
    assert abs(found.figures["freq_hz"] - 60.02) < 0.02
    assert gone_db(hum, left[:, 0]) > 20.0


def test_no_hum_is_put_where_it_pauses(tmp_path: Path) -> None:
    clean, hum = music(60.0), mains(60.0, rms=0.02)
    hum[25 * RATE : 38 * RATE] = 0.0
    sound = clean + hum
    found, done = carried_out(tmp_path, sound)
    assert 0.7 < found.figures["present_share"] < 0.85
    assert len(found.places) == 2
    assert np.array_equal(done[27 * RATE : 36 * RATE, 0], sound[27 * RATE : 36 * RATE])
    assert np.square(done[25 * RATE : 38 * RATE, 0] - sound[25 * RATE : 38 * RATE]).mean() < 2e-5


def held(seconds: float, freq_hz: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    note = sum(np.sin(2 * np.pi * freq_hz * n * time) / n for n in range(1, 7))
    return 0.1 * np.asarray(note) * np.minimum(1, np.minimum(time, time[::-1]) / 0.05)


@pytest.mark.parametrize("freq_hz", [49.0, 50.0, 55.0, 60.0])
@pytest.mark.parametrize("seconds", [4.0, 15.0])
def test_a_note_stays_unless_its_frequency_is_given(tmp_path: Path, freq_hz: float, seconds: float) -> None:
    sound = music(30.0)
    note = held(seconds, freq_hz)
    sound[7 * RATE : 7 * RATE + len(note)] += note
    found, done = carried_out(tmp_path, sound)
    assert not found.found
    assert np.array_equal(done[:, 0], sound)
    if freq_hz == 50.0:
        assert "give its frequency" in found.detail


@pytest.mark.parametrize("freq_hz", [50.0, 60.0])
def test_a_pedal_that_ends_before_the_music_does_stays(tmp_path: Path, freq_hz: float) -> None:
    sound = music(30.0)
    note = held(27.0, freq_hz)
    sound[: len(note)] += note
    found, done = carried_out(tmp_path, sound)
    assert not found.found
    assert "ends at" in found.detail
    assert "give its frequency" in found.detail
    assert np.array_equal(done[:, 0], sound)


@pytest.mark.parametrize("freq_hz", [50.0, 60.0])
def test_a_string_struck_again_and_again_stays(tmp_path: Path, freq_hz: float) -> None:
    sound = music(30.0)
    age = np.arange(round(0.5 * RATE)) / RATE
    note = 0.1 * np.asarray(sum(np.sin(2 * np.pi * freq_hz * n * age) / n for n in range(1, 7))) * np.exp(-3.0 * age)
    sound += np.tile(note, 60)
    found, _ = carried_out(tmp_path, sound)
    assert not found.found
    assert "struck" in found.detail


def test_a_pedal_off_the_mains_is_told_and_not_proposed(tmp_path: Path) -> None:
    found, _ = carried_out(tmp_path, music(30.0) + held(30.0, 61.74))
    assert found.found
    assert found.confidence < PROPOSED_FROM
    assert "off 50 and 60 Hz" in found.detail


def test_hum_that_fades_with_the_file_is_hum(tmp_path: Path) -> None:
    fade = np.minimum(1.0, np.arange(60 * RATE)[::-1] / (8.0 * RATE)) ** 3
    found, _ = carried_out(tmp_path, (music(60.0) + mains(60.0)) * fade)
    assert found.found


def test_what_is_asked_for_goes(tmp_path: Path) -> None:
    sound, note = music(40.0), held(12.0, 50.0)
    whole = np.zeros(len(sound))
    whole[8 * RATE : 20 * RATE] = note
    found, left = carried_out(tmp_path, sound + whole, Dehum(freq_hz=50.0), then=whole)
    assert found.found
    assert gone_db(whole, left[:, 0]) > 15.0
    assert not carried_out(tmp_path, np.zeros(10 * RATE), Dehum(freq_hz=50.0))[0].found


def test_a_frequency_that_cannot_be_notched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnbakeError, match="no hum can be taken out at 5 Hz"):
        carried_out(tmp_path, music(5.0), Dehum(freq_hz=5.0))


ODD = {
    "one sample": np.full(1, 0.5),
    "short": np.linspace(-1, 1, 40),
    "silence": np.zeros(40_000),
    "dc": np.full(40_000, 0.7),
    "square": np.where(np.arange(80_000) % 100 < 50, 1.0, -1.0),
    "clipped": np.clip(30 * music(5.0), -1, 1),
    "beyond full scale": 40 * music(5.0),
    "six channels": np.stack([music(4.0)] * 6, axis=1),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("step", [Dehum(), Dehum(freq_hz=50.0, method="subtract"), Dehum(freq_hz=900.0)])
def test_odd_input_goes_through(tmp_path: Path, name: str, step: Dehum) -> None:
    sound = ODD[name]
    _, done = carried_out(tmp_path, sound, step, 8000)
    assert done.shape == sound.reshape(len(sound), -1).shape
    assert np.isfinite(done).all()


@pytest.mark.parametrize("name", ["eif-sodium", "trackswitch", "fof-sectoid-metal_madness"])
def test_clean_music_has_no_hum(data: Path, name: str) -> None:
    with open_reader(data / "multitracks" / name / "mixture.flac") as reader:
        assert not finish(Dehummer(reader, Dehum()).find()).found


def test_real_speech_with_hum(tmp_path: Path, data: Path) -> None:
    clean, rate = soundfile.read(data / "speech" / "198-209-0000.hq.ogg")
    hum = mains(len(clean) / rate, 50.0, 10 ** (-35 / 20), rate, drift_hz=0.01)[: len(clean)]
    found, left = carried_out(tmp_path, clean + hum, rate=rate, then=hum)
    assert abs(found.figures["freq_hz"] - 50.0) < 0.02
    assert gone_db(hum, left[:, 0]) > 25.0


def test_a_pause_late_in_a_file_is_where_it_is(tmp_path: Path) -> None:
    hum = mains(130.0, rms=0.02)
    hum[105 * RATE : 115 * RATE] = 0.0
    sound = 0.002 * np.random.default_rng(2).standard_normal(len(hum)) + hum
    found, done = carried_out(tmp_path, sound)
    assert [round(place.first / RATE) for place in found.places] == [0, 115]
    assert round(found.places[0].last / RATE) == 105
    assert np.array_equal(done[106 * RATE : 114 * RATE, 0], sound[106 * RATE : 114 * RATE])
    assert np.abs(done - sound[:, None]).max() < 1.1 * np.abs(hum).max()


def test_the_course_is_known_for_files_of_any_length() -> None:
    for frames in range(3 * RATE, 7 * RATE, 50):
        seconds = frames / RATE
        found = course(np.full(int(np.ceil(seconds)) + 2, 0.01), np.ones(int(np.ceil(seconds)) + 2), seconds)
        assert np.allclose(found, 0.01, atol=1e-6)
