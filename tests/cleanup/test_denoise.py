from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.read import open_reader, read_all
from core.cleanup.cleaner import Finding
from core.cleanup.denoise.denoiser import Denoiser
from core.cleanup.denoise.suppress import suppressed
from core.cleanup.steps import cleaner
from core.errors import UnbakeError
from core.events import Progress, finish
from core.session.cleaning import Denoise

RATE = 44_100


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def written(folder: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    path = folder / "sound.wav"
    soundfile.write(path, sound.T, rate, subtype="DOUBLE")
    return path


def cleaned(path: Path, step: Denoise | None = None) -> tuple[Finding, np.ndarray]:
    """What was found in a file, and the file behind the step."""
    with open_reader(path) as reader:
        carried_out = cleaner(reader, step or Denoise())
        found = finish(carried_out.find())
        if not found.found:
            return found, read_all(path)
        return found, np.concatenate(list(carried_out.blocks()), axis=1)


def sdr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    return 10.0 * float(np.log10(np.sum(reference**2) / np.sum((reference - estimate) ** 2)))


def noise_like(sound: np.ndarray, snr_db: float, kind: str = "white", seed: int = 1, rate: int = RATE) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(sound.shape)
    if kind != "white":
        freqs = np.fft.rfftfreq(sound.shape[1], 1 / rate)
        shelf = np.sqrt((1 + (freqs / 2000) ** 2) / (1 + (freqs / 8000) ** 2))
        course = {"pink": np.maximum(freqs, 20.0) ** -0.5, "hiss": shelf, "room": 1 / (1 + (freqs / 300) ** 2)}[kind]
        noise = np.fft.irfft(np.fft.rfft(noise) * course, sound.shape[1])
    return noise * np.sqrt(np.mean(sound**2) / np.mean(noise**2)) * 10.0 ** (-snr_db / 20)


def heard(path: Path, seconds: float = 12.0) -> tuple[np.ndarray, int]:
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        return np.ascontiguousarray(file.read(round(seconds * rate), always_2d=True).T), rate


def beeps(seconds: float = 8.0, rate: int = RATE, channels: int = 2) -> np.ndarray:
    """Notes with pauses between them."""
    time = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 1320 * time)
    gate = np.clip(20 * np.sin(2 * np.pi * time), 0.0, 1.0)
    return 0.2 * tone * gate * np.linspace(1.0, 0.7, channels)[:, None]


REAL = {
    "music": "multitracks/eif-lithium/mixture.flac",
    "dense music": "multitracks/fof-sectoid-feelings/mixture.flac",
    "orchestra": "masters/wesnoth_love_theme.flac",
    "speech": "speech/dfn_clean_freesound_33711.flac",
}


@pytest.mark.parametrize(
    ("name", "kind", "snr_db", "least_db"),
    [
        ("music", "white", 25, 2.5),
        ("music", "hiss", 25, 4.0),
        ("music", "white", 10, 6.0),
        ("dense music", "hiss", 25, 5.0),
        ("dense music", "white", 10, 6.0),
        ("orchestra", "white", 25, 4.0),
        ("orchestra", "pink", 10, 4.0),
        ("speech", "white", 25, 4.0),
        ("speech", "pink", 10, 6.0),
        ("speech", "room", 25, 1.5),
    ],
)
def test_noise_added_to_real_sound_is_turned_down(
    data: Path, tmp_path: Path, name: str, kind: str, snr_db: float, least_db: float
) -> None:
    clean, rate = heard(data / REAL[name])
    noise = noise_like(clean, snr_db, kind, rate=rate)
    found, out = cleaned(written(tmp_path, clean + noise, rate))
    assert found.found
    assert found.confidence > 0.5
    assert sdr_db(clean, out) - snr_db >= least_db
    if kind != "room":  # a quiet floor of other noise may lie under it
        assert found.figures["noise_dbfs"] == pytest.approx(10 * np.log10(np.mean(noise**2)), abs=3.0)


@pytest.mark.parametrize("name", list(REAL))
def test_real_sound_that_is_clean_or_nearly_so_stays_as_it_is(data: Path, tmp_path: Path, name: str) -> None:
    clean, rate = heard(data / REAL[name])
    for noise in (np.zeros_like(clean), noise_like(clean, 60.0)):
        found, out = cleaned(written(tmp_path, clean + noise, rate))
        assert not found.found
        assert found.confidence < 0.5
        assert np.array_equal(out, clean + noise)


