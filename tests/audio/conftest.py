"""Sources for the tests of audio files: noise codes with both rails, WAVs built by hand, files encoded by ffmpeg."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from core.audio.formats import AudioInfo, integer_bits
from core.audio.speakers import default_speakers
from core.audio.write import open_writer, output_format


@pytest.fixture
def info() -> Callable[..., AudioInfo]:
    """An AudioInfo of a source that need not exist."""

    def make(container="WAV", subtype="PCM_24", sample_rate=44100, channels=2, frames=1000, path="source", mask=None):
        lossless = subtype.startswith(("PCM", "ALAC")) or subtype in ("FLOAT", "DOUBLE")
        speakers = default_speakers(channels)
        return AudioInfo(path, container, subtype, sample_rate, channels, frames, speakers, lossless, mask)

    return make


@pytest.fixture
def samples() -> Callable[..., np.ndarray]:
    """Incompressible samples that a format holds exactly: codes with both rails, or floats beyond full scale."""

    def make(subtype: str, channels: int, frames: int) -> np.ndarray:
        random = np.random.default_rng(channels * 1000 + frames)
        bits = integer_bits(subtype)
        if bits is not None:
            half = 2 ** (bits - 1)
            codes = random.integers(-half, half, (channels, frames)).astype(np.int32)
            codes[:, 0] = -half
            codes[:, -1] = half - 1
            return codes
        block = random.uniform(-1.5, 1.5, (channels, frames))
        return block if subtype == "DOUBLE" else block.astype(np.float32).astype(np.float64)

    return make


@pytest.fixture
def write(info) -> Callable[..., Path]:
    """Writes samples with our own writer and gives the path."""

    def make(path: Path, subtype: str, content: np.ndarray, sample_rate: int = 44100, **commit) -> Path:
        channels, frames = content.shape
        fmt = output_format(info(sample_rate=sample_rate, channels=channels, frames=frames), path, subtype)
        with open_writer(path, fmt, frames=frames, force=False) as writer:
            if integer_bits(fmt.subtype) is not None:
                writer.write_codes(content.astype(np.int32))
            else:
                writer.write(content)
            writer.commit(**commit)
        return path

    return make


@pytest.fixture
def ffmpeg() -> Callable[..., None]:
    """Runs ffmpeg on one input."""

    def run(source: Path, out: Path, *options: str) -> None:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-i", str(source), *options, str(out)]
        subprocess.run(command, check=True)

    return run


@pytest.fixture(scope="session")
def music(tmp_path_factory) -> Path:
    """Four seconds of stereo, 24 bit at 44100 Hz: a sweep and noise on the left, a tone on the right."""
    path = tmp_path_factory.mktemp("music") / "music.wav"
    time = np.arange(4 * 44100 + 123) / 44100
    left = 0.3 * np.sin(2 * np.pi * 220 * time * (1 + time)) + 0.05 * np.random.default_rng(1).standard_normal(
        len(time)
    )
    soundfile.write(path, np.stack([left, 0.2 * np.sin(2 * np.pi * 330 * time)], axis=1), 44100, "PCM_24")
    return path


@pytest.fixture
def riff() -> Callable[..., bytes]:
    """A WAV file built chunk by chunk; `data_size` and `riff_size` override what is true."""

    def make(codes, chunks=(), sample_rate=44100, bits=16, data_size=None, riff_size=None, form=b"RIFF") -> bytes:
        order = ">" if form == b"RIFX" else "<"
        codes = np.asarray(codes)
        channels = codes.shape[0]
        frame = channels * bits // 8
        fmt = struct.pack(order + "HHIIHH", 1, channels, sample_rate, sample_rate * frame, frame, bits)
        data = codes.T.astype(order + "i2").tobytes()
        parts = [(b"fmt ", fmt), (b"data", data), *chunks]
        body = b"".join(
            name
            + struct.pack(order + "I", data_size if name == b"data" and data_size is not None else len(content))
            + content
            + b"\0" * (len(content) & 1)
            for name, content in parts
        )
        size = len(body) + 4 if riff_size is None else riff_size
        return form + struct.pack(order + "I", size) + b"WAVE" + body

    return make
