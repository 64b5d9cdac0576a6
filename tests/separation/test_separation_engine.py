from collections.abc import Callable

import numpy as np
import pytest
import torch
from separation_stand_ins import Fading, Split, Wandering, db, noise
from torch._dynamo.exc import TorchDynamoException

from core.errors import UnbakeError
from core.events import Note
from core.separation.device import (
    check_device_name,
    check_precision,
    chunks_that_fit,
    measure_batch,
    reckoning,
    resolve_device,
)
from core.separation.engine import Engine, Scale, blocks_of, compile_network
from core.separation.plan import ChunkPlan, hop_of

CHUNK = 4096
HOP = CHUNK // 2


def reader(signal: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """The signal with zeros around it."""

    def read(start: int, frames: int) -> np.ndarray:
        audio = np.zeros((2, frames), np.float32)
        low, high = max(0, start), min(signal.shape[1], start + frames)
        audio[:, low - start : high - start] = signal[:, low:high]
        return audio

    return read


def engine_of(module: torch.nn.Module, stems: int = 2, wanted: tuple[int, ...] = (0, 1), batch: int = 1) -> Engine:
    return Engine(module, "fake", "cpu", stems=stems, wanted=wanted, batch=batch)


def run(engine: Engine, signal: np.ndarray, overlap: float = 2.0, chunk: int = CHUNK, first: int = 0, last=None):
    plan = ChunkPlan(signal.shape[1], chunk, hop_of(chunk, overlap))
    pieces, frame = [], first
    for event in engine.run(plan, reader(signal), first, last):
        if isinstance(event, Note):
            continue
        assert event.audio.shape[-1] == 0 or event.start == frame
        frame += event.audio.shape[-1]
        pieces.append(event.audio)
    assert frame == (plan.length if last is None else last)
    return np.concatenate(pieces, axis=-1)


@pytest.mark.parametrize("length", [1, 2, HOP - 1, HOP, HOP + 1, CHUNK, round(3.7 * CHUNK)])
@pytest.mark.parametrize("overlap", [1.5, 2.0, 2.4, 4.0])
def test_what_the_network_leaves_alone_comes_back(length: int, overlap: float):
    signal = noise(2, length).astype(np.float32)
    stems = run(engine_of(Split([1.0, 0.25])), signal, overlap)
    assert stems.shape == (2, 2, length)
    assert np.abs(stems[0] - signal).max() < 5e-7
    assert np.abs(stems[1] - 0.25 * signal).max() < 5e-7


def worst_seam(overlap: float, fade: int) -> float:
    """Worst 64-frame window of error relative to signal, in dB, head and tail included."""
    signal = noise(2, round(5.3 * CHUNK)).astype(np.float32)
    got = run(engine_of(Fading([1.0, 0.0], CHUNK, fade)), signal, overlap)[0]
    whole = signal.shape[1] // 64 * 64
    # The last window is cut off the end, not off the grid, so that the tail's last frame is in it.
    starts = [*range(0, whole, 64), signal.shape[1] - 64]
    return max(
        db(float(np.linalg.norm((got - signal)[:, at : at + 64]) / np.linalg.norm(signal[:, at : at + 64])))
        for at in starts
    )


def test_seams_at_two_passes_are_inaudible_at_head_and_tail_too():
    assert worst_seam(2.0, CHUNK // 100) <= -70.0
    assert worst_seam(4.0, CHUNK // 100) <= -70.0
    # The stand-in really has edges to hide: hardly overlapped, they show.
    assert worst_seam(1.25, CHUNK // 4) > -40.0


def test_only_wanted_stems_are_kept():
    signal = noise(2, 9000).astype(np.float32)
    stems = run(engine_of(Split([0.5, 0.3, 0.2]), stems=3, wanted=(2,)), signal)
    assert stems.shape == (1, 2, 9000)
    assert np.abs(stems[0] - 0.2 * signal).max() < 1e-6


def test_a_network_that_can_leave_stems_out_is_told_which_are_wanted():
    class Choosy(Split):
        wanted: tuple[int, ...] = (0, 1, 2)

        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            assert self.wanted == (2, 0)
            return super().forward(mix)

    signal = noise(2, 9000).astype(np.float32)
    stems = run(engine_of(Choosy([0.5, 0.3, 0.2]), stems=3, wanted=(2, 0)), signal)
    assert np.abs(stems[1] - 0.5 * signal).max() < 1e-6


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("first_frame", [1, HOP, 3 * HOP + 17, 8 * CHUNK])
def test_a_run_taken_up_gives_the_same_bits(ahead: bool, batch: int, first_frame: int):
    signal = noise(2, 9 * CHUNK + 5).astype(np.float32)
    whole = run(engine_of(Wandering([0.7, 0.3]), batch=batch), signal)
    module = Wandering([0.7, 0.3])
    engine = engine_of(module, batch=batch)
    engine.ahead = ahead
    rest = run(engine, signal, first=first_frame)
    assert rest.tobytes() == whole[..., first_frame:].tobytes()
    plan = ChunkPlan(signal.shape[1], CHUNK, HOP)
    assert sum(module.calls) < plan.count - plan.first_chunk(first_frame) + 2 * batch
    assert set(module.calls) == {batch}, "batches are of one shape"


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    ("first", "last"), [(0, 1), (HOP, 2 * HOP), (3 * HOP + 17, 8 * CHUNK + 1), (9 * CHUNK, 9 * CHUNK + 5)]
)
@pytest.mark.parametrize("overlap", [1.5, 2.0, 3.0])
def test_a_part_of_a_run_gives_the_same_bits(ahead: bool, batch: int, first: int, last: int, overlap: float):
    signal = noise(2, 9 * CHUNK + 5).astype(np.float32)
    whole = run(engine_of(Wandering([0.7, 0.3]), batch=batch), signal, overlap)
    module = Wandering([0.7, 0.3])
    engine = engine_of(module, batch=batch)
    engine.ahead = ahead
    part = run(engine, signal, overlap, first=first, last=last)
    assert part.tobytes() == whole[..., first:last].tobytes()
    hop = hop_of(CHUNK, overlap)
    assert sum(module.calls) <= (last - first) / hop + overlap + 2 * batch


def test_what_a_network_hears_is_scaled_and_its_stems_are_scaled_back():
    signal = (0.3 * noise(2, 5 * CHUNK) + 0.05).astype(np.float32)

    class Keen(Split):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            assert abs(float(mix.mean())) < 0.2
            assert 0.8 < float(mix.std()) < 1.3
            return super().forward(mix)

    plan = ChunkPlan(signal.shape[1], CHUNK, HOP)
    events = engine_of(Keen([1.0, 0.5])).run(plan, reader(signal), HOP, 4 * HOP, Scale(0.05, 0.03))
    stems = np.concatenate([event.audio for event in events if not isinstance(event, Note)], axis=-1)
    assert np.abs(stems[0] - (signal[:, HOP : 4 * HOP] - 0.05)).max() < 5e-7
    assert np.abs(stems[1] - 0.5 * (signal[:, HOP : 4 * HOP] - 0.05)).max() < 5e-7


@pytest.mark.parametrize(("precision", "bits"), [("bf16", 7), ("fp16", 10)])
def test_reduced_precision_reckons_in_it_and_gives_single_precision_back(precision, bits: int):
    class Product(torch.nn.Module):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            assert mix.dtype == torch.float32
            return torch.matmul(mix, torch.eye(mix.shape[-1]))[:, None]

    signal = noise(2, 600).astype(np.float32)
    engine = Engine(Product(), "fake", "cpu", stems=1, wanted=[0], precision=precision)
    got = run(engine, signal, chunk=256)[0]
    assert got.dtype == np.float32
    error = float(np.abs(got - signal).max() / np.abs(signal).max())
    assert 2.0 ** -(bits + 4) < error < 2.0**-bits
    assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_precisions_and_their_names():
    for name in ("half", "FP32", ""):
        with pytest.raises(UnbakeError, match="no precision is called"):
            check_precision(name)
    check_precision("auto", "cpu")
    check_precision("tf32", "cuda:0")
    with pytest.raises(UnbakeError, match="tf32 is a number format of GPUs"):
        check_precision("tf32", "cpu")
    with reckoning("cpu", "fp32"):
        assert not torch.is_autocast_enabled("cpu")


def test_what_repeats_in_a_network_is_compiled_and_computes_the_same():
    class Blocks(Split):
        def __init__(self) -> None:
            super().__init__([1.0])
            self.layers = torch.nn.ModuleList([torch.nn.ModuleList([torch.nn.Tanh()]), torch.nn.Tanh()])
            self.head = torch.nn.Identity()

        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            for layer in (self.layers[0][0], self.layers[1]):  # type: ignore[index]
                mix = layer(mix)
            return super().forward(self.head(mix))

    network = Blocks()
    assert [type(block) for block in blocks_of(network)] == [torch.nn.Tanh, torch.nn.Tanh]
    assert blocks_of(torch.nn.Tanh()), "a network without lists is compiled whole"
    mix = torch.linspace(-1.0, 1.0, 2 * 64).reshape(1, 2, 64)
    plain = network(mix)
    call = compile_network(network)
    assert torch.allclose(call(mix), plain, atol=1e-6)
    assert all(block._compiled_call_impl is not None for block in blocks_of(network))


def test_compiled_networks_that_cannot_be_compiled_are_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    def compile_(module: torch.nn.Module, **_words: object):
        def call(mix: torch.Tensor) -> torch.Tensor:
            raise TorchDynamoException("no C++ compiler\nwith advice")

        return call

    monkeypatch.setattr(torch, "compile", compile_)
    engine = Engine(Split([1.0]), "fake", "cpu", stems=1, wanted=[0], compiled=True)
    with pytest.raises(UnbakeError, match=r"--compile: torch can't compile this network here: .*no C\+\+ compiler"):
        run(engine, noise(2, 600).astype(np.float32))


def test_batches_fill_the_memory_and_no_more():
    assert chunks_that_fit(one=3 << 30, two=5 << 30, free=80 << 30, most=100) == 16
    assert chunks_that_fit(one=3 << 30, two=5 << 30, free=800 << 30, most=100) == 32
    assert chunks_that_fit(one=3 << 30, two=5 << 30, free=800 << 30, most=5) == 8
    assert chunks_that_fit(one=3 << 30, two=5 << 30, free=2 << 30, most=100) == 1
    assert chunks_that_fit(one=1, two=1, free=0, most=1) == 1
    assert measure_batch("cpu", lambda chunks: pytest.fail("nothing to measure"), 100) == 1


def test_silent_chunks_cost_no_network():
    signal = np.zeros((2, 20 * CHUNK), np.float32)
    signal[:, 10 * CHUNK + 9] = 1.0
    module = Split([1.0, 0.0])
    stems = run(engine_of(module), signal)
    assert len(module.calls) == 2
    assert np.abs(stems[0] - signal).max() < 1e-6
    assert not stems[1].any()


class Cramped(Split):
    """Has memory for `most` chunks at a time only."""

    def __init__(self, most: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__([0.6, 0.4])
        self.most, self.error = most, error

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        if len(mix) > self.most:
            raise self.error("out of memory")
        return super().forward(mix)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_halves_the_batch_and_goes_on(error: type[Exception]):
    signal = noise(2, 11 * CHUNK).astype(np.float32)
    engine = engine_of(Cramped(2, error), batch=8)
    plan = ChunkPlan(signal.shape[1], CHUNK, HOP)
    events = list(engine.run(plan, reader(signal)))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert [text.split(": ")[1] for text in notes] == [
        "going on with 4 chunk(s) at a time",
        "going on with 2 chunk(s) at a time",
    ]
    stems = np.concatenate([event.audio for event in events if not isinstance(event, Note)], axis=-1)
    assert np.abs(stems[0] - 0.6 * signal).max() < 5e-7


@pytest.mark.parametrize("ahead", [False, True])
def test_memory_that_runs_out_in_mid_run_loses_nothing(ahead: bool):
    class Filling(Split):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            if len(self.calls) >= 3 and len(mix) > 2:
                raise torch.OutOfMemoryError("somebody else took it")
            return super().forward(mix)

    signal = noise(2, 30 * CHUNK).astype(np.float32)
    engine = engine_of(Filling([0.6, 0.4]), batch=4)
    engine.ahead = ahead
    stems = run(engine, signal)
    assert np.abs(stems[0] - 0.6 * signal).max() < 5e-7


def test_one_chunk_too_large_is_one_clear_line():
    with pytest.raises(UnbakeError, match="out of memory on cpu with one chunk of the network fake"):
        run(engine_of(Cramped(0), batch=2), noise(2, 9000).astype(np.float32))


def test_a_defect_of_a_network_is_not_taken_for_full_memory():
    class Broken(Split):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        run(engine_of(Broken([1.0, 0.0]), batch=2), noise(2, 9000).astype(np.float32))


def test_a_network_that_gives_no_numbers_or_another_shape_is_refused():
    class Wild(Split):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            return super().forward(mix) / 0.0

    with pytest.raises(UnbakeError, match=r"fake: the network gave values that are no numbers .*use another model"):
        run(engine_of(Wild([1.0, 0.0])), noise(2, 9000).astype(np.float32))
    with pytest.raises(UnbakeError, match=r"the shape \[1, 3, 2, 4096\]"):
        run(engine_of(Split([1.0, 0.0, 0.0])), noise(2, 9000).astype(np.float32))


def test_devices_that_are_not_here_are_refused(monkeypatch: pytest.MonkeyPatch):
    for name in ("gpu", "cuda:x", "CPU", ""):
        with pytest.raises(UnbakeError, match="no device is called"):
            check_device_name(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(UnbakeError, match=r"no CUDA device on this machine \(use --device cpu\)"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda:0"
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(UnbakeError, match="this machine has 2 CUDA device"):
        resolve_device("cuda:2")
