import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from separation_stand_ins import CHUNK, Split, Wandering, collect, network_of, noise, write_wav

from core.audio.rates import converted_length
from core.errors import UnbakeError
from core.events import Note, Operation, Progress, finish
from core.separation import separate as separation
from core.separation import work as work_module
from core.separation.plan import ChunkPlan
from core.separation.separate import SeparationRequest, separate
from core.separation.store import StemSet, Store
from core.separation.work import State

REQUEST = SeparationRequest(model="fake", device="cpu")
SHARES = [0.7, 0.25]
FRAMES = 40 * CHUNK + 11
SIXTY_CHUNKS = 58 * CHUNK // 2
"""What sixty calls of the network make final in the first of two channel groups, or a little less."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resume")


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    return write_wav(folder / "mix.wav", noise(3, FRAMES))


@pytest.fixture(scope="module")
def wholes(folder: Path, source: Path) -> dict[int, StemSet]:
    """What runs without an interruption make, by the network's rate."""
    return {
        rate: finish(
            separate(source, REQUEST, network=network_of(Wandering(SHARES), rate=rate), store=Store(folder / str(rate)))
        )
        for rate in (44100, 48000)
    }


@pytest.fixture
def whole(wholes: dict[int, StemSet]) -> StemSet:
    return wholes[44100]


def run_until(operation: Operation[StemSet], stage: str, done: int) -> None:
    """Drives an operation to the first progress of a stage that is that far, and closes it there, as Ctrl+C does."""
    for event in operation:
        if isinstance(event, Progress) and event.stage.startswith(stage) and event.done >= done:
            operation.close()
            return
    raise AssertionError(f"never came to {done} of {stage}")


def audio_of(result: StemSet) -> dict[str, bytes]:
    return {name: Path(path).read_bytes() for name, path in {**result.stems, "residual": result.residual}.items()}


@pytest.mark.parametrize("done", [1, 40, 81, 100])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_cancelled_run_is_taken_up_and_gives_the_same_bytes(
    source: Path, store: Store, wholes: dict[int, StemSet], done: int, rate: int
):
    whole = wholes[rate]
    first = Wandering(SHARES)
    operation = separate(source, REQUEST, network=network_of(first, rate=rate), store=store)
    while len(first.calls) < done:
        next(operation)
    operation.close()
    module = Wandering(SHARES)
    result, events = collect(separate(source, REQUEST, network=network_of(module, rate=rate), store=store))
    plan = ChunkPlan(converted_length(FRAMES, 44100, rate), CHUNK, CHUNK // 2)
    assert len(module.calls) + len(first.calls) <= 2 * plan.count + 1
    assert result.hashes == whole.hashes
    assert audio_of(result) == audio_of(whole)
    assert not list((store.folder / "partial").iterdir())
    assert any(isinstance(event, Note) and "is taken up at" in event.text for event in events) == (done > 1)


def test_a_run_cancelled_while_reading_leaves_nothing(source: Path, store: Store):
    run_until(separate(source, REQUEST, network=network_of(Split(SHARES)), store=store), "reading", 1)
    assert store.listing() == []


def test_a_run_cancelled_while_writing_needs_no_network_again(source: Path, store: Store, whole: StemSet):
    run_until(separate(source, REQUEST, network=network_of(Wandering(SHARES)), store=store), "writing", 70_000)
    partial = next((store.folder / "partial").iterdir())
    assert not list(partial.rglob("*.wav"))
    assert not list(partial.rglob("*.part"))
    module = Wandering(SHARES)
    result = finish(separate(source, REQUEST, network=network_of(module), store=store))
    assert module.calls == []
    assert result.hashes == whole.hashes


def test_a_network_that_fails_loses_nothing(source: Path, store: Store, whole: StemSet):
    class Failing(Wandering):
        def forward(self, mix):
            if len(self.calls) == 50:
                raise KeyboardInterrupt
            return super().forward(mix)

    with pytest.raises(KeyboardInterrupt):
        finish(separate(source, REQUEST, network=network_of(Failing(SHARES)), store=store))
    module = Wandering(SHARES)
    result = finish(separate(source, REQUEST, network=network_of(module), store=store))
    assert len(module.calls) <= 2 * 82 - 50 + 1
    assert result.hashes == whole.hashes


def start_worker(source: Path, store: Store, pause: float) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    command = [sys.executable, str(here / "separation_worker.py"), str(source), str(store.folder), str(pause)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})


def wait_for_state(store: Store, worker: subprocess.Popen[bytes], frames: int) -> State:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and worker.poll() is None:
        for file in store.folder.glob("partial/*/state.json"):
            state = msgspec.json.decode(file.read_bytes(), type=State)
            if state.done_frames() >= frames:
                return state
        time.sleep(0.01)
    raise AssertionError("the worker never got so far")


