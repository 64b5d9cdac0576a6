"""A stand-in for pedalboard: plug-ins that misbehave on demand. The name of the file says what a plug-in does.

It holds back the reported latency as pedalboard does: what comes out of a process that was just reset is shorter.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np


class Parameter:
    def __init__(self, kind: type, value: Any, low=None, high=None, label: str = "", values=()) -> None:
        self.type, self.value, self.min_value, self.max_value = kind, value, low, high
        self.label, self.valid_values = label, list(values)

    @property
    def string_value(self) -> str:
        return str(self.value)

    @property
    def raw_value(self) -> Any:
        return self.value

    @raw_value.setter
    def raw_value(self, value: Any) -> None:
        self.value = value

    def get_raw_value_for(self, value: object) -> object:
        if value == 13:
            raise ValueError("Value received for parameter is unlucky.\nand another line")
        return value


class VST3Plugin:
    def __init__(self, path_to_plugin_file: str, parameter_values=None, plugin_name: str | None = None) -> None:
        self.kind = Path(path_to_plugin_file).stem
        self.name = plugin_name or self.kind
        self.is_effect = self.kind != "instrument"
        self.reported_latency_samples = {"late": 137, "liar": 64, "bounded": 2000}.get(self.kind, 0)
        self._true_latency = {"late": 137, "silent_liar": 333, "bounded": 2000}.get(self.kind, 0)
        self.parameters = {
            "gain_db": Parameter(float, 0.0, -60.0, 24.0, "dB"),
            "mode": Parameter(str, "clean", values=("clean", "warm")),
            "bypass": Parameter(bool, False, False, True),
        }
        self.reset()
        if self.kind == "crashes_loading":
            os.abort()
        if self.kind == "hangs_loading":
            time.sleep(1000)
        if self.kind == "no_plugin":
            raise ImportError("Unable to load plugin: unsupported plugin format or load failure.\nTry ldd.")

    @staticmethod
    def get_plugin_names_for_file(path: str) -> list[str]:
        return ["Left Hand", "Right Hand"] if Path(path).stem == "several" else [Path(path).stem]

    def reset(self) -> None:
        self._seen = 0
        self._line: np.ndarray | None = None

    def process(self, samples: np.ndarray, sample_rate: float, *, buffer_size: int, reset: bool) -> np.ndarray:
        channels, frames = samples.shape
        assert samples.dtype == np.float32
        assert frames % buffer_size == 0
        assert not reset
        if self.kind == "stereo" and channels != 2:
            raise ValueError(f"Plugin 'stereo' does not support {channels}-channel output.")
        loud = bool(np.any(np.abs(samples) > 0.9))
        if self.kind == "crashes" and loud:
            os.abort()
        if self.kind == "says_and_crashes" and loud:
            os.write(2, b"assertion failed: the tape is torn\n")
            os.abort()
        if self.kind == "hangs" and loud:
            time.sleep(1000)
        if self.kind == "raises" and loud:
            raise RuntimeError("the tape is torn")
        if self.kind == "nan" and loud:
            return samples * np.float32(np.nan)
        if self.kind == "infinite" and loud:
            return samples * np.float32(np.inf)
        if self.kind == "longer" and loud:
            return np.concatenate([samples, samples[:, :3]], axis=1)
        if self.kind == "shorter" and loud:
            return samples[:, :-5]
        if self.kind == "never":
            return samples[:, :0]
        if self._line is None:
            self._line = np.zeros((channels, self._true_latency), np.float32)
        joined = np.concatenate([self._line, samples], axis=1)
        made, self._line = joined[:, :frames], joined[:, frames:]
        if self.parameters["bypass"].value is not True:
            made = made * np.float32(10 ** (self.parameters["gain_db"].value / 20))
        if self.kind == "blocks":  # louder from block to block
            made = made * (1 + (self._seen + np.arange(frames)) // buffer_size % 3).astype(np.float32)
        if self.kind == "smears":
            made = np.cumsum(made, axis=1, dtype=np.float32) * np.float32(0.01)
        if self.kind == "random":
            made = made + np.random.default_rng().standard_normal(made.shape).astype(np.float32) * np.float32(1e-3)
        before, self._seen = self._seen, self._seen + frames
        held = max(0, min(frames, self.reported_latency_samples - before))
        return made[:, held:]
