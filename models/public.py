"""Public configurations of networks, as the training programs write them, and what a card takes from them.

They are YAML files with the tables `audio`, `model` and `training`. A file is read as data: tuples that are tagged as
Python's are lists, and whatever else would make an object of Python's is refused.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from core.errors import UnbakeError, os_error
from models import registry

LARGEST_BYTES = 1_000_000
FLOAT_TAG = "tag:yaml.org,2002:float"
SAMPLE_RATE = 44_100
SIGNS = {
    "scnet": "band_SR",
    "bsrnn": "band_specs",
    "mdx23c": "num_blocks_per_scale",
    "mel_band_roformer": "num_bands",
    "bs_roformer": "freqs_per_bands",
}
"""Architectures by a parameter that only they have; BS-RoFormers may leave theirs out."""
STEMS = (
    "vocals", "drums", "bass", "other", "guitar", "piano", "instrumental", "lead_vocals", "back_vocals", "dry",
    "reverb", "clean", "noise", "crowd", "kick", "snare", "toms", "hihat", "cymbals", "ride", "crash", "speech",
    "music", "effects",
)  # fmt: skip
"""What unbake calls stems."""
ALSO = {
    "vocal": "vocals", "voice": "vocals", "voices": "vocals", "instrum": "instrumental", "inst": "instrumental",
    "accompaniment": "instrumental", "no_vocals": "instrumental", "karaoke": "lead_vocals", "lead": "lead_vocals",
    "lead_vocal": "lead_vocals", "back": "back_vocals", "back_vocal": "back_vocals", "backing": "back_vocals",
    "backing_vocals": "back_vocals", "noreverb": "dry", "no_reverb": "dry", "dereverb": "dry", "no_dry": "reverb",
    "denoised": "clean", "drum": "drums", "tom": "toms", "hh": "hihat", "hi_hat": "hihat", "cymbal": "cymbals",
    "dialog": "speech", "dialogue": "speech", "sfx": "effects", "effect": "effects",
}  # fmt: skip
"""What others call them."""


class Parts(NamedTuple):
    """What a public configuration says of a card."""

    architecture: str
    stems: tuple[str, ...]
    sample_rate: int
    chunk: int
    normalise: str
    config: dict[str, Any]


def read(path: Path) -> dict[str, Any]:
    """The tables of a YAML file. Raises UnbakeError for one that is no such thing, or asks for objects of Python's."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise os_error(error, path) from error
    if len(data) > LARGEST_BYTES:
        raise UnbakeError("too large for a network's configuration", where=path)
    import yaml

    try:
        found = yaml.load(data.decode("utf-8"), _loader())
    except UnbakeError as error:
        raise UnbakeError(error.what, where=path, remedy=error.remedy) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UnbakeError(f"not a readable YAML file: {' '.join(str(error).split())[:200]}", where=path) from error
    if not isinstance(found, dict):
        raise UnbakeError("not a network's configuration: no tables in it", where=path)
    return found


