"""Notifications that belong to no call, on their way from a server to the sessions that listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Listener = Callable[[str, str, Mapping[str, Any]], None]
"""Called with server, method, params. Must not block and must not raise."""


class Notices:
    """Who listens, by session. A session may have more than one listener (several open streams)."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}

    def attach(self, session_id: str, listener: Listener) -> None:
        """Deliver this session's notifications to `listener` from now on."""
        self._listeners.setdefault(session_id, []).append(listener)

    def detach(self, session_id: str, listener: Listener | None = None) -> None:
        """Stop delivering to `listener`, or to all of the session's."""
        if listener is None:
            self._listeners.pop(session_id, None)
            return
        # equality, not identity: a bound method is a new object each time it is looked up
        left = [each for each in self._listeners.get(session_id, ()) if each != listener]
        if left:
            self._listeners[session_id] = left
        else:
            self._listeners.pop(session_id, None)

    def deliver(self, server: str, session_id: str, method: str, params: Mapping[str, Any]) -> None:
        """To one session's listeners; "" as session reaches all (a shared server's list change)."""
        targets = [session_id] if session_id else list(self._listeners)
        for target in targets:
            for listener in tuple(self._listeners.get(target, ())):
                listener(server, method, params)
