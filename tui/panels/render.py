"""How to render: where, for which delivery, in which format and rate, what about dither and overs, with a report?"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple, cast, get_args

from core.audio.formats import AudioInfo
from core.audio.outputs import OutputFormat, containers, default_output_path, extension_of, output_format, subtypes_of
from core.audio.probe import probe
from core.errors import UnbakeError
from core.recombine.render import OversPolicy
from core.session import profiles
from core.session.document import Dither, Session
from core.session.processors import DitherShape
from tui.panels.form import Field, Form
from tui.paths import short

DITHERS = ("automatic", *get_args(DitherShape), "off")
OVERS = ("refuse", "trim", "limit", "clip")
RATES = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
NO_PROFILE = "none"
AUTOMATIC = "automatic: TPDF when anything is changed"


class Wanted(NamedTuple):
    """What the form gives. `dither` is one of DITHERS."""

    out: Path
    report: Path | None
    subtype: str
    overs: OversPolicy | None
    force: bool
    dither: str
    profile: str | None
    sample_rate: int


class RenderForm(Form[Wanted]):
    """The delivery."""

    title_text = "render"
    go_title = "render"

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._info = probe(Path(session.source.path))
        fmt = output_format(self._info, None, None)
        out = default_output_path(session.source.path, fmt)
        self._profiles = {profile.name: profile for profile in profiles.all_profiles()[0]}
        self.fields = [
            Field("out", "file", short(out)),
            Field("profile", "delivery", NO_PROFILE, (NO_PROFILE, *self._profiles), about="loudness and peak stay"),
            Field("container", "container", fmt.container, containers()),
            Field(
                "subtype", "sample format", fmt.subtype, subtypes_of(fmt.container), about=_own(fmt.subtype, self._info)
            ),
            Field("rate", "sample rate", str(fmt.sample_rate), _rates(fmt.sample_rate), about="the source's own"),
            Field("dither", "dither", dither_of(session), DITHERS, about=AUTOMATIC),
            Field("overs", "overs", "refuse", OVERS, about="what to do when the sum exceeds full scale"),
            Field("report", "report", "", about="a page (.html), Markdown (.md) or .json"),
            Field("existing", "existing file", "refuse", ("refuse", "replace")),
        ]

    def changed(self, name: str) -> None:
        """Container and extension go together, and bring their sample formats; a delivery brings format and rate."""
        out = Path(self.field("out").value)
        if name == "container":
            self.field("out").value = str(out.with_suffix(extension_of(self.field("container").value)))
        if name in ("out", "container", "profile"):
            try:
                fmt = self._suggested(Path(self.field("out").value))
            except UnbakeError:
                return  # said when the form goes
            self.field("container").value = fmt.container
            subtype = self.field("subtype")
            subtype.choices = subtypes_of(fmt.container)
            subtype.value = fmt.subtype
            if name == "profile":
                self.field("rate").choices = _rates(self._info.sample_rate, fmt.sample_rate)
                self.field("rate").value = str(fmt.sample_rate)
        subtype, rate = self.field("subtype"), self.field("rate")
        subtype.about = _own(subtype.value, self._info)
        rate.about = "the source's own" if rate.value == str(self._info.sample_rate) else "converted (soxr VHQ)"
        profile = self._profiles.get(self.field("profile").value)
        self.field("profile").about = "loudness and peak stay" if profile is None else _level(profile)
        shape = None if profile is None else profile.dither
        self.field("dither").about = AUTOMATIC if shape is None else f"automatic: {shape}, as the delivery asks"

    def _suggested(self, out: Path) -> OutputFormat:
        """The format of a file of that name, as the delivery wants it where the container can hold that."""
        profile = self._profiles.get(self.field("profile").value)
        if profile is not None:
            with contextlib.suppress(UnbakeError):
                return output_format(self._info, out, profile.subtype, profile.sample_rate)
        return output_format(self._info, out, None)

    def go(self, values: dict[str, str]) -> Wanted:
        """The delivery; refuses at once what can't be written."""
        out = Path(values["out"]).expanduser()
        output_format(self._info, out, values["subtype"], int(values["rate"]))
        if not out.parent.is_dir():
            raise UnbakeError("the folder to write to does not exist", where=out.parent)
        force = values["existing"] == "replace"
        if out.exists() and not force:
            raise UnbakeError("exists already", where=out, remedy="choose another name, or replace it below")
        overs = None if values["overs"] == "refuse" else cast(OversPolicy, values["overs"])
        report = Path(values["report"]).expanduser() if values["report"] else None
        profile = None if values["profile"] == NO_PROFILE else values["profile"]
        return Wanted(out, report, values["subtype"], overs, force, values["dither"], profile, int(values["rate"]))


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
    return (*others, Dither(bits=bits, shape=cast(DitherShape, wanted)))


def _own(subtype: str, info: AudioInfo) -> str:
    return "the source's own" if subtype == info.subtype else ""


def _rates(*own: int) -> tuple[str, ...]:
    return tuple(str(rate) for rate in sorted({*RATES, *own}))


def _level(profile: profiles.Profile) -> str:
    """What a profile does to the level, in short."""
    target, ceiling = profile.target_lufs, profile.ceiling_dbtp
    said = [
        None if target is None else f"{target:g} LUFS",
        None if ceiling is None else f"at most {ceiling:g} dBTP",
    ]
    return ", ".join(part for part in said if part is not None) or "loudness and peak stay"
