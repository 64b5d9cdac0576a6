"""How to render: where, which container, which sample format, what about dither and overs, whether with a report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

from core.audio.outputs import containers, default_output_path, extension_of, output_format, subtypes_of
from core.audio.probe import probe
from core.errors import UnbakeError
from core.recombine.render import OversPolicy
from core.session.document import Dither, Session
from tui.panels.form import Field, Form
from tui.paths import short

DITHERS = ("automatic", "flat", "highpass", "off")
OVERS = ("refuse", "trim", "limit", "clip")


class Wanted(NamedTuple):
    """What the form gives. `dither` is one of DITHERS."""

    out: Path
    report: Path | None
    subtype: str
    overs: OversPolicy | None
    force: bool
    dither: str


class RenderForm(Form[Wanted]):
    """The delivery."""

    title_text = "render"
    go_title = "render"

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._info = probe(Path(session.source.path))
        fmt = output_format(self._info, None, None)
        out = default_output_path(session.source.path, fmt)
        self.fields = [
            Field("out", "file", short(out)),
            Field("container", "container", fmt.container, containers()),
            Field(
                "subtype", "sample format", fmt.subtype, subtypes_of(fmt.container), about=_own(fmt.subtype, self._info)
            ),
            Field("dither", "dither", dither_of(session), DITHERS, about="automatic: TPDF when anything is changed"),
            Field("overs", "overs", "refuse", OVERS, about="what to do when the sum exceeds full scale"),
            Field("report", "report", "", about="certificate: .json for programs, else Markdown"),
            Field("existing", "existing file", "refuse", ("refuse", "replace")),
        ]

    def changed(self, name: str) -> None:
        """Container and extension go together, and bring their sample formats."""
        out = Path(self.field("out").value)
        if name == "container":
            self.field("out").value = str(out.with_suffix(extension_of(self.field("container").value)))
        if name in ("out", "container"):
            try:
                fmt = output_format(self._info, Path(self.field("out").value), None)
            except UnbakeError:
                return  # said when the form goes
            self.field("container").value = fmt.container
            subtype = self.field("subtype")
            subtype.choices = subtypes_of(fmt.container)
            subtype.value = fmt.subtype
        subtype = self.field("subtype")
        subtype.about = _own(subtype.value, self._info)

    def go(self, values: dict[str, str]) -> Wanted:
        """The delivery; refuses at once what can't be written."""
        out = Path(values["out"]).expanduser()
        output_format(self._info, out, values["subtype"])
        if not out.parent.is_dir():
            raise UnbakeError("the folder to write to does not exist", where=out.parent)
        force = values["existing"] == "replace"
        if out.exists() and not force:
            raise UnbakeError("exists already", where=out, remedy="choose another name, or replace it below")
        overs = None if values["overs"] == "refuse" else cast(OversPolicy, values["overs"])
        report = Path(values["report"]).expanduser() if values["report"] else None
        return Wanted(out, report, values["subtype"], overs, force, values["dither"])


def dither_of(session: Session) -> str:
    """The dither of a session, as the form names it."""
    dither = session.dither
    if dither is None:
        return "automatic"
    return "off" if dither.bypass else dither.shape


def with_dither(session: Session, wanted: str) -> tuple:
    """The master stage with the dither that was chosen; what its own bits are stays."""
    others = tuple(each for each in session.master if not isinstance(each, Dither))
    bits = session.dither.bits if session.dither is not None else 0
    if wanted == "automatic":
        return others
    if wanted == "off":
        return (*others, Dither(bits=bits, bypass=True))
    return (*others, Dither(bits=bits, shape="highpass" if wanted == "highpass" else "flat"))


def _own(subtype: str, info) -> str:
    return "the source's own" if subtype == info.subtype else ""