def test_a_named_stretch_is_what_the_noise_is(tmp_path: Path) -> None:
    clean = np.concatenate([np.zeros((2, RATE)), beeps()], axis=1)
    noise = 0.01 * np.random.default_rng(3).standard_normal(clean.shape)
    path = written(tmp_path, clean + noise)
    found, out = cleaned(path, Denoise(from_seconds=0.1, to_seconds=0.9))
    assert found.found
    assert found.confidence == 1.0
    assert found.figures["noise_dbfs"] == pytest.approx(-40.0, abs=0.2)
    assert sdr_db(clean, out) > sdr_db(clean, clean + noise) + 8.0


def test_noise_goes_down_by_what_was_asked_and_no_more(tmp_path: Path) -> None:
    clean = np.concatenate([np.zeros((2, 3 * RATE)), beeps(3.0)], axis=1)
    path = written(tmp_path, clean + noise_like(clean, 20.0))
    for reduction_db in (6.0, 20.0):
        _, out = cleaned(path, Denoise(reduction_db=reduction_db))
        inside = slice(RATE // 2, 2 * RATE)
        was, is_now = (np.sqrt(np.mean(sound[:, inside] ** 2)) for sound in (read_all(path), out))
        assert 20 * np.log10(was / is_now) == pytest.approx(reduction_db, abs=0.7)


def test_what_is_left_of_the_noise_is_still_noise(tmp_path: Path) -> None:
    """Single bins that come through would be musical noise: then the kurtosis of the powers is far above noise's."""
    clean = np.concatenate([np.zeros((1, 4 * RATE)), beeps(3.0, channels=1)], axis=1)
    path = written(tmp_path, clean + noise_like(clean, 20.0))
    _, out = cleaned(path)

    def kurtosis(sound: np.ndarray) -> float:
        parts = np.lib.stride_tricks.sliding_window_view(sound[0, RATE // 2 : 3 * RATE], 1024)[::1024]
        power = np.abs(np.fft.rfft(parts * np.hanning(1024))[:, 5:-5]) ** 2
        return float(np.mean(power**4) / np.mean(power**2) ** 2)

    assert np.log(kurtosis(out) / kurtosis(read_all(path))) < 0.3


def test_a_reduction_of_nothing_and_noise_of_nothing_leave_every_sample(tmp_path: Path) -> None:
    sound = beeps() + 0.01 * np.random.default_rng(1).standard_normal((2, 8 * RATE))
    with open_reader(written(tmp_path, sound)) as reader:
        for power, reduction_db in ((1e-4, 0.0), (0.0, 40.0)):
            for middle in (True, False):
                parts = suppressed(reader, np.full((2, 1025), power), middle=middle, reduction_db=reduction_db)
                assert np.array_equal(np.concatenate(list(parts), axis=1), sound)


def test_in_time_to_the_sample(tmp_path: Path) -> None:
    """A click that towers over the noise stays where it was, as it was."""
    sound = 1e-3 * np.random.default_rng(1).standard_normal((1, 6 * RATE))
    sound[0, 123_456] = 1.0
    found, out = cleaned(written(tmp_path, sound), Denoise(from_seconds=0.1, to_seconds=1.0))
    assert found.found
    assert out.shape == sound.shape
    assert np.argmax(np.abs(out)) == 123_456
    assert out[0, 123_456] == pytest.approx(1.0, abs=0.01)


def test_the_image_stays(tmp_path: Path) -> None:
    """What is only left stays left, and noise of one channel only is learnt of that channel."""
    clean = beeps()
    clean[1] = 0.0
    noise = np.random.default_rng(2).standard_normal(clean.shape) * np.array([[0.02], [0.0002]])
    found, out = cleaned(written(tmp_path, clean + noise))
    assert found.found
    assert np.sqrt(np.mean(out[1] ** 2)) < 0.0005
    assert sdr_db(clean, out) > sdr_db(clean, clean + noise) + 8.0


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, beeps() + noise_like(beeps(), 20.0))
    assert np.array_equal(cleaned(path)[1], cleaned(path)[1])


@pytest.mark.parametrize(("kind", "name"), [("hiss", "hiss"), ("white", "broadband noise"), ("room", "room tone")])
def test_the_detail_names_the_noise(tmp_path: Path, kind: str, name: str) -> None:
    found, _ = cleaned(written(tmp_path, beeps() + noise_like(beeps(), 20.0, kind)))
    assert found.detail.startswith(name)
    assert "20 dB under the music" in found.detail


def test_a_file_of_nothing_but_noise_is_turned_down_as_a_whole(tmp_path: Path) -> None:
    sound = 0.1 * np.random.default_rng(7).standard_normal((2, 6 * RATE))
    found, out = cleaned(written(tmp_path, sound))
    assert found.figures["noise_dbfs"] == pytest.approx(-20.0, abs=0.3)
    assert "hardly anything over it" in found.detail
    assert 10 * np.log10(np.mean(out**2)) == pytest.approx(-40.0, abs=0.5)


@pytest.mark.parametrize("freq_hz", [50.0, 441.3, 5000.0])
def test_what_a_window_leaks_of_a_steady_tone_is_no_noise(tmp_path: Path, freq_hz: float) -> None:
    time = np.arange(8 * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * freq_hz * time)
    for sound in (tone, tone + 0.05):
        found, _ = cleaned(written(tmp_path, np.stack([sound, sound])))
        assert not found.found, found.detail
    found, _ = cleaned(written(tmp_path, tone[None] + 0.01 * np.random.default_rng(3).standard_normal((1, len(tone)))))
    assert found.found


def test_songs_apart_by_digital_silence_are_not_learnt_from_it(tmp_path: Path) -> None:
    noisy = beeps(4.0) + noise_like(beeps(4.0), 20.0)
    gap = np.zeros((2, 3 * RATE))
    found, _ = cleaned(written(tmp_path, np.concatenate([gap, noisy, gap, noisy], axis=1)))
    alone, _ = cleaned(written(tmp_path, np.concatenate([noisy, noisy], axis=1)))
    assert found.figures["noise_dbfs"] == pytest.approx(alone.figures["noise_dbfs"], abs=0.5)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Denoise(from_seconds=1.0, to_seconds=1.01), "from_seconds to to_seconds is 10 ms long, shorter"),
        (Denoise(from_seconds=1.0, to_seconds=9.0), "behind the end of the file at 8 s"),
        (Denoise(from_seconds=70.0, to_seconds=90.0), "behind the end of the file"),
        (Denoise(from_seconds=0.1, to_seconds=0.9), "is digital silence"),
    ],
)
def test_a_stretch_that_tells_nothing_is_refused(tmp_path: Path, step: Denoise, words: str) -> None:
    sound = beeps(8.0)
    sound[:, :RATE] = 0.0
    with pytest.raises(UnbakeError, match=words) as refused:
        cleaned(written(tmp_path, sound), step)
    assert "\n" not in str(refused.value)


