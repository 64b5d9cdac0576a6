from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from separation_stand_ins import NULL_LIMIT, collect, db, noise, null_peak, read_wav, write_wav

from core.errors import UnbakeError
from core.events import Note, Operation, finish
from core.separation.external import EXCERPT_SECONDS, import_stems
from core.separation.store import StemSet, Store

RATE = 44100
FRAMES = 90_000


@pytest.fixture
def stems() -> dict[str, np.ndarray]:
    return {"bass": noise(2, FRAMES, 1), "drums": noise(2, FRAMES, 2), "vocals": noise(2, FRAMES, 3)}


@pytest.fixture
def source(tmp_path: Path, stems: dict[str, np.ndarray]) -> Path:
    return write_wav(tmp_path / "mix.wav", sum(stems.values()) + 1e-4 * noise(2, FRAMES, 4))


def folder_of(tmp_path: Path, stems: dict[str, np.ndarray], *, subtype: str = "FLOAT") -> Path:
    folder = tmp_path / "stems"
    folder.mkdir(exist_ok=True)
    for name, block in stems.items():
        write_wav(folder / f"{name}.wav", block, subtype=subtype)
    return folder


def by_correlation(a: np.ndarray, b: np.ndarray, rate: int) -> tuple[float, int]:
    size = 2 * a.shape[1]
    cross = np.fft.irfft(np.fft.rfft(b[0], size) * np.conj(np.fft.rfft(a[0], size)))
    at = int(np.argmax(np.abs(cross)))
    return float(at if at < a.shape[1] else at - size), 1 if cross[at] > 0 else -1


def imported(operation: Operation[StemSet]) -> tuple[StemSet, list[str]]:
    """The set, and the notes on the way."""
    result, events = collect(operation)
    return result, [event.text for event in events if isinstance(event, Note)]


def test_stems_of_another_tool_null_with_a_residual_of_their_own(tmp_path: Path, source: Path, stems, store: Store):
    folder = folder_of(tmp_path, {"bass": stems["bass"], "Drums": stems["drums"]})
    soundfile.write(folder / "vocals.flac", stems["vocals"].T, RATE, subtype="PCM_24")
    result, notes = imported(import_stems(source, folder, offset_of=by_correlation, store=store))
    assert list(result.stems) == ["bass", "drums", "vocals"]
    assert (result.model, result.frames, result.reused) == ("external", FRAMES, False)
    assert notes == []
    assert np.array_equal(read_wav(result.stems["vocals"]), read_wav(folder / "vocals.flac"))
    assert null_peak(source, result) <= NULL_LIMIT
    again, _ = imported(import_stems(source, folder, offset_of=by_correlation, store=store))
    assert again == msgspec.structs.replace(result, reused=True)
    write_wav(folder / "bass.wav", stems["bass"] * 0.99)
    assert not finish(import_stems(source, folder, store=store)).reused


def test_the_mix_beside_its_stems_is_no_stem(tmp_path: Path, source: Path, stems, store: Store):
    folder = folder_of(tmp_path, stems)
    (folder / "mixture.wav").write_bytes(source.read_bytes())
    (folder / "Master.wav").hardlink_to(source)
    result, notes = imported(import_stems(folder / "Master.wav", folder, store=store))
    assert sorted(result.stems) == sorted(stems)
    assert notes == [f"{name}.wav is left out: it is the mix, not a part of it" for name in ("Master", "mixture")]


def test_a_residual_in_the_folder_is_computed_anew(tmp_path: Path, source: Path, stems, store: Store):
    folder = folder_of(tmp_path, {**stems, "residual": stems["bass"]})
    (folder / "notes.txt").write_text("not audio")
    (folder / "._bass.wav").write_bytes(b"not audio either")
    result, notes = imported(import_stems(source, folder, store=store))
    assert notes == ["residual.wav is left out: the residual is computed anew from the source"]
    assert "residual" not in result.stems
    assert null_peak(source, result) <= NULL_LIMIT


@pytest.mark.parametrize("shift", [37, -37])
@pytest.mark.parametrize("polarity", [1, -1])
def test_an_offset_is_said_and_taken_out_only_when_asked(
    tmp_path: Path, source: Path, stems, store: Store, shift: int, polarity: int
):
    late = {name: polarity * np.roll(block, shift, axis=1) for name, block in stems.items()}
    folder = folder_of(tmp_path, late)
    _, notes = imported(import_stems(source, folder, offset_of=by_correlation, store=store))
    word = "later" if shift > 0 else "earlier"
    assert f"the stems are 37.00 frames {word} than the source; --align takes it out" in notes
    assert any("opposite polarity" in text for text in notes) == (polarity < 0)
    assert any("don't add up" in text for text in notes)

    moved, notes = imported(import_stems(source, folder, align=True, offset_of=by_correlation, store=store))
    assert f"the stems are 37.00 frames {word} than the source: moved by 37 frames" in notes
    assert not any("don't add up" in text for text in notes)
    middle = slice(40, FRAMES - 40)
    got = read_wav(moved.stems["bass"])
    assert got.shape == (2, FRAMES)
    assert np.array_equal(got[:, middle], stems["bass"].astype(np.float32)[:, middle])
    assert null_peak(source, moved) <= NULL_LIMIT


