import math
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from separation_stand_ins import (
    CHUNK,
    NULL_LIMIT,
    Fading,
    Split,
    Wandering,
    db,
    network_of,
    noise,
    null_peak,
    read_wav,
    write_wav,
)

from core.audio.rates import Converter, converted_length
from core.errors import UnbakeError
from core.events import Note, Progress, finish
from core.separation import separate as separation
from core.separation.plan import ChunkPlan
from core.separation.separate import SeparationRequest, separate
from core.separation.store import StemSet, Store
from core.separation.work import State

REQUEST = SeparationRequest(model="fake", device="cpu")


def stems_of(result: StemSet) -> dict[str, np.ndarray]:
    return {name: read_wav(path) for name, path in result.stems.items()}


@pytest.mark.parametrize("frames", [1, 2, CHUNK // 2 - 1, CHUNK // 2, CHUNK, round(3.7 * CHUNK), 200_001])
def test_stems_are_as_long_as_the_source_and_null(tmp_path: Path, store: Store, frames: int):
    source = write_wav(tmp_path / "mix.wav", noise(2, frames))
    result = finish(separate(source, REQUEST, network=network_of(Split([0.75, 0.2])), store=store))
    assert (result.frames, result.channels, result.sample_rate, result.reused) == (frames, 2, 44100, False)
    mix = read_wav(source)
    for (name, stem), share in zip(stems_of(result).items(), (0.75, 0.2), strict=True):
        assert stem.shape == mix.shape, name
        assert np.abs(stem - share * mix).max() < 1e-6
    assert soundfile.info(result.stems["bass"]).subtype == "FLOAT"
    peak = null_peak(source, result)
    assert peak <= NULL_LIMIT
    assert (
        result.stem_sum_residual_dbfs is None if peak == 0 else result.stem_sum_residual_dbfs == pytest.approx(db(peak))
    )


@pytest.mark.parametrize("channels", range(1, 9))
def test_sum_law_for_every_channel_count(tmp_path: Path, store: Store, channels: int):
    source = write_wav(tmp_path / "mix.wav", noise(channels, 10_000))
    module = Wandering([0.9, 0.3])
    result = finish(separate(source, REQUEST, network=network_of(module), store=store))
    assert null_peak(source, result) <= NULL_LIMIT
    stems, residual, mix = stems_of(result), read_wav(result.residual), read_wav(source)
    lfe = 3 if channels >= 6 else None
    for channel in range(channels):
        assert bool(stems["bass"][channel].any()) == (channel != lfe)
    if lfe is not None:
        assert np.array_equal(residual[lfe], mix[lfe])


def test_both_sides_of_a_single_channel_are_averaged(tmp_path: Path, store: Store):
    class Leaning(Split):
        def forward(self, mix):
            assert mix[:, 0].equal(mix[:, 1])
            stems = super().forward(mix)
            stems[:, :, 0] *= 0.5
            return stems

    source = write_wav(tmp_path / "mono.wav", noise(1, 10_000))
    result = finish(separate(source, REQUEST, network=network_of(Leaning([0.8, 0.2])), store=store))
    assert np.abs(stems_of(result)["bass"] - 0.6 * read_wav(source)).max() < 1e-6


@pytest.mark.parametrize("level", [1.0, 30.0, 1e6])
def test_sum_law_holds_far_over_full_scale(tmp_path: Path, store: Store, level: float):
    source = write_wav(tmp_path / "hot.wav", noise(6, 10_000) * level * 10, subtype="DOUBLE")
    result = finish(separate(source, REQUEST, network=network_of(Wandering([0.9, 0.3])), store=store))
    assert null_peak(source, result) <= NULL_LIMIT
    assert result.stem_sum_residual_dbfs is None or result.stem_sum_residual_dbfs <= -140


def position_of_peak(signal: np.ndarray) -> float:
    """Where a band-limited impulse is, in frames, from the phase of its spectrum below a fifth of the rate."""
    at = int(np.argmax(np.abs(signal)))
    spectrum = np.fft.rfft(np.roll(signal, -at))
    bins = np.arange(1, len(spectrum) // 5)
    weight = np.abs(spectrum[bins]) ** 2
    slope = np.sum(weight * bins * np.unwrap(np.angle(spectrum[bins]))) / np.sum(weight * bins * bins)
    return at - slope * len(signal) / (2 * np.pi)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000, 192000])
def test_an_impulse_stays_on_its_frame_at_any_rate(tmp_path: Path, store: Store, rate: int):
    frames = rate // 2 + 3
    mix = np.zeros((2, frames))
    place = frames // 3 + 7
    mix[:, place] = 0.5
    source = write_wav(tmp_path / "click.wav", mix, rate, "FLOAT")
    result = finish(separate(source, REQUEST, network=network_of(Split([1.0, 0.0])), store=store))
    stem = stems_of(result)["bass"]
    assert stem.shape == mix.shape
    assert position_of_peak(stem[0]) == pytest.approx(place, abs=0.01)
    assert null_peak(source, result) <= NULL_LIMIT


def test_what_the_network_cannot_hear_stays_in_the_residual(tmp_path: Path, store: Store):
    rate, time = 96000, np.arange(96000) / 96000
    low, high = 0.2 * np.sin(2 * np.pi * 1000 * time), 0.2 * np.sin(2 * np.pi * 30_000 * time)
    source = write_wav(tmp_path / "wide.wav", np.stack([low + high] * 2), rate, "FLOAT")
    result = finish(separate(source, REQUEST, network=network_of(Split([1.0, 0.0])), store=store))
    middle = slice(20_000, 70_000)
    assert db(np.abs(stems_of(result)["bass"][0] - low)[middle].max() / 0.2) < -100
    assert db(np.abs(read_wav(result.residual)[0] - high)[middle].max() / 0.2) < -100


@pytest.mark.parametrize(("source_rate", "rate"), [(48000, 44100), (44100, 192000), (192000, 44100), (8000, 44100)])
@pytest.mark.parametrize("frames", [1, 2, 999, 70_001])
def test_a_stream_is_converted_as_a_whole_signal_would_be(source_rate: int, rate: int, frames: int):
    soxr = pytest.importorskip("soxr")
    signal = noise(2, frames).T.astype(np.float32)
    length = converted_length(frames, source_rate, rate)
    converter = Converter(source_rate, rate, 2, length)
    pieces = [converter.push(signal[at : at + 8191]) for at in range(0, frames, 8191)]
    streamed = np.concatenate([*pieces, converter.finish()])
    padded = np.concatenate([signal, np.zeros((2 * source_rate, 2), np.float32)])
    assert streamed.shape == (length, 2)
    np.testing.assert_allclose(streamed, soxr.resample(padded, source_rate, rate, "VHQ")[:length], atol=1e-6)


def test_seams_in_the_written_stems(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, round(6.4 * CHUNK)), subtype="FLOAT")
    network = network_of(Fading([1.0, 0.0], CHUNK, CHUNK // 100))
    result = finish(separate(source, REQUEST, network=network, store=store))
    mix, stem = read_wav(source), stems_of(result)["bass"]
    starts = [*range(0, mix.shape[1] - 63, 64), mix.shape[1] - 64]
    ratios = [np.linalg.norm((mix - stem)[:, at : at + 64]) / np.linalg.norm(mix[:, at : at + 64]) for at in starts]
    assert db(float(max(ratios))) <= -70


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_a_sample_that_is_no_number_is_refused_with_its_place(tmp_path: Path, store: Store, value: float, words: str):
    mix = noise(2, 100_000)
    mix[1, 88_200] = value
    source = write_wav(tmp_path / "bad.wav", mix, subtype="DOUBLE")
    with pytest.raises(UnbakeError) as caught:
        finish(separate(source, REQUEST, network=network_of(Split([1.0, 0.0])), store=store))
    assert f"sample is {words} at 0:02.000 (frame 88200), channel 2" in caught.value.line()
    assert store.listing() == []


def test_a_sample_beyond_32_bit_floats_is_refused(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "huge.wav", np.full((2, 100), 1e300), subtype="DOUBLE")
    with pytest.raises(UnbakeError, match="beyond what 32-bit floats"):
        finish(separate(source, REQUEST, network=network_of(Split([1.0, 0.0])), store=store))


def test_only_the_stems_asked_for_are_made(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 10_000))
    network = network_of(Split([0.5, 0.3, 0.2]), stems=("drums", "bass", "other"))
    request = msgspec.structs.replace(REQUEST, stems=("bass",))
    result = finish(separate(source, request, network=network, store=store))
    assert list(result.stems) == ["bass"]
    assert sorted(file.name for file in Path(result.folder).iterdir()) == ["bass.wav", "entry.json", "residual.wav"]
    assert np.abs(read_wav(result.residual) - 0.7 * read_wav(source)).max() < 1e-6
    assert null_peak(source, result) <= NULL_LIMIT


def test_order_and_repetition_of_stems_make_no_other_set(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 5000))
    network = network_of(Split([0.5, 0.3, 0.2]), stems=("drums", "bass", "other"))
    first = finish(separate(source, REQUEST, network=network, store=store))
    for stems in (("drums", "bass", "other"), ("other", "bass", "drums", "bass")):
        again = finish(separate(source, msgspec.structs.replace(REQUEST, stems=stems), network=network, store=store))
        assert again.reused
        assert again.folder == first.folder


