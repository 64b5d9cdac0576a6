"""What this machine was found to do with a network: how fast, how exactly, how many chunks at a time.

One small file below `UNBAKE_HOME`, keyed by network version, device and precision. It is no part of any result: what it
says only chooses, and a lost file costs nothing but the finding out.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

import msgspec

from core import places
from core.atomic import write_bytes_atomically
from core.errors import UnbakeError
from core.separation.device import describe_device, resolve_device
from core.separation.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.separation.device import Precision

VERIFIED_DB = -60.0
"""A reduced precision is as good as single precision for a network when its stems differ by no more than this."""
WORTH_IT = 1.15
"""How many times as fast as single precision a reduced one has to be, so that chance does not choose."""
FORMAT = 1


class Finding(msgspec.Struct, frozen=True):
    """About one network on one device in one precision; None for what was not measured.

    `realtime_factor` is seconds of audio per second of one pass, of whatever ran last; `difference_db` the rms of the
    difference to single precision, below the rms of the stems; `batch` chunks of one call. `tried_factor` is the speed
    in a trial, where all precisions ran one after the other: only that decides, so that a busy machine never does.
    """

    realtime_factor: float | None = None
    difference_db: float | None = None
    batch: int | None = None
    tried_factor: float | None = None


class Findings(msgspec.Struct, frozen=True):
    """The file: network version -> device -> precision -> what was found. `auto` is the device of that name here."""

    format: int = FORMAT
    auto: str = ""
    networks: dict[str, dict[str, dict[str, Finding]]] = {}


def path() -> Path:
    """Where the file lies."""
    return places.home() / "learnt.json"


def load() -> Findings:
    """What is known; nothing where there is no file, or one that can't be read."""
    try:
        found = msgspec.json.decode(path().read_bytes(), type=Findings)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Findings()
    return found if found.format == FORMAT else Findings()


def known(network_version: str, device: str) -> dict[str, Finding]:
    """What is known of a network on a device, by precision; `device` as `describe_device` has it."""
    return load().networks.get(network_version, {}).get(device, {})


def remember(network_version: str, device: str, precision: str, finding: Finding, *, auto: bool = False) -> None:
    """Adds to what is known; what `finding` leaves open stays as it was. A file that can't be written is no matter.

    `auto` says that the device was not asked for by name.
    """
    with contextlib.suppress(UnbakeError, OSError):
        lock = Lock(path().with_suffix(".lock"))
        if not lock.acquire():
            return  # another run is writing: what it measures is as good
        try:
            found = load()
            devices = found.networks.setdefault(network_version, {}).setdefault(device, {})
            before = devices.get(precision, Finding())
            changes = {key: value for key, value in msgspec.structs.asdict(finding).items() if value is not None}
            devices[precision] = msgspec.structs.replace(before, **changes)
            found = msgspec.structs.replace(found, auto=device if auto else found.auto)
            write_bytes_atomically(path(), msgspec.json.format(msgspec.json.encode(found), indent=2), force=True)
        finally:
            lock.release()


def settle(asked: Precision | Literal["auto"], device: str, network_versions: Sequence[str]) -> Precision:
    """The precision that `auto` stands for: the best one, where it is the same for all networks, else single.

    `device` is as asked for. For "auto" it is what that was found to be last, so that the app can ask without torch;
    for others torch is imported where something is known of every network.
    """
    if asked != "auto":
        return asked
    found = load()
    if not all(version in found.networks for version in network_versions):
        return "fp32"
    hardware = found.auto if device == "auto" else describe_device(resolve_device(device))
    best: set[Precision] = {best_precision(version, hardware) for version in network_versions}
    return best.pop() if len(best) == 1 else "fp32"


def best_precision(network_version: str, device: str) -> Precision:
    """The fastest precision that was verified for a network on a device and is worth it; else single precision."""
    precisions = known(network_version, device)
    best: Precision = "fp32"
    fastest_yet = WORTH_IT * (precisions.get("fp32", Finding()).tried_factor or 0.0)
    for precision in ("tf32", "bf16", "fp16"):
        finding = precisions.get(precision, Finding())
        speed, difference_db = finding.tried_factor or 0.0, finding.difference_db
        if difference_db is not None and difference_db <= VERIFIED_DB and speed > fastest_yet:
            best, fastest_yet = precision, speed
    return best
