"""The process that runs one VST3 plug-in, through pedalboard: whatever the plug-in does, it does it to this process.

The main thread does all of it, since some plug-ins work on no other. What plug-ins print goes to the file that is
standard output and error here. `plugin_host` is the other side.
"""

from __future__ import annotations

import difflib
import faulthandler
import os
import select
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from core import wire
from core.errors import UnbakeError
from core.strips.plugin_messages import (
    ORDERS,
    Answer,
    Done,
    Load,
    Loaded,
    Order,
    Play,
    PluginParameter,
    PluginValue,
    Refused,
    Reset,
    Sound,
)

MOST_LATENCY_SECONDS = 30.0
"""A plug-in that gives nothing back for longer than this, beyond the latency it reports, never will."""
NAMED = 30
"""Names that a refusal lists at most."""


def main() -> None:
    """Serves the other end of the two pipes whose descriptors are the arguments, until it closes them."""
    orders, answers = (int(word) for word in sys.argv[1:3])
    for descriptor in (orders, answers):
        os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.disable()  # the signal says it all, and the trace would be taken for the plug-in's words
    threading.Thread(target=_leave_with, args=(orders,), daemon=True).start()
    host = PluginHost()
    while (data := wire.read_frame(orders)) is not None:
        try:
            answer = host.obey(ORDERS.decode(data))
        except UnbakeError as error:
            answer = Refused(error.what, error.where or "", error.remedy)
        except Exception as error:  # of the plug-in or of pedalboard: it goes no further than this process
            answer = Refused(f"failed: {_first_line(error)}")
        wire.write_frame(answers, msgspec.msgpack.encode(answer))
    os._exit(0)  # destructors of plug-ins are known to crash


def _leave_with(orders: int) -> None:
    """Ends this process when the other side is gone, whatever the plug-in is at."""
    line = select.poll()
    line.register(orders, 0)
    line.poll()
    os._exit(0)


class PluginHost:
    """The plug-in and how it is to be run."""

    def __init__(self) -> None:
        self._plugin: Any = None
        self._load: Load | None = None

    def obey(self, order: Order) -> Answer:
        """Carries out an order."""
        match order:
            case Load():
                return self._loaded(order)
            case Reset():
                self._restart()
                return Done()
            case Play(samples=samples):
                return self._played(samples)

    def _loaded(self, load: Load) -> Loaded:
        try:
            from pedalboard import VST3Plugin
        except ImportError as error:
            how = "is not installed" if error.name == "pedalboard" else f"can't be loaded: {_first_line(error)}"
            what = f"can't be run: that takes pedalboard, which {how}"
            raise UnbakeError(what, remedy="pip install 'unbake[vst3]'") from error
        self._load = load
        self._plugin = plugin = _open(VST3Plugin, load)
        if not plugin.is_effect:
            raise UnbakeError("is an instrument, not an effect", where="path")
        known: dict[str, Any] = plugin.parameters
        for name, value in load.parameters.items():
            _set(known, name, value)
        try:
            self._restart()
        except ValueError as error:
            channels = f"{load.channels} channel{'s' if load.channels > 1 else ''}"
            raise UnbakeError(f"does not take {channels}: {_first_line(error)}", where="path") from error
        parameters = tuple(_describe(name, parameter) for name, parameter in known.items())
        return Loaded(str(plugin.name), int(plugin.reported_latency_samples), parameters)

    def _restart(self) -> None:
        """Makes the plug-in forget, and feeds it silence until pedalboard gives back as much as it is given.

        pedalboard holds back as many frames as the plug-in reports as its latency, counted from a reset; what comes
        after that is what the plug-in itself gives, latency and all.
        """
        assert self._load is not None
        silence = np.zeros((self._load.channels, self._load.block_frames), np.float32)
        self._plugin.reset()
        most = int(self._plugin.reported_latency_samples) + MOST_LATENCY_SECONDS * self._load.sample_rate
        given = 0
        while self._process(silence).shape[-1] < silence.shape[-1]:
            given += silence.shape[-1]
            if given > most:
                raise UnbakeError(f"gave nothing back for {given} frames of silence", where="path")

    def _played(self, samples: bytes) -> Sound:
        assert self._load is not None
        given = np.frombuffer(samples, np.float32).reshape(self._load.channels, -1)
        found = self._process(given)
        if found.shape != given.shape:
            raise UnbakeError(f"gave {_shape(found)} for {_shape(given)}")
        return Sound(np.ascontiguousarray(found, np.float32).tobytes())

    def _process(self, samples: np.ndarray) -> np.ndarray:
        assert self._load is not None
        found = self._plugin.process(
            samples, float(self._load.sample_rate), buffer_size=self._load.block_frames, reset=False
        )
        return np.atleast_2d(found)


def _open(kind: Any, load: Load) -> Any:
    """The plug-in of a file. A file may hold several, of which `load.plugin` names one."""
    try:
        names = list(kind.get_plugin_names_for_file(load.path))
        if load.plugin and load.plugin not in names:
            near = difflib.get_close_matches(load.plugin, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it holds {', '.join(names)}"
            raise UnbakeError(f'the file holds no plug-in "{load.plugin}"', where="plugin", remedy=hint)
        if len(names) > 1 and not load.plugin:
            hint = f"set plugin to one of: {', '.join(names)}"
            raise UnbakeError("the file holds several plug-ins", where="plugin", remedy=hint)
        return kind(load.path, plugin_name=load.plugin or None)
    except ImportError as error:
        what = f"can't be loaded as a VST3 plug-in: {_first_line(error)}"
        raise UnbakeError(what, where="path", remedy="ldd on its .so shows which libraries it lacks") from error


def _set(known: dict[str, Any], name: str, value: PluginValue) -> None:
    """Sets one parameter, or says what is wrong with it."""
    key = f"parameters.{name}"
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {_some(list(known))}"
        raise UnbakeError("the plug-in has no such parameter", where=key, remedy=hint)
    parameter = known[name]
    said = _describe(name, parameter)
    if said.low is not None and said.high is not None:
        if isinstance(value, (bool, str)):
            raise UnbakeError(f"must be a number, but it is {value!r}", where=key)
        if not said.low <= value <= said.high:
            unit = f" {said.unit}" if said.unit else ""
            raise UnbakeError(f"is {value}, outside {said.low:g} to {said.high:g}{unit}", where=key)
    elif said.choices:
        value = str(value)
        if value not in said.choices:
            near = difflib.get_close_matches(value, said.choices, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it can be {_some(said.choices)}"
            raise UnbakeError(f'is "{value}", which it can\'t be', where=key, remedy=hint)
    elif not isinstance(value, bool):
        raise UnbakeError(f"must be true or false, but it is {value!r}", where=key)
    try:
        parameter.raw_value = parameter.get_raw_value_for(value)
    except ValueError as error:
        raise UnbakeError(_first_line(error), where=key) from error


def _describe(name: str, parameter: Any) -> PluginParameter:
    shown, unit = str(parameter.string_value), str(parameter.label or "")
    if parameter.type is float:
        return PluginParameter(name, shown, float(parameter.min_value), float(parameter.max_value), unit)
    if parameter.type is bool:
        return PluginParameter(name, shown)
    choices = tuple(dict.fromkeys(str(value) for value in parameter.valid_values))
    return PluginParameter(name, shown, unit=unit, choices=choices)


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED], *(["..."] if len(names) > NAMED else [])]) or "none"


def _shape(samples: np.ndarray) -> str:
    return f"{samples.shape[-1]} frames of {samples.shape[0]} channels"


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
