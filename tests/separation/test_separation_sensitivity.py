"""Sensitivity per stem: 5 is the network's answer, what leaves one stem goes to the others, the sum stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from separation_stand_ins import NULL_LIMIT, collect, noise, null_peak, read_wav, write_wav

from core.errors import UnbakeError
from core.events import Progress, finish
from core.separation.assemble import file_tracks
from core.separation.combine import Spectral
from core.separation.external import import_stems
from core.separation.sensitivity import Changed, Together, applied, changes
from core.separation.store import StemSet, Store

FRAMES = 50_000
RATE = 44_100


def tone(hz: float, frames: int = FRAMES, channels: int = 2) -> np.ndarray:
    return 0.2 * np.sin(2 * np.pi * hz * np.arange(frames) / RATE) * np.ones((channels, 1))


@pytest.fixture
def base(tmp_path: Path, store: Store) -> tuple[Path, StemSet]:
    """Stems that hold some of each other, as a network's do, and a residual."""
    true = {"vocals": tone(1000.0), "drums": noise(2, FRAMES, 2), "bass": tone(80.0)}
    mixed = {
        "vocals": 0.9 * true["vocals"] + 0.1 * true["drums"],
        "drums": 0.85 * true["drums"] + 0.05 * true["vocals"],
        "bass": 0.95 * true["bass"] + 0.01 * true["drums"],
    }
    return made(tmp_path, store, np.sum(list(true.values()), axis=0), mixed)


def made(
    folder: Path, store: Store, whole: np.ndarray, stems: Mapping[str, np.ndarray], rate: int = RATE
) -> tuple[Path, StemSet]:
    (folder / "stems").mkdir(parents=True)
    source = write_wav(folder / "mix.wav", whole, rate, subtype="FLOAT")
    for name, block in stems.items():
        write_wav(folder / "stems" / f"{name}.wav", block, rate, subtype="FLOAT")
    return source, finish(import_stems(source, folder / "stems", store=store))


def share(stem: str, of: np.ndarray, result: StemSet) -> float:
    """How much of a sound a stem holds: 1 is all of it."""
    found = read_wav(result.stems[stem])
    return float(np.sum(found * of) / np.sum(of * of))


def energy(stem: str, result: StemSet) -> float:
    return float(np.sum(read_wav(result.stems[stem]) ** 2))


def test_at_5_the_stems_are_the_very_files(base, store: Store) -> None:
    source, stems = base
    before = len(store.listing())
    for levels in ({}, {"vocals": 5.0}, {"vocals": 5, "drums": 5.0}):
        assert finish(applied(source, stems, levels, store)) == stems
    assert len(store.listing()) == before


def test_a_stem_beside_one_that_changes_only_takes_what_left_it(base, store: Store) -> None:
    source, stems = base
    lower = finish(applied(source, stems, {"vocals": 2.0}, store))
    higher = finish(applied(source, stems, {"vocals": 8.0}, store))
    drums = noise(2, FRAMES, 2)
    assert share("vocals", drums, higher) < share("vocals", drums, stems) < share("vocals", drums, lower)
    assert energy("vocals", higher) < energy("vocals", stems) < energy("vocals", lower)
    # the drums give what the vocals take, and the other way round
    assert share("drums", drums, lower) < share("drums", drums, stems) < share("drums", drums, higher)


