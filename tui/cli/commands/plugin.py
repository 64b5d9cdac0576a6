"""`unbake plugin`."""

from __future__ import annotations

from argparse import Namespace

from core.jobs.plugins import examine
from core.strips.plugin_messages import PluginParameter
from tui.cli.terminal import emit, table


def run(options: Namespace) -> int:
    """What a plug-in is called, how late it is, and what can be set on it."""
    found = examine(options.path, options.plugin, options.rate, options.channels)
    measured = "an impulse could not tell" if found.latency_measured is None else f"{found.latency_measured} measured"
    rows = [
        ("plug-in", f"{found.name}, {found.channels} channels at {found.sample_rate} Hz"),
        ("latency", f"{found.latency_reported} frames reported, {measured}"),
        *((parameter.name, _possible(parameter)) for parameter in found.parameters),
    ]
    emit(options, found, table(rows))
    return 0


def _possible(parameter: PluginParameter) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    if parameter.low is not None and parameter.high is not None:
        return f"{parameter.shown}{unit} ({parameter.low:g} to {parameter.high:g})"
    return f"{parameter.shown}{unit} ({', '.join(parameter.choices) or 'true or false'})"
