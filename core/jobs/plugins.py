"""The plug-ins of a session, tried before work begins, and asked whether they keep their word when a proof fails."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from core.errors import UnbakeError
from core.events import Operation, Progress
from core.session.document import Session
from core.session.processors import Processor, Vst3


class Used(NamedTuple):
    """A plug-in that a session runs, and its key path."""

    where: str
    processor: Vst3

    @property
    def file(self) -> str:
        """The name of its file."""
        return Path(self.processor.path).name


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
