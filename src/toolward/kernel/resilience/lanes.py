"""Bulkheads: how many calls a tool and its server have in flight, and who waits for a place.

Where there are many places, a caller may hold three quarters of them, so that others find some; an eighth
more is there for undoing and for calls that a person approved, which also wait before all others.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from toolward.model.resilience import Limits
from toolward.rules.resilience.retrying import Budget

SHARED_FROM: Final = 32
"""Places from which a quarter is kept for others; fewer are what the server can do, and all are used."""


class _Places:
    """So many calls at a time."""

    __slots__ = ("key", "limits", "running", "share")

    def __init__(self, key: str, limits: Limits) -> None:
        self.key = key
        self.running: list[str] = []  # the caller of each call in flight
        self.bound(limits)

    def bound(self, limits: Limits) -> None:
        """Put limits in force; who is in stays in."""
        self.limits = limits
        most = limits.in_flight
        self.share = most - most // 4 if most >= SHARED_FROM else most  # of one caller

    def is_open_to(self, caller: str, *, first: bool) -> bool:
        """Whether one more call of this caller may run here."""
        running, most = self.running, self.limits.in_flight
        if first:
            return len(running) < most + most // 8
        return len(running) < self.share or (len(running) < most and running.count(caller) < self.share)


class ServerLane(_Places):
    """All calls of one server."""

    __slots__ = ("budget", "calls", "waiting")

    def __init__(self, key: str, limits: Limits) -> None:
        super().__init__(key, limits)
        self.waiting: list[Waiter] = []
        self.calls = 0
        self.budget = Budget()

    def join(self, waiter: Waiter) -> None:
        """Wait: behind whoever came before, and before whoever is not `first`."""
        place = len(self.waiting)
        if waiter.first:
            place = sum(each.first for each in self.waiting)
        self.waiting.insert(place, waiter)

    def wake(self) -> None:
        """Give places that became free to those who wait longest for what is free."""
        full: set[tuple[str, str, bool]] = set()  # nearly all wait for the same, and one look tells of all
        for waiter in tuple(self.waiting):
            wanted = (waiter.lane.key, waiter.caller, waiter.first)
            if wanted in full or waiter.given.done():
                continue
            if not waiter.lane.has_room(waiter.caller, first=waiter.first):
                full.add(wanted)
            else:
                self.waiting.remove(waiter)
                waiter.lane.enter(waiter.caller)
                waiter.given.set_result(None)


class Lane(_Places):
    """All calls of one tool, or of one other action, of a server."""

    __slots__ = ("server",)

    def __init__(self, key: str, limits: Limits, server: ServerLane) -> None:
        super().__init__(key, limits)
        self.server = server

    def is_calm(self) -> bool:
        """Whether any call may run, whoever makes it; cheap, as every call asks."""
        server = self.server
        return not server.waiting and len(self.running) < self.share and len(server.running) < server.share

    def has_room(self, caller: str, *, first: bool) -> bool:
        """Whether one more call of this caller may run, here and at the server."""
        return self.is_open_to(caller, first=first) and self.server.is_open_to(caller, first=first)

    def queued(self) -> int:
        """Calls that wait for this lane."""
        return sum(each.lane is self for each in self.server.waiting)

    def enter(self, caller: str) -> None:
        """One call's place, to be left."""
        self.running.append(caller)
        self.server.running.append(caller)
        self.server.calls += 1

    def leave(self, caller: str) -> None:
        """Once for each place that was entered."""
        self.running.remove(caller)
        self.server.running.remove(caller)
        if self.server.waiting:
            self.server.wake()


@dataclass(eq=False, slots=True)
class Waiter:
    """A call that waits for a place; `given` is done when it has one."""

    lane: Lane
    caller: str
    first: bool
    given: asyncio.Future[None]
