import os
import time
from collections import namedtuple
from pathlib import Path

import msgspec
import pytest
from separation_stand_ins import Split, network_of, noise, write_wav

from core.errors import UnbakeError
from core.events import Note, finish
from core.separation import store as store_module
from core.separation.lock import Lock
from core.separation.separate import SeparationRequest, separate
from core.separation.store import FORMAT, Entry, Recipe, StemSet, Store

REQUEST = SeparationRequest(model="fake", device="cpu")
NETWORK = network_of(Split([0.6, 0.4]))
DAY = 86400


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "My song, final (2).wav", noise(2, 20_000))


@pytest.fixture
def made(source: Path, store: Store) -> StemSet:
    return finish(separate(source, REQUEST, network=NETWORK, store=store))


def entry_of(result: StemSet) -> Entry:
    return msgspec.json.decode((Path(result.folder) / "entry.json").read_bytes(), type=Entry)


def set_age(result: StemSet, days: float) -> None:
    then = time.time() - days * DAY
    for path in (*Path(result.folder).iterdir(), Path(result.folder)):
        os.utime(path, (then, then))
    rehash(result)


def rehash(result: StemSet) -> None:
    """Writes the files' present times into the entry, as if they had been stored so."""
    file = Path(result.folder) / "entry.json"
    times = (file.stat().st_mtime_ns, file.stat().st_mtime_ns)
    entry = entry_of(result)
    files = {
        name: msgspec.structs.replace(stored, mtime_ns=(file.parent / stored.file).stat().st_mtime_ns)
        for name, stored in entry.files.items()
    }
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(entry, files=files)))
    os.utime(file, ns=times)
    os.utime(file.parent, ns=times)


def test_the_second_time_nothing_is_computed(source: Path, store: Store, made: StemSet):
    def load(device: str):
        raise AssertionError("the network was asked for")

    again = finish(separate(source, REQUEST, network=network_of(Split([]), load=load), store=store))
    assert again == msgspec.structs.replace(made, reused=True)


def test_the_store_lies_where_unbake_cache_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNBAKE_CACHE", str(tmp_path / "elsewhere"))
    assert Store().folder == tmp_path / "elsewhere" / "stems"


def test_an_entry_says_where_it_comes_from(source: Path, made: StemSet):
    entry = entry_of(made)
    assert (entry.format, entry.recipe.model, entry.recipe.overlap) == (FORMAT, "fake", 2.0)
    assert (entry.source.name, entry.source.frames, entry.source.sample_rate) == (source.name, 20_000, 44100)
    assert list(entry.files) == ["bass", "rest", "residual"]
    assert {name: stored.sha256 for name, stored in entry.files.items()} == made.hashes
    assert Path(made.folder).name == f"My_song_final_2-fake-{entry.recipe.key()}"


def test_everything_that_decides_the_samples_is_in_the_key():
    recipe = Recipe(source_sha256="0" * 64, model="m", network_version="1", stems=("a", "b"), overlap=2.0)
    others = [
        msgspec.structs.replace(recipe, **{field: value})
        for field, value in {
            "source_sha256": "1" * 64,
            "model": "n",
            "network_version": "2",
            "stems": ("a",),
            "overlap": 4.0,
            "window": "kaiser",
            "extension": "zeros",
            "resampler": "soxr 9",
            "store_format": 2,
            "precision": "bf16",
            "compiled": True,
            "variant": "swapped",
            "sensitivity": "a 3.0 (masks-1)",
            "heard": "2" * 64,
        }.items()
    ]
    assert {field.name for field in msgspec.structs.fields(Recipe)} == {
        name for other in others for name in Recipe.__struct_fields__ if getattr(other, name) != getattr(recipe, name)
    }
    assert len({recipe.key(), *(other.key() for other in others)}) == len(others) + 1
    assert recipe.key() == msgspec.structs.replace(recipe).key()


def test_stems_that_are_in_a_store_keep_their_key():
    recipe = Recipe("0" * 64, "m", "1", ("a", "b"), 2.0, resampler="soxr 1.0.0 / 0.1.3")
    assert recipe.key() == "f936e3c51f2f2e12"


def test_another_network_version_or_overlap_is_another_set(source: Path, store: Store, made: StemSet):
    newer = network_of(Split([0.5, 0.5]), version="2")
    assert not finish(separate(source, REQUEST, network=newer, store=store)).reused
    finer = msgspec.structs.replace(REQUEST, overlap=4.0)
    assert not finish(separate(source, finer, network=NETWORK, store=store)).reused
    assert len(store.listing()) == 3


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "bass.wav").unlink(), "bass.wav is missing"),
        (lambda folder: os.truncate(folder / "bass.wav", 1000), "bass.wav is 1000 bytes long"),
        (lambda folder: flip_bit(folder / "bass.wav"), "bass.wav was changed since it was stored"),
        (lambda folder: (folder / "entry.json").unlink(), "its entry.json is missing"),
        (lambda folder: (folder / "entry.json").write_bytes(b"\xff\x00"), "its entry.json is damaged"),
        (lambda folder: (folder / "entry.json").write_text('{"format": 1}'), "its entry.json is damaged"),
        (lambda folder: (folder / "entry.json").write_text('{"format": 0}'), "made by an older version"),
    ],
)
def test_what_cannot_be_used_is_announced_and_made_again(
    source: Path, store: Store, made: StemSet, damage, reason: str
):
    damage(Path(made.folder))
    events = list(separate(source, REQUEST, network=NETWORK, store=store))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == 1
    assert reason in notes[0]
    again = finish(separate(source, REQUEST, network=NETWORK, store=store))
    assert (again.reused, again.hashes) == (True, made.hashes)
    assert sorted(line.kind for line in store.listing()) == ["damaged", "stems"]
    assert [line.kind for line in store.prune().removed] == ["damaged"]
    assert [line.kind for line in store.listing()] == ["stems"]


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, (1, 1))


