"""The journal's own thread: every edit goes to the disk as it is made, and by itself later where it can't at once.

A thread of its own, so that no edit waits behind the reading of long files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.errors import UnbakeError, refusal
from core.session.editor import Editor
from tui import guard

RETRY_SECONDS = 10.0


class Keeper:
    """Journals an editor whenever it is told that there may be something to write.

    `tell` hears, on the thread, of the first failure (an error), and when all is written again (None).
    """

    def __init__(self, editor: Editor, tell: Callable[[UnbakeError | None], None]) -> None:
        self._editor = editor
        self._tell = tell
        self._due = threading.Event()
        self._closed = False
        threading.Thread(target=self._keep, name="journal", daemon=True).start()

    def wake(self) -> None:
        """There is something to write."""
        self._due.set()

    def close(self) -> None:
        """Ends the thread, at once where it is not writing."""
        self._closed = True
        self._due.set()

    def _keep(self) -> None:
        failing = False
        while True:
            self._due.wait(RETRY_SECONDS if failing else None)
            self._due.clear()
            if self._closed:
                return
            error = self._journal()
            if (error is not None) != failing:
                failing = error is not None
                self._tell(error)

    def _journal(self) -> UnbakeError | None:
        try:
            self._editor.journal()
        except Exception as error:  # whatever it is, the edits are not on the disk, and it is tried again
            return refusal(error) or UnbakeError(guard.in_a_line(error))
        return None
