from pathlib import Path

import msgspec
import numpy as np
import pytest
from separation_stand_ins import (
    NULL_LIMIT,
    Split,
    Wandering,
    collect,
    network_of,
    noise,
    null_peak,
    read_wav,
    write_wav,
)

from core.errors import UnbakeError
from core.events import Progress, finish
from core.separation.ensembles import Ensemble, parse
from core.separation.separate import Network, SeparationRequest
from core.separation.store import StemSet, Store
from core.separation.together import separate_together

REQUEST = SeparationRequest(model="both", device="cpu")
FRAMES = 30_000


class Models:
    """Networks by name, which count how often they were heard."""

    def __init__(self) -> None:
        self.modules = {
            "a": Split([0.5, 0.2]),
            "b": Split([0.3, 0.4]),
            "c": Split([0.25]),
            "odd": Wandering([0.6, 0.2]),
        }

    def __call__(self, name: str) -> Network:
        if name not in self.modules:
            raise UnbakeError(f'no model is called "{name}"')
        stems = ("dry",) if name == "c" else ("vocals", "drums")
        return msgspec.structs.replace(network_of(self.modules[name], stems=stems, version=name), name=name)

    def calls(self) -> int:
        return sum(len(module.calls) for module in self.modules.values())


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "mix.wav", noise(2, FRAMES))


def take(stem: str, *members: str, head: str = "") -> str:
    froms = "".join(f"[[take.from]]\n{member}\n" for member in members)
    return f'[[take]]\nstem = "{stem}"\n{head}\n{froms}'


def ensemble_of(*takes: str) -> Ensemble:
    return parse('name = "both"\nabout = "Both."\n' + "".join(takes), "both.toml")


def run(source: Path, ensemble: Ensemble, models: Models, store: Store, **changed) -> StemSet:
    request = msgspec.structs.replace(REQUEST, **changed)
    return finish(separate_together(source, request, ensemble, store=store, find=models))


def share(result: StemSet, stem: str, source: Path) -> float:
    """How much of the mix a stem is, when it is a fixed share of it."""
    mix, got = read_wav(source), read_wav(result.stems[stem])
    factor = float((mix * got).sum() / (mix * mix).sum())
    assert np.abs(got - factor * mix).max() < 1e-6
    return factor


@pytest.mark.parametrize(
    ("combine", "shares"),
    [("mean", 0.4), ("median", 0.4), ("quietest", 0.3), ("loudest", 0.5)],
)
def test_two_estimates_become_one(source: Path, models: Models, store: Store, combine: str, shares: float):
    ensemble = ensemble_of(take("vocals", 'model = "a"', 'model = "b"', head=f'combine = "{combine}"'))
    result = run(source, ensemble, models, store)
    assert share(result, "vocals", source) == pytest.approx(shares, abs=1e-6)
    assert null_peak(source, result) < NULL_LIMIT
    assert result.model == "both"


def test_weights_bands_and_a_model_per_stem(source: Path, models: Models, store: Store):
    drums = '\nstem = "drums"'
    ensemble = ensemble_of(
        take("vocals", 'model = "a"\nweight = 3', 'model = "b"'),
        take("low", f'model = "a"{drums}', f'model = "b"{drums}\nfrom_hz = 21000', head='combine = "bands"'),
        take("beat", 'model = "b"\nstem = "drums"'),
    )
    result = run(source, ensemble, models, store)
    assert share(result, "vocals", source) == pytest.approx(0.45, abs=1e-6)
    assert share(result, "beat", source) == pytest.approx(0.4, abs=1e-6)
    assert list(result.stems) == ["vocals", "low", "beat"]
    assert null_peak(source, result) < NULL_LIMIT
    passes = [line for line in store.listing() if line.kind == "stems" and line.model != "both"]
    assert sorted(line.model for line in passes) == ["a", "b"], "each model is heard once for all of its stems"


def test_what_a_model_leaves_can_be_a_stem(source: Path, models: Models, store: Store):
    result = run(source, ensemble_of(take("rest", 'model = "a"\nstem = "residual"')), models, store)
    assert share(result, "rest", source) == pytest.approx(0.3, abs=1e-6)


def test_a_stem_is_taken_apart_by_another_model(source: Path, models: Models, store: Store):
    ensemble = ensemble_of(
        take("vocals", 'model = "a"', 'model = "b"', head='rest = "room"'),
        take("voice", 'model = "c"\nstem = "dry"', head='of = "vocals"'),
    )
    result = run(source, ensemble, models, store)
    assert list(result.stems) == ["room", "voice"]
    assert share(result, "voice", source) == pytest.approx(0.4 * 0.25, abs=1e-6)
    assert share(result, "room", source) == pytest.approx(0.4 * 0.75, abs=1e-6)
    assert null_peak(source, result) < NULL_LIMIT
    alone = run(source, ensemble, models, Store(store.folder / "other"), stems=("voice",))
    assert alone.hashes["voice"] == result.hashes["voice"]


