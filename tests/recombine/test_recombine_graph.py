"""The delta sum: one formula, three modes, and nothing where nothing was asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.errors import UnbakeError
from core.recombine import graph as graphs
from core.recombine.graph import Graph
from core.session.document import Separation, Session, Source, Strip
from core.session.processors import Bell, Gain, Limiter, MasterProcessor

FRAMES = 70_001


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, dict[str, Path]]:
    rng = np.random.default_rng(7)
    soundfile.write(tmp_path / "song.wav", rng.standard_normal((FRAMES, 2)) * 0.1, 44_100, subtype="PCM_24")
    stems = {}
    for name in ("vocals", "bass", "residual"):
        stems[name] = tmp_path / f"{name}.wav"
        soundfile.write(stems[name], rng.standard_normal((FRAMES, 2)) * 0.05, 44_100, subtype="FLOAT")
    return tmp_path / "song.wav", stems


def session(song: Path, strips: dict[str, Strip], master: tuple[MasterProcessor, ...] = ()) -> Session:
    source = Source(str(song), "ab", 44_100, 2, FRAMES, "WAV", "PCM_24")
    return Session(source=source, separation=Separation(stems=("vocals", "bass")), strips=strips, master=master)


def heard(document: Session, stems: dict[str, Path], frames: int = 65_536) -> np.ndarray:
    with Graph(document, stems) as graph:
        return np.concatenate(list(graph.blocks(frames)), axis=1).T


def test_an_untouched_session_is_the_source_and_opens_no_stem(files) -> None:
    song, _ = files
    source, _ = soundfile.read(song)
    neutral = {"bass": Strip(chain=(Bell(freq_hz=100.0),)), "vocals": Strip(mode="parallel")}
    assert np.array_equal(heard(session(song, neutral), {}), source)


def test_the_three_modes_are_the_formulas_of_the_design(files) -> None:
    song, stems = files
    source, bass = soundfile.read(song)[0], soundfile.read(stems["bass"])[0]
    gain = 10 ** (-6 / 20)
    replaced = heard(session(song, {"bass": Strip(gain_db=-6.0)}), stems)
    assert np.array_equal(replaced, source + (bass * gain - bass))
    parallel = heard(session(song, {"bass": Strip(gain_db=-6.0, mode="parallel", blend=0.5)}), stems)
    assert np.array_equal(parallel, source + 0.5 * (bass * gain))
    cancelled = heard(session(song, {"bass": Strip(gain_db=-6.0, mode="cancel")}), stems)
    assert np.array_equal(cancelled, source - bass)


def test_deltas_of_several_strips_add_up_the_residual_among_them(files) -> None:
    song, stems = files
    source = soundfile.read(song)[0]
    both = heard(session(song, {"bass": Strip(mode="cancel"), "residual": Strip(mode="cancel")}), stems)
    assert np.array_equal(both, source - soundfile.read(stems["bass"])[0] - soundfile.read(stems["residual"])[0])


class Late:
    """A stage that does nothing, a given number of frames later."""

    def __init__(self, latency: int) -> None:
        self.latency = self.memory = latency
        self.reset()

    def reset(self) -> None:
        self._held = np.zeros((2, self.latency))

    def process(self, block: np.ndarray) -> np.ndarray:
        joined = np.concatenate([self._held, block], axis=1)
        self._held = joined[:, block.shape[1] :]
        return joined[:, : block.shape[1]]


@pytest.mark.parametrize("latency", [1, 333, 70_000])
def test_latency_of_a_processor_is_taken_out_to_the_sample(
    files, monkeypatch: pytest.MonkeyPatch, latency: int
) -> None:
    song, stems = files
    plain = graphs.build_strip
    monkeypatch.setattr(graphs, "build_strip", lambda *args: graphs.Series([Late(latency), plain(*args)]))
    source, bass = soundfile.read(song)[0], soundfile.read(stems["bass"])[0]
    found = heard(session(song, {"bass": Strip(gain_db=-6.0)}), stems, 10_000)
    assert np.array_equal(found, source + (bass * 10 ** (-6 / 20) - bass))


def test_a_master_processor_with_latency_keeps_time_and_its_tail(files) -> None:
    song, stems = files
    source = soundfile.read(song)[0]
    found = heard(session(song, {}, (Gain(gain_db=-20.0), Limiter(ceiling_dbtp=0.0))), stems, 1000)
    assert np.array_equal(found, source * 10 ** (-20 / 20))


def test_nan_and_inf_are_refused_with_their_place(tmp_path: Path) -> None:
    for value, name in ((np.nan, "NaN"), (np.inf, "infinite")):
        sound = np.zeros((FRAMES, 2))
        sound[66_150, 1] = value
        soundfile.write(tmp_path / "bad.wav", sound, 44_100, subtype="FLOAT")
        with pytest.raises(UnbakeError, match=rf"{name} at 0:01\.500 \(frame 66150\), channel 2"):
            heard(session(tmp_path / "bad.wav", {}), {})


def test_stems_that_do_not_fit_are_named(files, tmp_path: Path) -> None:
    song, _ = files
    soundfile.write(tmp_path / "short.wav", np.zeros((10, 2)), 44_100, subtype="FLOAT")
    with pytest.raises(UnbakeError, match=r"short\.wav: frames is 10, but the source has 70001"):
        heard(session(song, {"bass": Strip(gain_db=1.0)}), {"bass": tmp_path / "short.wav"})
    with pytest.raises(UnbakeError, match=r"strips\.bass"):
        heard(session(song, {"bass": Strip(gain_db=1.0)}), {})