def test_some_stems_of_a_stored_set_need_no_network(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 30_000))
    module = Wandering([0.5, 0.3, 0.2])
    network = network_of(module, stems=("drums", "bass", "other"))
    whole = finish(separate(source, REQUEST, network=network, store=store))
    calls = len(module.calls)
    request = msgspec.structs.replace(REQUEST, stems=("bass",))
    some = finish(separate(source, request, network=network, store=store))
    assert len(module.calls) == calls
    assert some.folder != whole.folder
    assert null_peak(source, some) <= NULL_LIMIT
    alone = finish(separate(source, request, network=network, store=Store(tmp_path / "other")))
    assert some.hashes == alone.hashes


def test_what_is_asked_wrongly_is_said_before_anything_is_done(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 5000))
    network = network_of(Split([0.5, 0.5]))

    def refused(request: SeparationRequest, words: str, path: Path = source) -> None:
        with pytest.raises(UnbakeError, match=words):
            next(separate(path, request, network=network, store=store))

    refused(msgspec.structs.replace(REQUEST, stems=("bsas",)), r'fake has no stem "bsas" \(it has: bass, rest\)')
    refused(msgspec.structs.replace(REQUEST, overlap=1.0), r"outside 1\.25 to 16")
    refused(msgspec.structs.replace(REQUEST, device="tpu"), 'no device is called "tpu"')
    refused(REQUEST, "no such file", tmp_path / "missing.wav")
    refused(REQUEST, "is a directory", tmp_path)
    with pytest.raises(UnbakeError, match='no model is called "nonesuch"'):
        next(separate(source, SeparationRequest(model="nonesuch", device="cpu"), store=store))
    assert not store.folder.exists()


