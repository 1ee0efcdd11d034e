"""Failed sign-ins: each is counted, and only the first few are recorded one by one."""

from __future__ import annotations

from collections import Counter

from toolward.config.limits import SIGN_IN_FAILURES_EACH_MAX, SIGN_IN_WINDOW_S
from toolward.errors import AuditUnavailable, Overloaded, Reason
from toolward.kernel.audit import Auditor
from toolward.model.event import Event, EventKind
from toolward.ports.clock import Clock
from toolward.ports.store import Store


class SignIns:
    """Whoever fails to sign in holds no credential, so nothing else bounds how often he tries."""

    def __init__(self, store: Store, auditor: Auditor, *, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._clock = clock
        self._began_ns = 0
        self._recorded = 0
        self._more: Counter[tuple[str, str]] = Counter()

    async def failed(self, reason: Reason, door: str) -> None:
        """Record it, or count it. If that fails too, the caller is refused all the same."""
        now = self._clock.monotonic_ns()
        events: list[Event] = []
        if now - self._began_ns >= SIGN_IN_WINDOW_S * 1_000_000_000:
            self._began_ns, self._recorded = now, 0
            events += self._counted()
        if self._recorded < SIGN_IN_FAILURES_EACH_MAX:
            self._recorded += 1
            events.append(self._event(reason.code.value, door, 1))
        else:
            self._more[reason.code.value, door] += 1
        await self._write(events)

    def _counted(self) -> list[Event]:
        events = [self._event(code, door, count) for (code, door), count in sorted(self._more.items())]
        self._more.clear()
        return events

    def _event(self, code: str, door: str, count: int) -> Event:
        body = {"reason": code, "door": door, "count": count}
        return self._auditor.event(EventKind.SIGN_IN_FAILED, body=body)

    async def _write(self, events: list[Event]) -> None:
        try:
            if events:
                await self._store.commit(events)
        except (AuditUnavailable, Overloaded):
            return
