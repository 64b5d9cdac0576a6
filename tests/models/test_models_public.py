"""Public configurations: read as data, under our names, and refused where they are something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UnbakeError
from models import public, registry
from models.registry import Architecture

ROFORMER = """
audio:
  chunk_size: 352800
  hop_length: 441
  sample_rate: 44100
model:
  dim: 384
  depth: 6
  num_stems: 1
  num_bands: 60
  stft_hop_length: 441
  multi_stft_resolutions_window_sizes: !!python/tuple
  - 4096
  - 2048
  lr: null
training:
  instruments: [vocals, other]
  target_instrument: {target}
inference:
  normalize: {normalize}
"""


@pytest.fixture(autouse=True)
def architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a configuration may be found to be, whatever networks there are."""
    for name in public.SIGNS:
        monkeypatch.setitem(registry.ARCHITECTURES, name, Architecture("models_tiny", version=1))


def read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "net.yaml"
    path.write_text(text, encoding="utf-8")
    return public.read(path)


def test_a_configuration_gives_what_a_card_needs(tmp_path: Path) -> None:
    tables = read(tmp_path, ROFORMER.format(target="vocals", normalize="false"))
    parts = public.parts(tables, "net.yaml")
    assert parts == public.Parts(
        architecture="mel_band_roformer",
        stems=("vocals",),
        sample_rate=44100,
        chunk=352800,
        normalise="none",
        config={
            "dim": 384,
            "depth": 6,
            "num_stems": 1,
            "num_bands": 60,
            "stft_hop_length": 441,
            "multi_stft_resolutions_window_sizes": [4096, 2048],
        },
    )


def test_other_beside_vocals_is_the_accompaniment(tmp_path: Path) -> None:
    tables = read(tmp_path, ROFORMER.format(target="other", normalize="true"))
    parts = public.parts(tables, "net.yaml")
    assert parts.stems == ("instrumental",)
    assert parts.normalise == "track"


def test_numbers_of_the_transform_come_from_the_audio_table_where_a_network_wants_them(tmp_path: Path) -> None:
    text = "audio: {chunk_size: 100, n_fft: 8192, hop_length: 1}\nmodel: {num_blocks_per_scale: 2}\n"
    tables = read(tmp_path, text + "training: {instruments: [kick, HH], target_instrument: null}")
    parts = public.parts(tables, "net.yaml")
    assert parts.architecture == "mdx23c"
    assert parts.stems == ("kick", "hihat")
    assert parts.config == {"num_blocks_per_scale": 2, "n_fft": 8192}
    assert parts.sample_rate == 44100


def test_a_demucs_network_stands_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ARCHITECTURES, "htdemucs", Architecture("models_tiny", version=1))
    text = """
    audio: {chunk_size: 485100}
    training: {instruments: [vocals, other], target_instrument: null, segment: 11, samplerate: 44100, channels: 2}
    model: htdemucs
    htdemucs: {channels: 48, channels_time: null, num_subbands: 1, dconv_init: 1e-3, t_max_period: 10000.0}
    """
    parts = public.parts(read(tmp_path, text), "net.yaml")
    assert (parts.architecture, parts.stems) == ("htdemucs", ("vocals", "instrumental"))
    assert (parts.chunk, parts.sample_rate) == (485_100, 44_100)
    assert parts.config == {
        "channels": 48, "dconv_init": 0.001, "t_max_period": 10000.0, "samplerate": 44100, "segment": 11,
        "audio_channels": 2,
    }  # fmt: skip
    with pytest.raises(UnbakeError, match=r"htdemucs.num_subbands: only 1 is read here"):
        public.parts(read(tmp_path, text.replace("num_subbands: 1", "num_subbands: 4")), "net.yaml")
    with pytest.raises(UnbakeError, match="demucs: no such table"):
        public.parts(read(tmp_path, text.replace("model: htdemucs", "model: demucs")), "net.yaml")


@pytest.mark.parametrize(
    ("names", "ours"),
    [
        (["Vocals", "Instrumental"], ("vocals", "instrumental")),
        (["vocals", "other"], ("vocals", "instrumental")),
        (["drums", "bass", "other", "vocals"], ("drums", "bass", "other", "vocals")),
        (["noreverb", "reverb"], ("dry", "reverb")),
        (["No Reverb"], ("dry",)),
        (["kick", "snare", "toms", "hh", "ride", "crash"], ("kick", "snare", "toms", "hihat", "ride", "crash")),
        (["karaoke", "other"], ("lead_vocals", "other")),
        (["Bowed Strings"], ("bowed_strings",)),
    ],
)
def test_stems_get_our_names(names: list[str], ours: tuple[str, ...]) -> None:
    assert public.ours(names) == ours


def test_all_that_others_say_is_a_name_of_ours() -> None:
    assert set(public.ALSO.values()) <= set(public.STEMS)
    assert not set(public.ALSO) & set(public.STEMS)


@pytest.mark.parametrize(
    ("model", "architecture"),
    [
        ({"dim": 1, "depth": 1, "stft_hop_length": 1}, "bs_roformer"),
        ({"dim": 1, "depth": 1, "stft_hop_length": 1, "freqs_per_bands": [1]}, "bs_roformer"),
        ({"dim": 1, "depth": 1, "stft_hop_length": 1, "num_bands": 60}, "mel_band_roformer"),
        ({"band_SR": [1]}, "scnet"),
        ({"band_specs": "musical", "n_bands": 64}, "bsrnn"),
        ({"num_subbands": 4, "num_blocks_per_scale": 2}, "mdx23c"),
    ],
)
def test_the_architecture_is_found_out(model: dict[str, object], architecture: str) -> None:
    assert public.detect(model, "net.yaml") == architecture


def test_one_that_is_not_known_is_asked_for() -> None:
    with pytest.raises(UnbakeError, match=r"parameters are of no architecture .*say --architecture: .*bs_roformer"):
        public.detect({"layers": 3}, "net.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: !!python/object/apply:os.system [id]", "would run code: it asks for Python's object/apply:os.system"),
        ("model: !!python/name:os.system", "would run code: it asks for Python's name:os.system"),
        ("a: &x [1]\nb: *x", r"aliases \(\*name\) are not read"),
        ("model: [", "not a readable YAML file"),
        ("- 1", "no tables in it"),
        ("\x00", "not a readable YAML file"),
        ("x: " + "[" * 100_000, "not a readable YAML file"),
        ("# " + "x" * 1_000_001, "too large"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UnbakeError, match=says) as caught:
        read(tmp_path, text)
    assert caught.value.where == str(tmp_path / "net.yaml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  chunk_size: 352800\n", "", "audio.chunk_size: None is no number"),
        ("chunk_size: 352800", "chunk_size: true", "audio.chunk_size: True is no number"),
        ("instruments: [vocals, other]", "instruments: []", "training.instruments: no names of stems"),
        ("target_instrument: vocals", "target_instrument: bass", "target_instrument: 'bass' is none of"),
        ("target_instrument: vocals", "target_instrument: null", "model.num_stems: 1 where training names 2"),
        ("audio:", "sound:", "audio: no such table"),
        ("model:", "net:", "model: no such table"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = ROFORMER.format(target="vocals", normalize="false")
    assert old in text
    with pytest.raises(UnbakeError, match=says):
        public.parts(read(tmp_path, text.replace(old, new)), "net.yaml")
