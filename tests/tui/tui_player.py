"""A player that plays nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.audition import messages as player


class FakePlayer:
    """Notes what it is told."""

    def __init__(self, tell: Callable[[player.Answer], None]) -> None:
        self.tell = tell
        self.orders: list[player.Order] = []
        self.closed = False

    def order(self, order: player.Order) -> None:
        self.orders.append(order)

    def close(self) -> None:
        self.closed = True

    def last(self, kind: type) -> Any:
        return next(order for order in reversed(self.orders) if isinstance(order, kind))
