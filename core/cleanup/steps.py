"""Which module carries out which step. A module is imported when its step is, since some need torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from core.audio.read import AudioReader
from core.cleanup.cleaner import Cleaner
from core.session.cleaning import CleanupStep

_CLEANERS = {
    "declip": "core.cleanup.declip:Declipper",
    "declick": "core.cleanup.declick:Declicker",
    "decrackle": "core.cleanup.decrackle:Decrackler",
    "dehum": "core.cleanup.dehum:Dehummer",
    "denoise": "core.cleanup.denoise.denoiser:Denoiser",
    "deecho": "core.cleanup.deecho:Deechoer",
    "dereverb": "core.cleanup.dereverb:Dereverberator",
}


VERSIONS = {
    "declip": "2",
    "declick": "2",
    "decrackle": "2",
    "dehum": "3",
    "denoise": "2",
    "deecho": "1",
    "dereverb": "1",
}
"""Raised whenever other samples come out of the same file and step; here, so that no module need be imported for it."""


def cleaner_class(kind: str) -> type[Cleaner[Any]]:
    """The class that carries out steps of a type; not for network steps, which the separation engine carries out."""
    module, name = _CLEANERS[kind].split(":")
    return getattr(import_module(module), name)


def cleaner(reader: AudioReader, step: CleanupStep) -> Cleaner[Any]:
    """A step about to be carried out on an open file."""
    return cleaner_class(str(step.__struct_config__.tag))(reader, step)
