"""Which file to open: a browser that knows audio and sessions, with what was open lately at the top."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from core import recent
from core.atomic import size_in_words
from core.session.files import SUFFIX
from tui.panels.ask import Typed
from tui.panels.panel import Panel, heading
from tui.paths import short
from tui.widgets.line import Piece
from tui.widgets.rows import Cell, Row

AUDIO = frozenset(
    [
        ".wav",
        ".wave",
        ".rf64",
        ".bwf",
        ".w64",
        ".aif",
        ".aiff",
        ".aifc",
        ".flac",
        ".caf",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".mp2",
        ".m4a",
        ".mp4",
        ".aac",
        ".mka",
        ".webm",
        ".wv",
        ".alac",
    ]
)
SHOWN_AT_MOST = 2000


class OpenPanel(Panel[Path]):
    """Gives the path of a master or a session. Right and Enter go into a folder, left goes up."""

    title_text = "open"
    choice_title = "open"
    hints: ClassVar[tuple[str, ...]] = ("list.choose", "list.filter", "form.type", "list.close")
    BINDINGS: ClassVar = [
        ("left,h,backspace", "up", "up"),
        ("right,l", "into", "into"),
        ("equals_sign", "type", "type"),
    ]

    title_typed: ClassVar[str] = "open"
    sessions: ClassVar[bool] = True
    """Whether sessions, and what was open lately, are something to choose."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder.absolute()
        self._problem = ""

    def about(self) -> list[Piece]:
        """Where one is."""
        return [(f"  {short(self._folder)}", "$foreground 60%")]

    def rows(self) -> list[Row]:
        """Recent ones, then the folder: folders first, then sessions, then audio."""
        rows: list[Row] = []
        lately = [path for path in recent.paths() if path.exists()][:8] if self.sessions else []
        if lately:
            rows.append(heading("lately"))
            rows += [
                Row(
                    (Cell("  "), Cell(short(path.name), "name", 40), Cell("  "), Cell(short(path.parent), "dim")),
                    key=path,
                )
                for path in lately
            ]
        rows.append(heading(short(self._folder)))
        rows.append(Row((Cell("  "), Cell("..", "dim")), key=self._folder.parent))
        rows += self._folder_rows()
        if self._problem:
            rows.append(Row((Cell(f"  {self._problem}", "bad"),), choice=False))
        return rows

    def _folder_rows(self) -> list[Row]:
        self._problem = ""
        folders: list[Row] = []
        files: list[Row] = []
        try:
            entries = sorted(self._folder.iterdir(), key=lambda path: path.name.lower())
        except OSError as error:
            self._problem = f"can't be read: {(error.strerror or str(error)).lower()}"
            return []
        for path in entries[:SHOWN_AT_MOST]:
            if path.name.startswith("."):
                continue
            name = short(path.name)
            try:
                if path.is_dir():
                    folders.append(Row((Cell("  "), Cell(f"{name}/", "accent")), key=path))
                elif self.sessions and path.name.endswith(SUFFIX):
                    files.append(Row((Cell("  "), Cell(name, "name", 48), Cell("session", "good", -12)), key=path))
                elif path.suffix.lower() in AUDIO:
                    size = size_in_words(path.stat().st_size)
                    files.append(Row((Cell("  "), Cell(name, "", 48), Cell(size, "dim", -12)), key=path))
            except OSError:
                continue  # it vanished while the folder was read
        if not folders and not files:
            self._problem = "no audio and no session here" if self.sessions else "no audio here"
        return folders + files

    def choose(self, key: object) -> None:
        """Goes into a folder, or gives the file."""
        if isinstance(key, Path) and key.is_dir():
            self._go(key)
        elif isinstance(key, Path):
            self.dismiss(key)

    def action_up(self) -> None:
        """The folder above."""
        self._go(self._folder.parent)

    def action_into(self) -> None:
        """Into the chosen folder."""
        if isinstance(self.list.chosen_key, Path) and self.list.chosen_key.is_dir():
            self._go(self.list.chosen_key)

    def action_type(self) -> None:
        """A path that is typed."""

        def taken(text: str | None) -> None:
            if text:
                path = Path(text).expanduser()
                path = path if path.is_absolute() else self._folder / path
                if path.is_dir():
                    self._go(path)
                else:
                    self.dismiss(path)

        self.app.push_screen(Typed(self.title_typed, f"{short(self._folder)}/"), taken)

    def _go(self, folder: Path) -> None:
        came_from, self._folder = self._folder, folder.absolute()
        self.renew(0)
        keys = [each.key for each in self.list.rows]
        self.list.choose(keys.index(came_from) if came_from in keys else self._first_here())

    def _first_here(self) -> int:
        """The first line of the folder itself, after what was open lately."""
        keys = [each.key for each in self.list.rows]
        return keys.index(self._folder.parent) + 1 if self._folder.parent in keys else 0


class StemPanel(OpenPanel):
    """Gives the path of a stem that is to be brought."""

    title_text = "bring a stem"
    choice_title = "bring"
    title_typed = "bring"
    sessions = False
