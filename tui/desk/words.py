"""What the single lines of the desk say: header, titles of the panes, jobs line, footer.

Pure functions of the desk's state and a width. The rows of the panes are `lanes`, `chain` and `findings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from core.atomic import size_in_words
from core.audio.formats import AudioInfo
from core.session import words
from core.session.document import Session
from tui import actions
from tui.desk.bench import MASTER, Bench
from tui.desk.timeline import clock
from tui.jobs import Job, Jobs
from tui.widgets.line import Piece
from tui.widgets.rows import cut

if TYPE_CHECKING:
    from core.jobs.bring import Found

NARROW = 110
"""Columns from which lanes and chain stand side by side."""
QUIET = "$foreground 60%"
LEAST_BAR = 10
SHORTEST_NAME = 24
"""Cells that the name of the file keeps before anything else goes into the header."""


def badge(bench: Bench) -> Piece:
    """Whether the repair nulls: the calm centre of the header, and loud only where it does not."""
    session = bench.session
    if session is None:
        return "", ""
    if bench.source_problem is not None:
        return "source changed", "$error bold"
    if (bench.sounding or session).untouched:
        return "identical", "$success bold"
    if bench.needs_cleanup:
        return ("cleaning up", QUIET) if bench.cleaning else ("needs clean-up", "$warning")
    if bench.needs_stems:
        return "needs stems", "$warning"
    if bench.check is None:
        return ("checking" if bench.checking else "not checked"), QUIET
    if bench.check.passed:
        return "rest exact", "$success bold"
    return f" rest {bench.check.rest_dbfs:.1f} dBFS ", "$background on $error bold"


def saved(bench: Bench) -> Piece:
    """Whether the session file holds what is on the screen."""
    if bench.editor is None:
        return "", ""
    if bench.read_only:
        return "read only", "$warning"
    if bench.off_disk:
        return "not on disk", "$error bold"
    if bench.untouched:
        return "new", QUIET
    return ("saved", QUIET) if bench.editor.saved else ("not saved", "$accent")


def header(bench: Bench, width: int, device: str) -> tuple[list[Piece], list[Piece]]:
    """Left and right end of the header; what matters least is left out first when there is little room."""
    if bench.located is None:
        return [(" unbake", "bold")], [(f"{device} ", QUIET)] if device else []
    right = _right(bench)
    facts = _facts_in_header(bench, width, device)
    taken = sum(cell_len(text) for text, _ in (*facts, *right))
    name = cut(bench.located.source.name, max(SHORTEST_NAME // 2, width - taken - 3))
    return [(f" {name}", "bold"), *facts], right


def listening(bench: Bench) -> list[str]:
    """What is heard and how, and who listens."""
    heard, outlet = bench.heard, bench.outlet
    if outlet is None:
        return []
    said = f"{'playing' if heard.playing else 'stopped'}: {heard.stream}"
    if heard.playing and heard.speed != 1:
        said += f" {heard.speed}x"
    if heard.match and heard.gain_db:
        said += f", matched {heard.gain_db:.1f} dB"
    found = [said]
    if heard.caveat:
        found.append(heard.caveat)
    if heard.late:
        found.append(f"{heard.late} late")
    if outlet.way == "browser":
        pages = "the page waits for a click" if heard.suspended else f"{heard.pages} listening"
        found.append(pages if heard.pages else f"port {outlet.url.split(':')[2].partition('/')[0]} ready")
    return found


def left_out(bench: Bench, width: int, device: str) -> list[str]:
    """The facts that the header has no room for, those that matter most first."""
    if bench.located is None:
        return []
    shown = {text.strip() for text, _ in _facts_in_header(bench, width, device)}
    return [text for text, _ in _facts(bench, width, device) if text and text not in shown]


def _right(bench: Bench) -> list[Piece]:
    found = [piece for piece in (badge(bench), saved(bench)) if piece[0]]
    gaps = ["   "] * (len(found) - 1) + [" "]
    return [piece for (text, style), gap in zip(found, gaps, strict=False) for piece in ((text, style), (gap, ""))]


def _facts(bench: Bench, width: int, device: str) -> list[Piece]:
    assert bench.located is not None
    info = bench.located.info
    length = clock(info.frames, info.sample_rate, thousandths=width >= NARROW)
    return [(length, ""), (form(info), QUIET), (loudness(bench), ""), (device, QUIET)]


def _facts_in_header(bench: Bench, width: int, device: str) -> list[Piece]:
    """As many facts as leave the file's name enough room; none is put before one that had to go."""
    assert bench.located is not None
    room = width - 4 - sum(cell_len(text) for text, _ in _right(bench))
    room -= min(cell_len(bench.located.source.name), SHORTEST_NAME)
    kept: list[Piece] = []
    for text, style in _facts(bench, width, device):
        if not text:
            continue
        room -= cell_len(text) + 3
        if room < 0:
            break
        kept.append((f"   {text}", style))
    return kept


