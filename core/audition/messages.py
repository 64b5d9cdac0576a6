"""What the app and the player's process say to each other."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from core import wire
from core.audition.monitor import Choice, Listening
from core.recombine.graph import Moved
from core.session.blind import Side
from core.session.document import Session

Way = Literal["auto", "card", "browser", "clock"]
"""Where sound goes: a sound card, the listening page, nobody (in real time); `auto` is the first of these that there is
of the first two."""


class Open(Struct, frozen=True, tag=True):
    """Opens a way out, in place of the one that is open. `device` is a part of a sound card's name."""

    way: Way = "auto"
    device: str | None = None
    port: int | None = None


class Show(Struct, frozen=True, tag=True):
    """What is heard from now on: a session, the files of its stems by strip, solo and mute."""

    session: Session
    stems: dict[str, str]
    listening: Listening


class Play(Struct, frozen=True, tag=True):
    """Plays or stops; from a frame, or from where it is."""

    playing: bool
    frame: int | None = None


class Seek(Struct, frozen=True, tag=True):
    """Goes to a frame, playing or not."""

    frame: int


class Shuttle(Struct, frozen=True, tag=True):
    """Faster by steps of 1, 2, 4, 8 times, forwards or backwards."""

    steps: int


class Choose(Struct, frozen=True, tag=True):
    """Flips to a stream, or in a blind test to X."""

    stream: Choice


class SetLoop(Struct, frozen=True, tag=True):
    """Plays from first to before last again and again; None plays on."""

    loop: tuple[int, int] | None


class MatchLevels(Struct, frozen=True, tag=True):
    """Loudness match on or off."""

    on: bool


class Blind(Struct, frozen=True, tag=True):
    """A trial of a blind test: what X is, what a page says of it, and its number. None ends the test.

    Who listens to X then hears the source, or would hear whether X changed; after the test, the repair.
    """

    x: Side | None
    said: str = ""
    trial: int = 0


class Mark(Struct, frozen=True, tag=True):
    """The frames at which there are markers, for a page to show and to go to."""

    frames: tuple[int, ...]


class Look(Struct, frozen=True, tag=True):
    """Asks which sound cards there are."""


class Orders(Protocol):
    """Whoever takes orders."""

    def order(self, order: Order) -> None:
        """Hands an order on."""
        ...

    def close(self) -> None:
        """Ends the playing."""
        ...


Order = Open | Show | Play | Seek | Shuttle | Choose | SetLoop | MatchLevels | Blind | Mark | Look


class Opened(Struct, frozen=True, tag=True):
    """A way out is open. `url` and `tunnel` for the page, `device` for a sound card."""

    way: Way
    url: str = ""
    tunnel: str = ""
    device: str = ""


class Heard(Struct, frozen=True, tag=True):
    """What is heard now, at most 20 times a second and only when something changed.

    `frame` is the one that is heard, `peaks` the largest magnitude of each channel, `gain_db` what the stream is
    lowered by for the loudness match; the loudness of both sides is None until it was measured. Of X, in a blind test,
    neither gain nor peaks are told. `late` counts blocks
    that came too late, `pages` browsers; `suspended` is a browser that waits for a click, `context_rate` the rate in
    Hz that browser or card play at, `caveat` what the card makes of the sound, `moved` how far gains of the repair that
    follow the sound are moved.
    """

    playing: bool = False
    frame: int = 0
    speed: int = 1
    stream: Choice = "repair"
    match: bool = True
    gain_db: float = 0.0
    source_lufs: float | None = None
    repair_lufs: float | None = None
    peaks: tuple[float, ...] = ()
    late: int = 0
    pages: int = 0
    suspended: bool = False
    context_rate: float = 0.0
    caveat: str = ""
    moved: tuple[Moved, ...] = ()


class Outlets(Struct, frozen=True, tag=True):
    """The sound cards: name, channels, and the rate in Hz that each prefers. `why` says why there are none."""

    cards: tuple[tuple[str, int, int], ...]
    why: str = ""


class Refused(Struct, frozen=True, tag=True):
    """What can't be heard, or not there: an UnbakeError, whole."""

    what: str
    where: str | None = None
    remedy: str | None = None


class Judged(Struct, frozen=True, tag=True):
    """Somebody said in a page what X is, in the trial of this number."""

    answer: Side
    trial: int


class Looped(Struct, frozen=True, tag=True):
    """Somebody set a loop in a page, or took it away."""

    loop: tuple[int, int] | None


class Marked(Struct, frozen=True, tag=True):
    """Somebody set a marker in a page, or took away the one there."""

    frame: int


class Gone(Struct, frozen=True, tag=True):
    """The process ended; the next order starts another. `text` is one line."""

    text: str


Answer = Opened | Heard | Outlets | Refused | Judged | Looped | Marked | Gone

ORDERS = wire.decoder(Order)
ANSWERS = wire.decoder(Answer)
