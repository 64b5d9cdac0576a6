"""The figures of museval itself, folders as MUSDB18-HQ has them, and what can't be scored."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from core.errors import UnbakeError
from core.events import Note, finish
from core.measure.score import Score, score, tier_of
from tui.__main__ import main

RATE = 8000
STEMS = ("bass", "drums", "vocals")


@pytest.fixture(scope="module")
def museval() -> ModuleType:
    """Its arithmetic alone: the package itself wants FFmpeg to be imported."""
    package = importlib.util.find_spec("museval")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(folder: Path, sounds: dict[str, np.ndarray], rate: int = RATE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, audio in sounds.items():
        soundfile.write(folder / f"{name}.wav", audio.T, rate, subtype="DOUBLE")
    return folder


def track(seed: int, seconds: float = 6.3, noise: float = 0.3) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    true = {stem: 0.1 * rng.standard_normal((2, frames)) for stem in STEMS}
    true["vocals"][:, 2 * RATE : 4 * RATE] = 0.0
    estimated = {
        stem: audio + noise * (1 + place) * 0.1 * rng.standard_normal((2, frames))
        for place, (stem, audio) in enumerate(true.items())
    }
    return true, estimated


def test_sdr_is_what_museval_gives(tmp_path: Path, museval: ModuleType):
    true, estimated = track(1)
    result = finish(score(write(tmp_path / "true", true), write(tmp_path / "estimated", estimated)))
    stacked = [np.stack([side[stem].T for stem in STEMS]) for side in (true, estimated)]
    sdr = museval.bss_eval(*stacked, window=RATE, hop=RATE, filters_len=16)[0]
    assert np.isnan(sdr).any(), "the silent seconds count for none"
    for stem, frames in zip(STEMS, sdr, strict=True):
        assert result.stems[stem].sdr_db == pytest.approx(float(np.nanmedian(frames)), abs=1e-6)


def test_usdr_is_the_ratio_over_the_track(tmp_path: Path):
    true, estimated = track(2)
    result = finish(score(write(tmp_path / "true", true), write(tmp_path / "estimated", estimated)))
    for stem in STEMS:
        ratio = np.sum(true[stem] ** 2) / np.sum((estimated[stem] - true[stem]) ** 2)
        assert result.stems[stem].usdr_db == pytest.approx(10 * np.log10(ratio), abs=1e-6)
    usdr = [figures.usdr_db for figures in result.stems.values()]
    assert result.mean.usdr_db == pytest.approx(sum(x or 0.0 for x in usdr) / 3)


def test_tracks_are_taken_together_by_median_and_mean(tmp_path: Path):
    singles = []
    for seed in range(3):
        true, estimated = track(seed, noise=0.1 + 0.2 * seed)
        write(tmp_path / "true" / f"song {seed}", {**true, "mixture": np.sum(list(true.values()), axis=0)})
        write(tmp_path / "estimated" / f"song {seed}", {**estimated, "residual": true["bass"] * 0})
        singles.append(finish(score(tmp_path / "true" / f"song {seed}", tmp_path / "estimated" / f"song {seed}")))
    result = finish(score(tmp_path / "true", tmp_path / "estimated"))
    assert result.tracks == 3
    assert set(result.stems) == set(STEMS)
    for stem in STEMS:
        sdr, usdr = ([float(getattr(one.stems[stem], name)) for one in singles] for name in ("sdr_db", "usdr_db"))
        assert result.stems[stem].sdr_db == pytest.approx(np.median(sdr))
        assert result.stems[stem].usdr_db == pytest.approx(np.mean(usdr))


def notes_of(true: Path, estimated: Path) -> tuple[Score, list[str]]:
    operation, notes = score(true, estimated), []
    while True:
        try:
            event = next(operation)
        except StopIteration as stop:
            return stop.value, notes
        if isinstance(event, Note):
            notes.append(event.text)


def test_what_only_one_side_has_is_said(tmp_path: Path):
    true, estimated = track(3)
    write(tmp_path / "true" / "one", true)
    write(tmp_path / "true" / "two", true)
    del estimated["drums"]
    write(tmp_path / "estimated" / "one", {**estimated, "piano": estimated["bass"]})
    result, notes = notes_of(tmp_path / "true", tmp_path / "estimated")
    assert set(result.stems) == {"bass", "vocals"}
    assert notes[:2] == ["one: drums is only true; left out", "one: piano is only estimated; left out"]
    assert "two: no estimates" in notes[2]


def test_exact_and_silent_stems_are_no_infinities(tmp_path: Path):
    true, _ = track(4)
    true["vocals"][:] = 0.0
    folder = write(tmp_path / "true", true)
    result = finish(score(folder, write(tmp_path / "same", true)))
    assert result.stems["bass"].sdr_db is None, "a silent stem leaves no frame to judge by"
    assert result.tier == {}
    assert (result.stems["bass"].usdr_db or 0.0) > 60.0
    del true["vocals"]
    result = finish(score(write(tmp_path / "two", true), write(tmp_path / "same two", true)))
    assert result.stems["bass"].sdr_db is None
    assert result.tier["bass"] == "professional"
    json.dumps(result.mean.sdr_db, allow_nan=False)


@pytest.mark.parametrize("frames", [1, RATE - 1, RATE, RATE + 1])
def test_short_tracks(tmp_path: Path, frames: int, museval: ModuleType):
    true, estimated = track(5, seconds=2.0)
    for side in (true, estimated):
        for stem in STEMS:
            side[stem] = side[stem][:, :frames]
    result = finish(score(write(tmp_path / "true", true), write(tmp_path / "estimated", estimated)))
    if frames > 1:
        stacked = [np.stack([side[stem].T for stem in STEMS]) for side in (true, estimated)]
        sdr = museval.bss_eval(*stacked, window=RATE, hop=RATE, filters_len=16)[0]
        assert result.stems["bass"].sdr_db == pytest.approx(float(np.nanmedian(sdr[0])), abs=1e-6)
    assert result.stems["bass"].sdr_db is not None
    assert result.tier["bass"] == tier_of(result.stems["bass"].sdr_db)


@pytest.mark.parametrize(
    ("sdr_db", "tier"),
    [(9.0, "professional"), (8.0, "good"), (5.0, "good"), (4.9, "artefacts"), (2.0, "artefacts"), (-3.0, "poor")],
)
def test_tiers_of_the_trade(sdr_db: float, tier: str):
    assert tier_of(sdr_db) == tier


def test_what_cannot_be_scored_is_refused(tmp_path: Path):
    true, estimated = track(6, seconds=1.5)
    folder = write(tmp_path / "true", true)
    write(tmp_path / "fast", estimated, rate=2 * RATE)
    write(tmp_path / "short", {stem: audio[:, :-1] for stem, audio in estimated.items()})
    write(tmp_path / "mono", {stem: audio[:1] for stem, audio in estimated.items()})
    write(tmp_path / "strange", {"kazoo": true["bass"]})
    for other, says in (
        ("fast", r"bass\.wav: has 16000 Hz where .* has 8000"),
        ("short", "has 11999 frames where"),
        ("mono", "has 1 channels where"),
        ("strange", "no estimate has the name of a true stem"),
        ("nowhere", "no such folder"),
    ):
        with pytest.raises(UnbakeError, match=says):
            finish(score(folder, tmp_path / other))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnbakeError, match="neither stems nor tracks"):
        finish(score(tmp_path / "empty", folder))


def test_the_command_prints_and_gives_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    true, estimated = track(7)
    folders = [str(write(tmp_path / name, side)) for name, side in (("true", true), ("estimated", estimated))]
    assert main(["score", *folders, "--quiet"]) == 0
    assert "SDR" in (text := capsys.readouterr().out)
    assert "uSDR" in text
    assert main(["score", *folders, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= {"schema", "stems", "mean", "tier"}
    assert found["stems"]["bass"].keys() == {"sdr_db", "usdr_db"}
    assert found["tier"]["bass"] == "professional"