def test_a_card_whose_stems_are_no_file_names_is_refused(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 500))
    for stem in ("../bass", "residual", ""):
        with pytest.raises(UnbakeError, match="can't be the name of a stem"):
            next(separate(source, REQUEST, network=network_of(Split([1.0]), stems=(stem,)), store=store))


def test_progress_counts_the_frames_of_all_channel_groups(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(6, 30_000))
    module = Split([0.5, 0.5])
    events = list(separate(source, REQUEST, network=network_of(module), store=store))
    seen = [event for event in events if isinstance(event, Progress) and event.stage == "separating bass/rest"]
    done = [event.done for event in seen]
    assert done == sorted(done)
    assert len(done) == len(module.calls) + 1
    assert (done[0], done[-1]) == (0, 3 * 30_000)
    assert {event.total for event in seen} == {3 * 30_000}
    assert {event.seconds for event in seen} == {30_000 / 44100}
    assert [event.stage for event in events if isinstance(event, Progress)][-1] == "checking stems"


def test_a_source_that_changes_or_goes_is_noticed(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 50_000))
    operation = separate(source, REQUEST, network=network_of(Split([0.5, 0.5])), store=store)
    for event in operation:
        if isinstance(event, Progress) and event.stage.startswith("separating") and event.done > 3000:
            write_wav(source, noise(2, 50_000, seed=1))
            break
    with pytest.raises(UnbakeError, match="changed while it was read"):
        finish(operation)
    assert not [line for line in store.listing() if line.kind == "stems"]

    operation = separate(source, REQUEST, network=network_of(Split([0.5, 0.5])), store=store)
    for event in operation:
        if isinstance(event, Progress) and event.stage == "writing stems":
            source.unlink()
            break
    with pytest.raises(UnbakeError, match="was deleted while it was read"):
        finish(operation)
    assert not [line for line in store.listing() if line.kind == "stems"]