def test_a_copied_store_is_checked_by_its_hashes_and_good(source: Path, store: Store, made: StemSet):
    for name in ("bass.wav", "residual.wav"):
        os.utime(Path(made.folder) / name, (1, 1))
    assert finish(separate(source, REQUEST, network=NETWORK, store=store)).reused


def test_an_entry_of_a_newer_version_is_left_alone(source: Path, store: Store, made: StemSet):
    (Path(made.folder) / "entry.json").write_text(f'{{"format": {FORMAT + 1}, "news": []}}')
    with pytest.raises(UnbakeError, match=r"made by another version of unbake .*unbake store prune") as caught:
        finish(separate(source, REQUEST, network=NETWORK, store=store))
    assert caught.value.where == made.folder
    assert Path(made.stems["bass"]).exists()
    assert [line.kind for line in store.listing()] == ["newer"]
    assert store.prune().removed == ()
    assert store.prune(ids=[store.listing()[0].id]).bytes_freed > 0
    assert not finish(separate(source, REQUEST, network=NETWORK, store=store)).reused


def test_without_room_nothing_is_started(source: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _folder: usage(10**9, 10**9 - 5_000_000, 5_000_000))
    with pytest.raises(UnbakeError) as caught:
        finish(separate(source, REQUEST, network=NETWORK, store=store))
    # 3 files and 3 work files of 2 channels, 20000 frames, 4 bytes, and 16 MiB to spare
    assert "the stem store needs 17.7 MB and 5.0 MB is free" in caught.value.line()
    assert "unbake store prune" in caught.value.line()
    assert "UNBAKE_CACHE" in caught.value.line()
    assert store.listing() == []


def test_a_store_that_cannot_be_made_is_one_line(source: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnbakeError, match=r"not a folder|exists already"):
        finish(separate(source, REQUEST, network=NETWORK, store=Store(tmp_path / "file" / "stems")))


def many(tmp_path: Path, store: Store) -> list[StemSet]:
    """Three sets, last used 30, 10 and 0 days ago."""
    made = []
    for number, days in enumerate((30, 10, 0)):
        path = write_wav(tmp_path / f"song{number}.wav", noise(2, 20_000, seed=number))
        made.append(finish(separate(path, REQUEST, network=NETWORK, store=store)))
        set_age(made[-1], days)
    return made


def test_listing_says_what_is_there(tmp_path: Path, store: Store):
    assert store.listing() == []
    many(tmp_path, store)
    lines = store.listing()
    assert [line.source for line in lines] == ["song2.wav", "song1.wav", "song0.wav"]
    assert [round(line.days) for line in lines] == [0, 10, 30]
    assert {line.model for line in lines} == {"fake"}
    assert {line.kind for line in lines} == {"stems"}
    assert {line.stems for line in lines} == {("bass", "rest")}
    assert all(line.bytes == sum(file.stat().st_size for file in Path(line.folder).iterdir()) for line in lines)
    assert all(line.bytes > 3 * 2 * 20_000 * 4 for line in lines)


def test_prune_by_age_size_id_and_all(tmp_path: Path, store: Store):
    made = many(tmp_path, store)
    size = store.listing()[0].bytes
    assert store.prune().removed == ()
    assert store.prune(older_than_days=31, keep_bytes=4 * size).removed == ()
    pruned = store.prune(older_than_days=20)
    assert [line.source for line in pruned.removed] == ["song0.wav"]
    assert abs(pruned.bytes_freed - size) < 100
    assert not Path(made[0].folder).exists()
    assert [line.source for line in store.prune(keep_bytes=size + 100).removed] == ["song1.wav"]
    with pytest.raises(UnbakeError, match='nothing in the store has the id "zzz"'):
        store.prune(ids=["zzz"])
    assert [line.source for line in store.prune(ids=[store.listing()[0].id[:6]]).removed] == ["song2.wav"]
    many(tmp_path, store)
    with pytest.raises(UnbakeError, match='nothing in the store has the id ""'):
        store.prune(ids=[""])
    assert len(store.prune(all=True).removed) == 3
    assert [path.name for path in store.folder.rglob("*") if path.is_file()] == []


def test_using_a_set_makes_it_young_again(tmp_path: Path, store: Store):
    many(tmp_path, store)
    assert finish(separate(tmp_path / "song0.wav", REQUEST, network=NETWORK, store=store)).reused
    assert [round(line.days) for line in store.listing() if line.source == "song0.wav"] == [0]


def test_abandoned_work_is_pruned_and_locked_work_is_not(source: Path, store: Store):
    operation = separate(source, REQUEST, network=NETWORK, store=store)
    for event in operation:
        if getattr(event, "stage", "").startswith("separating") and getattr(event, "done", 0) > 4000:
            break
    (line,) = store.listing()
    assert (line.kind, line.in_use) == ("partial", True)
    pruned = store.prune(all=True)
    assert pruned.removed == ()
    assert [kept.id for kept in pruned.kept_in_use] == [line.id]
    operation.close()
    assert [line.in_use for line in store.listing()] == [False]
    assert store.prune().bytes_freed > 0
    assert store.listing() == []


def test_a_lock_belongs_to_one(tmp_path: Path):
    one, other = Lock(tmp_path / "locks" / "a.lock"), Lock(tmp_path / "locks" / "a.lock")
    assert one.acquire()
    assert not other.acquire()
    assert other.is_held()
    assert other.holder() == f"process {os.getpid()}"
    one.release()
    assert not other.is_held()
    assert other.acquire()
    other.path.unlink()
    assert one.acquire(), "a lock on a file that was removed guards nothing"
    other.release()
    one.release()
