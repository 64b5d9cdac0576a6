"""What unbake and the process that runs one plug-in say to each other: an order, then its answer, one at a time."""

from __future__ import annotations

import msgspec

PluginValue = float | int | bool | str


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load this plug-in, set it, and be ready for blocks of `block_frames` at `sample_rate` (Hz). Answer: `Loaded`."""

    path: str
    plugin: str
    parameters: dict[str, PluginValue]
    sample_rate: int
    channels: int
    block_frames: int


class Reset(msgspec.Struct, frozen=True, tag=True):
    """Forget everything heard. Answer: `Done`."""


class Play(msgspec.Struct, frozen=True, tag=True):
    """Sound for the plug-in, float32 [channels, frames], a whole number of blocks. Answer: `Sound` of as many."""

    samples: bytes


class PluginParameter(msgspec.Struct, frozen=True):
    """One parameter of a plug-in: its name as sessions write it, how the plug-in shows its value, what it can be.

    `low` and `high` for numbers, `choices` for texts; none of them for switches, which are true or false.
    """

    name: str
    shown: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The plug-in is ready. `latency` is what it reports, in frames."""

    name: str
    latency: int
    parameters: tuple[PluginParameter, ...]


class Done(msgspec.Struct, frozen=True, tag=True):
    """What was asked is done."""


class Sound(msgspec.Struct, frozen=True, tag=True):
    """What came out of the plug-in, float32 [channels, frames]."""

    samples: bytes


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It can't be: what is wrong, at which key of the processor ("" for the whole), and what to do about it."""

    what: str
    key: str = ""
    remedy: str | None = None


Order = Load | Reset | Play
Answer = Loaded | Done | Sound | Refused

ORDERS = msgspec.msgpack.Decoder(Order)
ANSWERS = msgspec.msgpack.Decoder(Answer)