@pytest.mark.parametrize("frames", [1, FRAMES + 1])
def test_kill_9_costs_no_finished_work(source: Path, store: Store, whole: StemSet, frames: int):
    worker = start_worker(source, store, 0.02)
    try:
        state = wait_for_state(store, worker, frames)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    (line,) = store.listing()
    assert (line.kind, line.in_use, line.source, line.model) == ("partial", False, "mix.wav", "fake")
    module = Wandering(SHARES)
    result = finish(separate(source, REQUEST, network=network_of(module), store=store))
    plan = ChunkPlan(FRAMES, CHUNK, CHUNK // 2)
    ends = [spans[-1][1] for spans in state.done.values()]
    needed = sum(plan.count - plan.first_chunk(end) for end in ends if end < FRAMES) + plan.count * (2 - len(ends))
    assert len(module.calls) <= needed
    assert result.hashes == whole.hashes
    assert audio_of(result) == audio_of(whole)


def test_a_second_run_waits_for_the_first_and_takes_its_stems(source: Path, store: Store):
    worker = start_worker(source, store, 0.01)
    try:
        wait_for_state(store, worker, 1)
        module = Wandering(SHARES)
        result, events = collect(separate(source, REQUEST, network=network_of(module), store=store))
        assert worker.wait() == 0
    finally:
        worker.kill()
        worker.wait()
    assert result.reused
    assert module.calls == []
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == [f"process {worker.pid} is making these stems: waiting for it"]


def test_a_waiting_run_can_be_cancelled(source: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(separation, "WAIT_SECONDS", 0.001)
    first = separate(source, REQUEST, network=network_of(Wandering(SHARES)), store=store)
    while not isinstance(event := next(first), Progress) or event.done < 5 or "separating" not in event.stage:
        pass
    second = separate(source, REQUEST, network=network_of(Wandering(SHARES)), store=store)
    run_until(second, "waiting", 0)
    assert store.prune(all=True).removed == (), "work under way is never pruned"
    assert not finish(first).reused


@pytest.mark.parametrize("damage", ["short stem", "short input", "no state", "garbage state"])
def test_damaged_work_is_made_afresh(source: Path, store: Store, whole: StemSet, damage: str):
    run_until(separate(source, REQUEST, network=network_of(Wandering(SHARES)), store=store), "separating", SIXTY_CHUNKS)
    partial = next((store.folder / "partial").iterdir())
    if damage == "short stem":
        os.truncate(partial / "L+R.bass.f32", 5000)
    elif damage == "short input":
        os.truncate(partial / "C.input.f32", 5000)
    elif damage == "no state":
        (partial / "state.json").unlink()
    else:
        (partial / "state.json").write_bytes(b"\xff{")
    result = finish(separate(source, REQUEST, network=network_of(Wandering(SHARES)), store=store))
    assert result.hashes == whole.hashes


def test_frames_of_another_device_are_not_continued(source: Path, store: Store, whole: StemSet):
    run_until(separate(source, REQUEST, network=network_of(Wandering(SHARES)), store=store), "separating", SIXTY_CHUNKS)
    file = next((store.folder / "partial").iterdir()) / "state.json"
    state = msgspec.json.decode(file.read_bytes(), type=State)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(state, computed_by="another GPU, torch 1")))
    module = Wandering(SHARES)
    result, events = collect(separate(source, REQUEST, network=network_of(module), store=store))
    assert any(isinstance(event, Note) and "another GPU, torch 1): starting anew" in event.text for event in events)
    assert len(module.calls) == 2 * ChunkPlan(FRAMES, CHUNK, CHUNK // 2).count
    assert result.hashes == whole.hashes


def test_a_disk_that_fills_up_is_one_line_and_loses_nothing(
    source: Path, store: Store, whole: StemSet, monkeypatch: pytest.MonkeyPatch
):
    real, calls = work_module.flush_to_disk, []

    def full(file) -> None:
        calls.append(file)
        if len(calls) > 30:
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(work_module, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(work_module, "flush_to_disk", full)
    with pytest.raises(UnbakeError, match="no space left"):
        finish(separate(source, REQUEST, network=network_of(Wandering(SHARES)), store=store))
    monkeypatch.undo()
    module = Wandering(SHARES)
    result = finish(separate(source, REQUEST, network=network_of(module), store=store))
    assert len(module.calls) < 2 * ChunkPlan(FRAMES, CHUNK, CHUNK // 2).count - 10
    assert result.hashes == whole.hashes