@pytest.mark.parametrize("seconds", [0.0, 0.4, 1.0, 1.9, 500.0])
def test_where_a_run_begins_changes_no_bit(tmp_path: Path, store: Store, seconds: float):
    source = write_wav(tmp_path / "mix.wav", noise(3, 88_200))
    whole = finish(separate(source, REQUEST, network=network_of(Wandering([0.7, 0.3])), store=store))
    module = Wandering([0.7, 0.3])
    request = msgspec.structs.replace(REQUEST, from_seconds=seconds)
    other = Store(tmp_path / "other")
    result = finish(separate(source, request, network=network_of(module), store=other))
    assert result.hashes == whole.hashes
    assert Path(result.folder).name == Path(whole.folder).name, "the same entry of the store"
    assert len(module.calls) <= 2 * (ChunkPlan(88_200, CHUNK, CHUNK // 2).count + 6)


def test_what_is_asked_for_comes_first(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 40 * CHUNK))
    request = msgspec.structs.replace(REQUEST, from_seconds=20 * CHUNK / 44100)
    operation = separate(source, request, network=network_of(Wandering([0.7, 0.3])), store=store)
    for event in operation:
        if isinstance(event, Progress) and event.stage.startswith("separating") and event.done >= 3 * CHUNK:
            break
    operation.close()
    (file,) = store.folder.glob("partial/*/state.json")
    state = msgspec.json.decode(file.read_bytes(), type=State)
    assert state.done["L+R"][0][0] == 20 * CHUNK
    again = finish(separate(source, request, network=network_of(Wandering([0.7, 0.3])), store=store))
    plain = finish(separate(source, REQUEST, network=network_of(Wandering([0.7, 0.3])), store=Store(tmp_path / "s")))
    assert again.hashes == plain.hashes


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(tmp_path: Path, store: Store, seconds: float):
    source = write_wav(tmp_path / "mix.wav", noise(2, 3000))
    request = msgspec.structs.replace(REQUEST, from_seconds=seconds)
    with pytest.raises(UnbakeError, match="must be a time in the file"):
        finish(separate(source, request, network=network_of(Split([0.5, 0.5])), store=store))


@pytest.mark.parametrize("level", [0.2, 3e-6, 0.0])
def test_networks_that_want_the_track_at_one_level_hear_it_so(tmp_path: Path, store: Store, level: float):
    heard: list[float] = []

    class Listening(Split):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            heard.append(float(mix.std()))
            return super().forward(mix)

    block = level * np.sin(np.arange(60_000) * 0.05)[None].repeat(2, axis=0) + 0.01 * (level > 0)
    source = write_wav(tmp_path / "mix.wav", block, subtype="DOUBLE")
    network = msgspec.structs.replace(network_of(Listening([0.5, 0.5])), normalised=True)
    result = finish(separate(source, REQUEST, network=network, store=store))
    assert not heard if level == 0.0 else all(0.9 < each < 1.1 for each in heard[1:-2])
    assert null_peak(source, result) < NULL_LIMIT
    stems = sum(read_wav(path) for path in result.stems.values())
    assert np.abs(stems - (block - block.mean())).max() <= 1e-6 * max(level, 0.01)


def test_surround_stems_carry_their_layout(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(6, 3000))
    result = finish(separate(source, REQUEST, network=network_of(Split([0.5, 0.5])), store=store))
    assert soundfile.info(result.stems["bass"]).format == "WAVEX"


def test_torch_is_not_loaded_until_a_network_is_needed():
    code = (
        "import sys, core.separation.store, core.separation.separate, core.separation.external\n"
        "assert 'torch' not in sys.modules"
    )
    root = Path(separation.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})


MEMORY_SCRIPT = """
import resource, sys
from pathlib import Path
import numpy as np, soundfile, torch
from separation_stand_ins import Split, network_of
from core.events import finish
from core.separation.separate import SeparationRequest, separate
from core.separation.plan import ChunkPlan
from core.separation.store import Store
from core.separation.work import State

folder, rate, chunk = Path(sys.argv[1]), 44100, 262144
network = network_of(Split([1.0]), stems=("all",), chunk=chunk, rate=rate)

def peak_of(minutes):
    source = folder / f"{minutes}.wav"
    with soundfile.SoundFile(source, "w", rate, 1, "PCM_16") as file:
        for minute in range(minutes):
            second = np.zeros((rate, 1))
            second[0] = 0.5
            file.write(second)
            file.write(np.zeros((59 * rate, 1)))
    request = SeparationRequest(model="fake", device="cpu")
    finish(separate(source, request, network=network, store=Store(folder / "stems")))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

torch.set_num_threads(1)
print(peak_of(1), peak_of(2), peak_of(12))
"""


def test_twelve_minutes_take_the_memory_of_two(tmp_path: Path):
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    # The first run is there to have everything loaded. One stem of ten minutes more is 103 MiB.
    _, two, twelve = map(int, done.stdout.split())
    assert twelve - two < 16 * 1024, f"{twelve - two} KiB more for ten minutes more"


def test_notes_are_only_for_what_is_worth_knowing(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 5000))
    events = list(separate(source, REQUEST, network=network_of(Split([0.5, 0.5])), store=store))
    assert not [event for event in events if isinstance(event, Note)]


def test_the_caution_of_a_model_is_said_once_whether_its_stems_are_made_or_found(tmp_path: Path, store: Store):
    source = write_wav(tmp_path / "mix.wav", noise(2, 10_000))
    network = msgspec.structs.replace(network_of(Split([0.75, 0.2])), caution="only a stand-in")
    for _ in range(2):
        notes = [
            event.text for event in separate(source, REQUEST, network=network, store=store) if isinstance(event, Note)
        ]
        assert notes == ["stems by fake: only a stand-in"]
