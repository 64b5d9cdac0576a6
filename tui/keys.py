"""Keys one after the other: the next is handed on when the one before has done its work.

Textual sends a key to what has the focus when the key arrives, and carries out actions later. After a pause of the
line, or from a fast hand, several keys arrive at once; those that follow `=` must reach the field that it opens.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from textual import events
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.timer import Timer

Result = TypeVar("Result")

PATIENCE_SECONDS = 0.5
"""After so long a key counts as done, whatever became of it."""


class KeysInOrder(App[Result], Generic[Result]):
    """An app that has at most one key under way."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting_keys: deque[events.Key] = deque()
        self._key_under_way: events.Key | None = None
        self._patience: Timer | None = None

    async def on_event(self, event: events.Event) -> None:
        """Holds a key back while another is under way; one that nobody took comes back here for its action."""
        if not isinstance(event, events.Key):
            await super().on_event(event)
        elif event.is_forwarded:
            await super().on_event(event)
            await self._key_done(event)
        elif self._key_under_way is None:
            await self._send_key(event)
        else:
            self._waiting_keys.append(event)

    def pop_screen(self) -> AwaitComplete:
        """As Textual's; a widget that closed its screen with a key can't tell any more that it took it."""
        popped = super().pop_screen()
        if self._key_under_way is not None:
            self.call_later(self._key_done, self._key_under_way)
        return popped

    async def _send_key(self, key: events.Key) -> None:
        self._key_under_way = key
        target = self.focused or self.screen
        await super().on_event(key)
        if key.is_forwarded:
            # behind the key in the queue of the same widget: by then it was either taken, or is on its way up to us
            target.call_later(self._key_seen, key)
            self._patience = self.set_timer(PATIENCE_SECONDS, lambda: self._key_done(key))
        else:
            await self._key_done(key)

    async def _key_seen(self, key: events.Key) -> None:
        if key._stop_propagation:
            await self._key_done(key)

    async def _key_done(self, key: events.Key) -> None:
        if key is not self._key_under_way:
            return
        self._key_under_way = None
        if self._patience is not None:
            self._patience.stop()
        if self._waiting_keys:
            await self._send_key(self._waiting_keys.popleft())
