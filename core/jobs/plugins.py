"""The plug-ins of a session, tried before work begins, and asked whether they keep their word when a proof fails."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from core.errors import UnbakeError
from core.events import Operation, Progress
from core.session.document import Session
from core.session.processors import Processor, Vst3
from core.strips.plugin_messages import PluginParameter


class Used(NamedTuple):
    """A plug-in that a session runs, and its key path."""

    where: str
    processor: Vst3

    @property
    def file(self) -> str:
        """The name of its file."""
        return Path(self.processor.path).name


class Examined(msgspec.Struct, frozen=True):
    """A plug-in as it is once loaded. Latencies in frames; `latency_measured` is None where an impulse told nothing."""

    name: str
    path: str
    sample_rate: int
    channels: int
    latency_reported: int
    latency_measured: int | None
    parameters: tuple[PluginParameter, ...]
    schema: int = 1


def examine(path: str, plugin: str, sample_rate: int, channels: int) -> Examined:
    """Loads a plug-in and looks at it. Raises UnbakeError when it can't be an insert."""
    from core.strips.plugins import PluginStage

    try:
        stage = PluginStage(Vst3(path=path, plugin=plugin), path, sample_rate, channels)
    except UnbakeError as error:  # there is no key path here
        raise UnbakeError(error.what, where=path, remedy=error.remedy) from error
    stage.close()
    latency = stage.plugin_latency
    return Examined(stage.name, path, sample_rate, channels, latency.reported, latency.measured, stage.parameters)


def used_by(session: Session) -> list[Used]:
    """The plug-ins that a render of a session runs, in order."""
    found: list[Used] = []
    for name in session.changed:
        if session.strips[name].mode != "cancel":
            found += _in_chain(f"strips.{name}.chain", session.strips[name].chain)
    return [*found, *_in_chain("master", session.master)]


def _in_chain(path: str, chain: Iterable[Processor]) -> list[Used]:
    return [
        Used(f"{path}[{place}]", processor)
        for place, processor in enumerate(chain)
        if isinstance(processor, Vst3) and processor.active
    ]


def trying(session: Session, known: Iterable[Used] = ()) -> Operation[None]:
    """Loads and sets every plug-in of a session once, those in `known` aside.

    Raises UnbakeError naming the key path, before anything that takes minutes was begun.
    """
    passed = [each.processor for each in known]
    wanted = [each for each in used_by(session) if each.processor not in passed]
    for number, each in enumerate(wanted):
        from core.strips.plugins import PluginStage

        yield Progress("loading plug-ins", number, len(wanted))
        PluginStage(each.processor, each.where, session.source.sample_rate, session.source.channels).close()


def unsteady(session: Session) -> list[str]:
    """The files of those plug-ins that do not give the same sound twice, or fail the second time. Takes seconds."""
    from core.strips.plugins import repeats

    found: dict[str, None] = {}
    for each in used_by(session):
        try:
            steady = repeats(each.processor, each.where, session.source.sample_rate, session.source.channels)
        except UnbakeError:
            steady = False
        if not steady:
            found[each.file] = None
    return list(found)