def test_parts_of_parts_are_made_from_their_part(source: Path, models: Models, store: Store):
    ensemble = ensemble_of(
        take("vocals", 'model = "a"'),
        take("lead", 'model = "b"\nstem = "vocals"', head='of = "vocals"'),
        take("lead-dry", 'model = "c"\nstem = "dry"', head='of = "lead"'),
    )
    result = run(source, ensemble, models, store)
    assert list(result.stems) == ["vocals-rest", "lead-rest", "lead-dry"]
    assert share(result, "vocals-rest", source) == pytest.approx(0.5 * 0.7, abs=1e-6)
    assert share(result, "lead-dry", source) == pytest.approx(0.5 * 0.3 * 0.25, abs=1e-6)
    assert share(result, "lead-rest", source) == pytest.approx(0.5 * 0.3 * 0.75, abs=1e-6)
    assert null_peak(source, result) < NULL_LIMIT


def test_a_model_heard_in_many_ways_gives_their_mean(source: Path, models: Models, store: Store):
    plain = run(source, ensemble_of(take("vocals", 'model = "a"')), models, store)
    for ways in ("shifts = 3", "invert = true", "swap = true", "shifts = 2\ninvert = true\nswap = true"):
        result = run(source, ensemble_of(take("vocals", f'model = "a"\n{ways}')), models, store)
        assert np.abs(read_wav(result.stems["vocals"]) - read_wav(plain.stems["vocals"])).max() < 1e-7
        assert null_peak(source, result) < NULL_LIMIT
    once = run(source, ensemble_of(take("vocals", 'model = "odd"')), models, store)
    shifted = run(source, ensemble_of(take("vocals", 'model = "odd"\nshifts = 2')), models, store)
    assert np.abs(read_wav(once.stems["vocals"]) - read_wav(shifted.stems["vocals"])).max() > 1e-5


def test_an_ensemble_that_was_stopped_does_no_work_twice(source: Path, models: Models, store: Store):
    ensemble = ensemble_of(take("vocals", 'model = "a"', 'model = "b"'))
    operation = separate_together(source, REQUEST, ensemble, store=store, find=models)
    for event in operation:
        if isinstance(event, Progress) and "pass 2 of 2, b" in event.stage and event.stage.startswith("separating"):
            break
    operation.close()
    heard = len(models.modules["a"].calls)
    run(source, ensemble, models, store)
    assert len(models.modules["a"].calls) == heard
    calls = models.calls()
    again, events = collect(separate_together(source, REQUEST, ensemble, store=store, find=models))
    assert again.reused
    assert models.calls() == calls
    assert not any(isinstance(event, Progress) and "separating" in event.stage for event in events)


def test_what_cannot_be_made_is_refused_before_any_model_runs(source: Path, models: Models, store: Store):
    with pytest.raises(UnbakeError, match=r'take guitar: the model a has no stem "guitar" \(it has: vocals, drums'):
        run(source, ensemble_of(take("vocals", 'model = "b"'), take("guitar", 'model = "a"')), models, store)
    with pytest.raises(UnbakeError, match='no model is called "nowhere"'):
        run(source, ensemble_of(take("vocals", 'model = "nowhere"')), models, store)
    ensemble = ensemble_of(take("vocals", 'model = "a"'))
    with pytest.raises(UnbakeError, match='the ensemble both has no stem "bass"'):
        run(source, ensemble, models, store, stems=("bass",))
    with pytest.raises(UnbakeError, match=r"outside 1\.25 to 16"):
        run(source, ensemble, models, store, overlap=1.0)
    assert models.calls() == 0


def test_surround_and_one_sample_files_go_through_ensembles(tmp_path: Path, models: Models, store: Store):
    ensemble = ensemble_of(take("vocals", 'model = "a"\nshifts = 2', 'model = "b"', head='combine = "quietest"'))
    for name, channels, frames in (("surround", 6, 5000), ("mono", 1, 5000), ("tiny", 2, 1)):
        source = write_wav(tmp_path / f"{name}.wav", noise(channels, frames))
        result = run(source, ensemble, models, store)
        assert read_wav(result.stems["vocals"]).shape == (channels, frames)
        assert null_peak(source, result) < NULL_LIMIT