def test_every_step_of_the_scale_goes_the_same_way(base, store: Store) -> None:
    source, stems = base
    bleed = noise(2, FRAMES, 2)
    found = [share("bass", bleed, finish(applied(source, stems, {"bass": float(k)}, store))) for k in range(11)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 2.0 * found[5]
    assert found[10] < 0.5 * found[5]


@pytest.mark.parametrize(
    "levels",
    [{"vocals": 0.0}, {"vocals": 10.0}, {"vocals": 0.0, "drums": 0.0, "bass": 0.0}, {"vocals": 3.0, "drums": 7.5}],
    ids=str,
)
def test_the_sum_stays_the_source(base, store: Store, levels: dict[str, float]) -> None:
    source, stems = base
    found = finish(applied(source, stems, levels, store))
    assert null_peak(source, found) <= NULL_LIMIT
    assert found.folder != stems.folder
    assert set(found.hashes) == set(stems.hashes)
    # nothing is made that was not there: no part is louder than all of them together
    loudest = sum(energy(name, stems) for name in stems.stems) + float(np.sum(read_wav(stems.residual) ** 2))
    assert all(energy(name, found) < loudest for name in found.stems)


def test_a_set_is_kept_under_what_it_was_made_from_and_how(base, store: Store) -> None:
    source, stems = base
    found = finish(applied(source, stems, {"vocals": 3.0}, store))
    again, events = collect(applied(source, stems, {"vocals": 3, "drums": 5.0}, store))
    assert (again.folder, again.reused) == (found.folder, True)
    assert not any(isinstance(event, Progress) for event in events)
    other = finish(applied(source, stems, {"vocals": 3.5}, store))
    assert other.hashes["vocals"] != found.hashes["vocals"]
    assert "sensitivity vocals 3.0" in next(line.how for line in store.listing() if line.folder == found.folder)
    # the set it came from is as it was
    assert finish(applied(source, stems, {}, store)).hashes == stems.hashes


def test_what_is_stopped_leaves_nothing_that_looks_like_a_set(base, store: Store) -> None:
    source, stems = base
    before = {line.folder for line in store.listing()}
    operation = applied(source, stems, {"vocals": 3.0}, store)
    for event in operation:
        if isinstance(event, Progress) and event.stage == "writing stems":
            break
    operation.close()
    assert {line.folder for line in store.listing()} == before
    assert null_peak(source, finish(applied(source, stems, {"vocals": 3.0}, store))) <= NULL_LIMIT


@pytest.mark.parametrize(
    ("rate", "channels", "frames"),
    [(44_100, 2, 1), (8000, 1, 3000), (384_000, 1, 40_000), (48_000, 3, 9000), (96_000, 6, 70_000)],
)
def test_any_rate_length_and_channels(tmp_path: Path, store: Store, rate: int, channels: int, frames: int) -> None:
    parts = {"vocals": noise(channels, frames, 1), "drums": noise(channels, frames, 2)}
    source, stems = made(tmp_path / "odd", store, np.sum(list(parts.values()), axis=0), parts, rate)
    found = finish(applied(source, stems, {"vocals": 1.0, "drums": 9.0}, store))
    assert (found.frames, found.channels, found.sample_rate) == (frames, channels, rate)
    assert null_peak(source, found) <= NULL_LIMIT


def test_silence_stays_silence_and_is_divided_by_nothing(tmp_path: Path, store: Store) -> None:
    silent = {"vocals": np.zeros((2, 9000)), "drums": np.zeros((2, 9000))}
    source, stems = made(tmp_path / "silent", store, np.zeros((2, 9000)), silent)
    found = finish(applied(source, stems, {"vocals": 0.0, "drums": 10.0}, store))
    assert not any(read_wav(path).any() for path in (*found.stems.values(), found.residual))
    # a stem alone with its source has nobody to take from and nobody to give to but the residual
    source, stems = made(tmp_path / "alone", store, tone(500.0, 9000), {"vocals": tone(500.0, 9000)})
    for level in (0.0, 10.0):
        found = finish(applied(source, stems, {"vocals": level}, store))
        assert np.abs(read_wav(found.stems["vocals"]) - tone(500.0, 9000)).max() < 1e-6


def test_blocks_of_any_size_give_the_same(base) -> None:
    _, stems = base
    files = {**{name: Path(path) for name, path in stems.stems.items()}, "residual": Path(stems.residual)}

    def heard(size: int, frames: int) -> np.ndarray:
        def change(spectra: np.ndarray) -> np.ndarray:
            return changes(spectra, [0.5, 2.0, 1.0], [[0, 1]]).reshape(-1, *spectra.shape[2:])

        with file_tracks(files) as tracks, file_tracks(files) as own:
            together = Together(Spectral(list(tracks.values()), change, size=1024), 3)
            drums = [Changed(own[name], together, place) for place, name in enumerate(stems.stems)]
            done = []
            for at in range(0, frames, size):
                blocks = [each.read(min(size, frames - at)) for each in drums]
                done.append(np.concatenate(blocks))
        return np.concatenate(done, axis=1)

    whole = heard(12_000, 12_000)
    assert np.array_equal(heard(4096, 12_000), whole)
    assert np.array_equal(heard(64, 12_000), whole)
    assert np.array_equal(heard(1, 500), whole[:, :500])


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"voice": 3.0}, r'separation\.sensitivity\.voice: there is no stem "voice".*there are: bass, drums, vocals'),
        ({"vocals": 10.5}, r"separation\.sensitivity\.vocals: is 10\.5, outside 0 to 10"),
        ({"vocals": float("nan")}, r"separation\.sensitivity\.vocals: is nan, outside"),
    ],
)
def test_what_can_not_be_is_refused(base, store: Store, levels: dict[str, float], said: str) -> None:
    with pytest.raises(UnbakeError, match=said):
        finish(applied(base[0], base[1], levels, store))