def form(info: AudioInfo) -> str:
    """Sample format, rate and channels: `24 bit 48 kHz stereo`, `32 bit float 96 kHz mono`, `Vorbis 44.1 kHz mono`."""
    coded = {"FLOAT": "32 bit float", "DOUBLE": "64 bit float"}.get(info.subtype)
    coded = coded or info.subtype.replace("_", " ").lower().capitalize()
    depth = f"{info.bits} bit" if info.bits is not None else coded
    layout = {1: "mono", 2: "stereo"}.get(info.channels, f"{info.channels} channels")
    return f"{depth} {info.sample_rate / 1000:g} kHz {layout}"


def loudness(bench: Bench) -> str:
    """LUFS-I, dBTP and LRA of the source."""
    report = bench.report
    if report is None:
        return "measuring" if bench.measuring else ""
    figures = ((report.lufs_i, "LUFS"), (report.true_peak_dbtp, "dBTP"), (report.lra_lu, "LU"))
    return "  ".join(f"{value:.1f} {unit}" for value, unit in figures if value is not None) or "silence"


def lanes_title(bench: Bench) -> list[Piece]:
    """The line above the lanes: what made the stems, whether they add up, and whether there is a time map."""
    session = bench.session
    if session is None:
        return [(" stems", "$secondary bold")] if bench.located is not None else []
    return [*_stems_title(bench, session), *_cleanup_title(session), *_warp_title(session)]


def _cleanup_title(session: Session) -> list[Piece]:
    active = [step for step in session.cleanup if step.active]
    if not active:
        return []
    hears = "the master" if any(step.apply == "master" for step in active) else "networks only"
    count = f"{len(active)} step{'s' if len(active) > 1 else ''}"
    return [("  clean-up ", "$accent bold"), (f"{count}, {hears}", "$accent")]


def _warp_title(session: Session) -> list[Piece]:
    if session.warp.identity:
        return []
    count = len(session.warp.anchors)
    return [("  warp ", "$accent bold"), (f"{count} anchor{'s' if count > 1 else ''}", "$accent")]


def _stems_title(bench: Bench, session: Session) -> list[Piece]:
    separation = session.separation
    made_by = separation.model if separation.stems_from is None else f"from {Path(separation.stems_from).name}/"
    pieces: list[Piece] = [(" stems", "$secondary bold"), (f"  {made_by}", QUIET)]
    if not bench.stems:
        return [
            *pieces,
            ("  not separated yet: ", QUIET),
            (actions.key("panel.separate"), "$accent bold"),
            (" separates", QUIET),
        ]
    if bench.stem_sum_dbfs is None:
        return [*pieces, ("  their sum is the source", QUIET)]
    return [*pieces, (f"  their sum nulls to {bench.stem_sum_dbfs:.0f} dBFS", QUIET)]


def chain_title(bench: Bench) -> list[Piece]:
    """The line above the chain: which strip, and how it goes into the sum."""
    if bench.session is None or not bench.strip:
        return [(" chain", "$secondary bold")] if bench.located is not None else []
    if bench.strip == MASTER:
        return [(" master stage", "$secondary bold"), ("  after the sum", QUIET)]
    strip = bench.strip_value
    state = ("neutral", QUIET) if strip.neutral else ("changed", "$accent")
    return [(f" {bench.strip}", "$secondary bold"), (f"  {strip.mode}  ", QUIET), state]


def jobs_line(jobs: Jobs | None, said: str, aside: Sequence[str], width: int) -> list[Piece]:
    """What runs, how far, how fast, how long still; or what was said last, and `aside` at the right end."""
    job = None if jobs is None else jobs.shown
    if jobs is None or job is None:
        return _idle_line(said, aside, width)
    share, left, speed = job.share, job.seconds_left, job.speed
    ending: list[Piece] = []
    if share is not None:
        ending.append((f" {share:4.0%}", "bold"))
    if speed is not None:
        ending.append((f"  {speed:.1f}x", QUIET))
    rate = job.bytes_per_second
    if rate is not None:
        ending.append((f"  {size_in_words(round(rate))}/s", QUIET))
    if left is not None:
        ending.append((f"  {clock(round(left), 1, thousandths=False)} left", QUIET))
    if jobs.waiting:
        ending.append((f"  +{jobs.waiting} waiting", QUIET))
    key = actions.key("job.cancel")
    stopping = (f"  stopping, {key} again ends it at once ", "$warning")
    ending += [stopping] if job.stopping else [(f"  {key}", "$accent bold"), (" stops ", QUIET)]
    room = width - sum(cell_len(text) for text, _ in ending) - 1
    title = _titled(job, room - LEAST_BAR)
    room -= sum(cell_len(text) for text, _ in title)
    return [*title, *_bar(share, min(40, room)), *ending]