def bad_inputs() -> dict[str, tuple[np.ndarray, int]]:
    rng = np.random.default_rng(5)
    time = np.arange(3 * RATE) / RATE
    square = np.where(np.sin(2 * np.pi * 100 * time) >= 0, 1.0, -1.0)
    return {
        "one sample": (np.full((2, 1), 0.5), RATE),
        "100 samples": (rng.standard_normal((1, 100)), RATE),
        "one window": (rng.standard_normal((1, 2048)), RATE),
        "silence": (np.zeros((2, 3 * RATE)), RATE),
        "dc": (np.full((2, 3 * RATE), 0.5), RATE),
        "square": (np.stack([square, square]), RATE),
        "beyond full scale": (8.0 * np.stack([square, -square]) + rng.standard_normal((2, 3 * RATE)), RATE),
        "clipped": (np.clip(5.0 * rng.standard_normal((2, 3 * RATE)), -1.0, 1.0), RATE),
        "a pad": (np.sin(2 * np.pi * np.array([[220.0], [277.2], [329.6]]) * time).sum(axis=0)[None], RATE),
        "8 kHz": (beeps(3.0, 8000, 1) + 0.01 * rng.standard_normal((1, 24_000)), 8000),
        "six channels": (beeps(3.0, RATE, 6) + 0.01 * rng.standard_normal((6, 3 * RATE)), RATE),
        "192 kHz": (beeps(3.0, 192_000, 1) + 0.01 * rng.standard_normal((1, 576_000)), 192_000),
    }


@pytest.mark.parametrize("name", list(bad_inputs()))
def test_odd_sounds_go_through(tmp_path: Path, name: str) -> None:
    sound, rate = bad_inputs()[name]
    path = written(tmp_path, sound, rate)
    found, out = cleaned(path)
    assert out.shape == sound.shape
    assert np.isfinite(out).all()
    assert np.isfinite([found.confidence, *found.figures.values()]).all()
    if name in ("one sample", "100 samples", "one window", "silence", "dc", "square", "a pad"):
        assert not found.found
    if name in ("8 kHz", "six channels", "192 kHz"):
        assert found.found
    if sound.shape[1] > 0.3 * rate and np.any(sound):
        _, named = cleaned(path, Denoise(from_seconds=0.05, to_seconds=0.25))
        assert named.shape == sound.shape
        assert np.isfinite(named).all()


def test_it_says_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    path = written(tmp_path, beeps(20.0) + noise_like(beeps(20.0), 20.0))
    with open_reader(path) as reader:
        carried_out = Denoiser(reader, Denoise())
        events = list(carried_out.find())
        assert all(isinstance(event, Progress) for event in events)
        assert len(events) >= 10
        longest = max(block.shape[1] for block in carried_out.blocks())
        assert longest <= 5 * RATE