def _loader() -> Any:
    """A loader of plain values."""
    import yaml

    class Loader(yaml.SafeLoader):
        """No aliases: a few bytes of them can stand for more than a memory holds."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise UnbakeError("aliases (*name) are not read here")
            return super().compose_node(parent, index)

    def listed(loader: Any, node: Any) -> list[Any]:
        return loader.construct_sequence(node, deep=True)

    def refuse(_loader: Any, suffix: str, _node: Any) -> NoReturn:
        what = f"this configuration would run code: it asks for Python's {suffix}"
        raise UnbakeError(what, remedy="don't use this file")

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", listed)
    Loader.add_multi_constructor("tag:yaml.org,2002:python/", refuse)
    # to YAML 1.1 a number needs a point to have an exponent; people write 1e-3
    Loader.add_implicit_resolver(FLOAT_TAG, re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))
    return Loader


def parts(tables: dict[str, Any], where: str, architecture: str | None = None) -> Parts:
    """What a public configuration says, under unbake's names. Without `architecture` its parameters tell."""
    if isinstance(tables.get("model"), str):
        tables = _under_its_name(tables, tables["model"], where)
        architecture = architecture or tables["architecture"]
    model, audio, training, inference = (
        _table(tables, key, where) for key in ("model", "audio", "training", "inference")
    )
    architecture = architecture or detect(model, where)
    registry.known(architecture, registry.ARCHITECTURES, "architecture", where=where)
    stems = ours(_outputs(training, model, where))
    expected = model.get("num_stems", len(stems))
    if expected != len(stems):
        what = f"model.num_stems: {expected} where training names {len(stems)} ({', '.join(stems)})"
        raise UnbakeError(
            what, where=where, remedy="training.target_instrument names the one that a network of one gives"
        )
    # some networks have numbers of their transform among those of the audio
    module = importlib.import_module(registry.ARCHITECTURES[architecture].module)
    config = {**model, **{key: audio[key] for key in getattr(module, "AUDIO_KEYS", ()) if key in audio}}
    return Parts(
        architecture=architecture,
        stems=stems,
        sample_rate=_whole(audio, "sample_rate", where, SAMPLE_RATE),
        chunk=_whole(audio, "chunk_size", where),
        normalise="track" if inference.get("normalize") is True else "none",
        config={key: value for key, value in config.items() if value is not None},
    )


def detect(model: dict[str, Any], where: str) -> str:
    """The architecture that a table `model` is of."""
    for architecture, sign in SIGNS.items():
        if sign in model:
            return architecture
    if {"dim", "depth", "stft_hop_length"} <= model.keys():
        return "bs_roformer"
    remedy = f"say --architecture: {', '.join(sorted(registry.ARCHITECTURES))}"
    raise UnbakeError("model: the parameters are of no architecture that unbake has", where=where, remedy=remedy)


def ours(names: list[str]) -> tuple[str, ...]:
    """Stems under our names. What is neither voice nor, in its place, anything else is the accompaniment."""
    plain = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in names]
    found = [ALSO.get(name, name) for name in plain]
    if sorted(found) == ["other", "vocals"]:
        found[found.index("other")] = "instrumental"
    return tuple(found)


def _under_its_name(tables: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """The tables of a Demucs network, whose parameters stand under its name and in `training`, as others have them."""
    training, model = _table(tables, "training", where), dict(_table(tables, name, where))
    if model.pop("num_subbands", 1) != 1:
        raise UnbakeError(f"{name}.num_subbands: only 1 is read here", where=where)
    for ours_, theirs in (("samplerate", "samplerate"), ("segment", "segment"), ("audio_channels", "channels")):
        if theirs in training:
            model[ours_] = training[theirs]
    audio = {"sample_rate": training.get("samplerate", SAMPLE_RATE), **_table(tables, "audio", where)}
    return {**tables, "architecture": name, "model": model, "audio": audio}


def _outputs(training: dict[str, Any], model: dict[str, Any], where: str) -> list[str]:
    """What the network gives, under its public names and in its order."""
    listed = training.get("instruments") or model.get("sources") or model.get("stems")
    if not (isinstance(listed, list) and listed and all(isinstance(name, str) and name.strip() for name in listed)):
        raise UnbakeError("training.instruments: no names of stems", where=where)
    target = training.get("target_instrument")
    if target is None:
        return listed
    if target not in listed:
        raise UnbakeError(f"training.target_instrument: {target!r} is none of the instruments", where=where)
    named = dict(zip(listed, ours(listed), strict=True))
    return [named[target]]


def _table(tables: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    found = tables.get(key)
    if found is None and key in ("training", "inference"):
        return {}
    if not isinstance(found, dict):
        raise UnbakeError(f"{key}: no such table, as public configurations have it", where=where)
    return found


def _whole(table: dict[str, Any], key: str, where: str, default: int | None = None) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnbakeError(f"audio.{key}: {value!r} is no number of frames", where=where)
    return value