def test_a_session_of_another_tools_stems_hears_and_pins_them(unbake: Callable, song: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.unbake.toml"
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems", "-o", path).code == 0
    assert unbake("session", "set", path, "strips.bass.mode=cancel").code == 0
    assert unbake("render", path, "-o", tmp_path / "plain.wav").code == 0
    shown = unbake("session", "set", path, "separation.sensitivity.bass=2", "--json").json["document"]
    assert shown["separation"]["sensitivity"] == {"bass": 2.0}
    assert not shown["separation"].get("hashes")
    rendered = unbake("render", path, "-o", tmp_path / "kept.wav")
    assert rendered.code == 0
    assert "differs from the one" not in rendered.err
    # the bass kept more of the rest, which the cancelled stem takes with it
    plain, kept = read_wav(tmp_path / "plain.wav"), read_wav(tmp_path / "kept.wav")
    assert np.sum(kept**2) < np.sum(plain**2)
    pinned = unbake("session", "show", path, "--json").json["document"]["separation"]["hashes"]
    assert unbake("render", path, "-o", tmp_path / "again.wav").code == 0
    assert (tmp_path / "again.wav").read_bytes() == (tmp_path / "kept.wav").read_bytes()
    assert unbake("render", path, "--stems-from", song.parent / "stems", "-o", tmp_path / "third.wav").code == 0
    assert (tmp_path / "third.wav").read_bytes() == (tmp_path / "kept.wav").read_bytes()
    assert set(pinned) == {"bass", "drums", "other", "vocals", "residual"}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("separation.sensitivity.tuba=3", "separation.sensitivity.tuba: no such stem (external makes"),
        ("separation.sensitivity.bass=11", "separation.sensitivity.bass: is 11, outside 0 to 10"),
        ("separation.sensitivity.bass=nan", "separation.sensitivity.bass: is nan, not a number that can be used"),
        ("separation.sensitivity.bass=loud", "separation.sensitivity: must be a number"),
    ],
)
def test_a_session_refuses_them_by_key(unbake: Callable, song: Path, tmp_path: Path, edit: str, said: str) -> None:
    path = tmp_path / "s.unbake.toml"
    assert unbake("session", "new", song, "--stems-from", song.parent / "stems", "-o", path).code == 0
    before = path.read_bytes()
    found = unbake("session", "set", path, edit)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert said in found.err
    assert path.read_bytes() == before


def test_separate_takes_them_and_keeps_the_networks_own_stems(unbake, make_song: Callable, tmp_path: Path) -> None:
    song = make_song(tmp_path / "short", frames=9000)
    own = unbake("separate", song, "-o", tmp_path / "own", "--device", "cpu", "--json").json
    other = unbake("separate", song, "-o", tmp_path / "a", "--device", "cpu", "--sensitivity", "vocals=1", "--json")
    assert other.json["sensitivity"] == {"vocals": 1.0}
    assert own["sensitivity"] == {}
    assert not np.array_equal(read_wav(other.json["stems"]["vocals"]), read_wav(own["stems"]["vocals"]))
    total = sum(read_wav(path) for path in (*other.json["stems"].values(), other.json["residual"]))
    assert np.abs(total - read_wav(song)).max() <= NULL_LIMIT
    again = unbake("separate", song, "-o", tmp_path / "b", "--sensitivity", "vocals=1.0,drums=5", "--json")
    assert again.json["reused"]
    assert "starter" in again.err  # the caution of its model is said of them too
    assert "sensitivity" in unbake("separate", song, "-o", tmp_path / "c", "--sensitivity", "vocals=1").out
    for words, said in (("vocals=12", "from 0 to 10"), ("voice=3", "sensitivity.voice"), ("vocals", "from 0 to 10")):
        found = unbake("separate", song, "-o", tmp_path / "d", "--sensitivity", words)
        assert (found.code, found.err.count("\n")) == (2, 1)
        assert said in found.err