def test_part_of_a_frame_is_said_and_left(tmp_path: Path, source: Path, stems, store: Store):
    folder = folder_of(tmp_path, {name: np.roll(block, 3, axis=1) for name, block in stems.items()})
    result, notes = imported(import_stems(source, folder, align=True, offset_of=lambda *_: (3.3, 1), store=store))
    assert notes[0].startswith(
        "the stems are 3.30 frames later than the source: moved by 3 frames; +0.30 of a frame is"
    )
    assert np.array_equal(read_wav(result.stems["bass"])[:, :-3], stems["bass"].astype(np.float32)[:, :-3])
    folder = folder_of(tmp_path, stems)
    _, notes = imported(import_stems(source, folder, align=True, offset_of=lambda *_: (0.02, 1), store=store))
    assert notes == []


def test_the_offset_is_measured_where_it_is_loudest(tmp_path: Path, store: Store):
    frames = 60 * 8000
    mix = 1e-4 * noise(1, frames)
    mix[:, frames // 2 : frames // 2 + 8000] *= 1e3
    source = write_wav(tmp_path / "mix.wav", mix, 8000)
    folder = tmp_path / "stems"
    folder.mkdir()
    write_wav(folder / "all.wav", mix, 8000)
    asked = []

    def offset_of(a: np.ndarray, b: np.ndarray, rate: int) -> tuple[float, int]:
        asked.append((a.shape, b.shape, rate, db(float(np.abs(a).max()))))
        return 0.0, 1

    finish(import_stems(source, folder, offset_of=offset_of, store=store))
    ((a, b, rate, peak),) = asked
    assert a == b
    assert a[1] <= EXCERPT_SECONDS * 8000
    assert rate == 8000
    assert peak > -40


def test_missing_stems_are_noticed(tmp_path: Path, source: Path, stems, store: Store):
    folder = folder_of(tmp_path, {"bass": stems["bass"]})
    first, notes = imported(import_stems(source, folder, store=store))
    assert len(notes) == 1
    assert "the stems don't add up to the source: what is left is -1.8 dB relative to it" in notes[0]
    again, notes_again = imported(import_stems(source, folder, store=store))
    assert again.reused
    assert notes_again == notes, "what is wrong with stems is said every time they are used"
    assert first.notes == tuple(notes)


def test_files_that_do_not_fit_are_refused_with_both_figures(tmp_path: Path, source: Path, stems, store: Store):
    folder = folder_of(tmp_path, stems)

    def refused(words: str) -> None:
        with pytest.raises(UnbakeError, match=words):
            finish(import_stems(source, folder, store=store))

    write_wav(folder / "bass.wav", stems["bass"][:, :-5])
    refused("bass.wav: its length is 89995 frames, the source's is 90000 frames")
    write_wav(folder / "bass.wav", stems["bass"], 48000)
    refused("bass.wav: its sample rate is 48000 Hz, the source's is 44100 Hz")
    write_wav(folder / "bass.wav", stems["bass"][:1])
    refused("bass.wav: its channel count is 1 channels, the source's is 2 channels")
    bad = stems["bass"].copy()
    bad[0, 44100] = np.nan
    write_wav(folder / "bass.wav", bad, subtype="FLOAT")
    refused(r"bass.wav: sample is NaN at 0:01.000 \(frame 44100\), channel 1")
    (folder / "bass.wav").write_bytes(b"no audio at all")
    refused("bass.wav")
    (folder / "bass.wav").unlink()
    write_wav(folder / "the bass!.wav", stems["bass"])
    refused('"the bass!" can\'t be the name of a stem')
    (folder / "the bass!.wav").unlink()
    soundfile.write(folder / "drums.flac", stems["drums"].T, RATE)
    refused("is the stem drums a second time, beside drums.flac")
    assert store.listing() == []


def test_a_folder_without_stems_is_refused(tmp_path: Path, source: Path, store: Store):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UnbakeError, match="holds no stems"):
        finish(import_stems(source, empty, store=store))
    (empty / "residual.wav").write_bytes(source.read_bytes())
    with pytest.raises(UnbakeError, match="holds no stems"):
        finish(import_stems(source, empty, store=store))
    with pytest.raises(UnbakeError, match="no such file or folder"):
        finish(import_stems(source, tmp_path / "missing", store=store))
    with pytest.raises(UnbakeError, match="not a folder"):
        finish(import_stems(source, source, store=store))


def test_a_cancelled_import_leaves_nothing(tmp_path: Path, source: Path, stems, store: Store):
    operation = import_stems(source, folder_of(tmp_path, stems), store=store)
    for event in operation:
        if getattr(event, "stage", "") == "writing stems":
            break
    operation.close()
    assert store.listing() == []
    assert not list(store.folder.rglob("*.wav"))