def _titled(job: Job, room: int) -> list[Piece]:
    title = cut(job.title, max(8, room - 3))
    stage = job.stage if job.stage != job.title and cell_len(job.stage) + 5 <= room - cell_len(title) else ""
    return [(f" {title}", "bold"), (f"  {stage}" if stage else "", ""), ("  ", "")]


def _bar(share: float | None, cells: int) -> list[Piece]:
    if share is None or cells < 4:
        return []
    full = round(share * cells)
    return [("█" * full, "$primary"), ("░" * (cells - full), "$foreground 40%")]


def _idle_line(said: str, aside: Sequence[str], width: int) -> list[Piece]:
    kept: list[str] = []
    room = width - 4 - min(cell_len(said), width // 2)
    for text in aside:
        room -= cell_len(text) + 3
        if room < 0:
            break
        kept.append(text)
    right = "   ".join(kept)
    left = cut(said, width - 2 - (cell_len(right) + 2 if right else 0))
    gap = width - 2 - cell_len(left) - cell_len(right)
    return [(f" {left}", QUIET), (" " * gap, ""), (right, "$foreground 80%"), (" ", "")]


PAIRS = {
    "value.less": ("value.more", "value"),
    "time.back": ("time.forward", "move"),
    "view.zoom_in": ("view.zoom_out", "zoom"),
    "loop.first": ("loop.last", "loop"),
    "chain.up": ("chain.down", "move"),
}
"""Actions that the footer shows as one, with the other one and what the two are for."""
ALWAYS = ("app.palette", "app.help")
WITHOUT_FILE = ("file.open", "panel.models", "panel.doctor", "app.theme", "app.leave")
"""What can be done while nothing is open."""


def footer(bench: Bench, pane: str, keymap: actions.Keymap, width: int) -> list[Piece]:
    """The keys that matter in a pane, as many as fit; palette and help always do."""
    hints = _hints(bench, pane, keymap)
    last = [_hint(actions.by_id(action_id), keymap) for action_id in ALWAYS]
    room = width - sum(_hint_cells(hint) for hint in last)
    kept: list[tuple[str, str]] = []
    for hint in hints:
        if hint[0] and _hint_cells(hint) <= room:
            kept.append(hint)
            room -= _hint_cells(hint)
    pieces: list[Piece] = []
    for key, title in (*kept, *last):
        pieces += [(f" {key}", "$accent bold"), (f" {title} ", "$foreground 70%")]
    return pieces


def _hints(bench: Bench, pane: str, keymap: actions.Keymap) -> list[tuple[str, str]]:
    if bench.located is None:
        return [_hint(actions.by_id(action_id), keymap) for action_id in WITHOUT_FILE]
    shown = [action for action in actions.in_footer(pane) if action.id not in ALWAYS]
    if bench.session is not None and not bench.stems:
        shown.sort(key=lambda action: action.id != "panel.separate")
    seconds = {second for second, _ in PAIRS.values()}
    return [_hint(action, keymap, pane) for action in shown if action.id not in seconds]


def _hint(action: actions.Action, keymap: actions.Keymap, pane: str = "") -> tuple[str, str]:
    """A key, or two that belong together, and what it is for."""
    if action.id not in PAIRS:
        return actions.brief(action.id, keymap), action.title
    second, title = PAIRS[action.id]
    about = "gain" if (action.id, pane) == ("value.less", "lanes") else title
    return actions.brief_pair(action.id, second, keymap), about


def _hint_cells(hint: tuple[str, str]) -> int:
    return sum(map(cell_len, hint)) + 3


def of_found(found: Found) -> str:
    """How a stem that was brought lies in the master, and how far that goes down without it."""
    depth_db = found.depth.depth_db
    left = "nothing is left of the master" if depth_db is None else f"master {depth_db:+.1f} dB without it"
    return f"{words.of_brought(found.name, found.brought, hashed=False)}; {left}"


def summary(session: Session) -> str:
    """What is changed, in one line."""
    return "  ".join(words.of_session(session)) or "nothing is changed"
