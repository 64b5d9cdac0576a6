"""What this machine has of all that unbake can use, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from core import places
from core.warp.engines import rubberband
from models import registry

State = Literal["ok", "note", "problem"]
LIBRARIES = ("numpy", "scipy", "numba", "soundfile", "av", "torch", "soxr", "msgspec", "mutagen")


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's: what, how it is, and what that means."""

    name: str
    state: State
    detail: str


class Examination(msgspec.Struct, frozen=True):
    """All findings. `healthy` when there is no problem; a note is no problem."""

    findings: tuple[Finding, ...]
    healthy: bool
    schema: int = 1


def examine() -> Examination:
    """Looks at the machine. Imports torch, so it takes seconds; touches no network and writes nothing."""
    findings = (
        Finding("unbake", "ok", f"{metadata.version('unbake')} on Python {platform.python_version()}, {sys.platform}"),
        _processor(),
        _device(),
        *_codecs(),
        _folder("stem store", places.cache()),
        _folder("presets, cards", places.home()),
        *_models(),
        _plugins(),
        _stretcher(),
        Finding("libraries", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)),
    )
    return Examination(findings, all(finding.state != "problem" for finding in findings))


def _processor() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Finding("processor", "ok", f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.machine()}")


def _device() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", "note", "none that torch can use: separation runs on the processor")
    cards = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return Finding("GPU", "ok", "; ".join(f"{card.name}, {card.total_memory / 1e9:.0f} GB" for card in cards))


def _codecs() -> list[Finding]:
    import av
    import soundfile

    formats = ("WAV", "RF64", "W64", "AIFF", "FLAC", "CAF", "OGG", "MP3")
    missing = [name for name in formats if name not in soundfile.available_formats()]
    state: State = "problem" if missing else "ok"
    detail = f"libsndfile {soundfile.__libsndfile_version__}: {', '.join(sorted(set(formats) - set(missing)))}"
    if missing:
        detail += f"; it lacks {', '.join(missing)}: install a newer libsndfile"
    codecs = [name for name in ("aac", "alac", "opus") if name in av.codecs_available]
    return [
        Finding("files", state, detail),
        Finding("containers", "ok" if len(codecs) == 3 else "problem", f"PyAV {av.__version__}: {', '.join(codecs)}"),
    ]


def _plugins() -> Finding:
    try:
        return Finding("VST3 plug-ins", "ok", f"pedalboard {metadata.version('pedalboard')} runs them")
    except metadata.PackageNotFoundError:
        return Finding(
            "VST3 plug-ins", "note", "pedalboard, which runs them, is not installed: pip install 'unbake[vst3]'"
        )


def _stretcher() -> Finding:
    version = rubberband.find()
    if version is None:
        return Finding("stretcher", "note", f"mode rubberband of warp needs its command: {rubberband.REMEDY}")
    return Finding("stretcher", "ok", f"rubberband {version}, for mode rubberband of warp")


def _folder(name: str, folder: Path) -> Finding:
    there = folder
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(name, "problem", f"{folder} can't be written; set UNBAKE_CACHE or UNBAKE_HOME")
    return Finding(name, "ok", f"{folder}, {shutil.disk_usage(there).free / 1e9:.1f} GB free")


def _models() -> list[Finding]:
    found, broken = registry.all_cards()
    cards = found.values()
    here = [card.name for card in cards if registry.is_installed(card)]
    away = len(found) - len(here)
    findings = [Finding("models", "ok" if here else "problem", f"installed: {', '.join(here) or 'none'}")]
    if away:
        findings.append(Finding("models", "note", f"{away} more have cards and can be fetched; see unbake models list"))
    return findings + [Finding("models", "problem", problem) for problem in broken]
