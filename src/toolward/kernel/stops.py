"""The kill switch: an agent, a tool, a session, a server or everything, at once and with a reason.

What is stopped is one row of the store, read with every call: before resolve, and again right before the
tool runs. Calls that run are cancelled at their server and settled. Undo goes on: it is how one gets out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import orjson
from msgspec import Struct
from typing_extensions import override

from toolward.errors import Denied, Reason, ReasonCode, Rejected
from toolward.kernel.audit import Auditor
from toolward.kernel.clauses import Clause, named
from toolward.kernel.incidents import Incidents
from toolward.model.call import Action, Call, Reply
from toolward.model.event import EventKind
from toolward.model.incident import IncidentKind
from toolward.model.permit import Permit
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.store import Conflict, Put, Row, Store, Table
from toolward.rules.canonical import canonical

IN_FORCE: Final = "in_force"
"""The one row: it is read with every call, so it must be one."""
REMEDY: Final = "stop here and tell the user: a person lifts it with `toolward stop lift`"
_TRIES_MAX: Final = 16


class StopKind(StrEnum):
    """What can be stopped."""

    ALL = "all"
    AGENT = "agent"
    SERVER = "server"
    TOOL = "tool"
    SESSION = "session"


class Running(Struct, eq=False):
    """A call that is at its server."""

    call: Call
    tool: str
    task: asyncio.Task[Any] | None
    stopped: Reason | None = None


class Stops(Clause):
    """What is stopped, and the calls that run."""

    def __init__(self, store: Store, auditor: Auditor, incidents: Incidents, *, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._incidents = incidents
        self._clock = clock
        self.on_stop: Callable[[], None] = lambda: None
        self._running: set[Running] = set()
        self._read: tuple[Row, dict[str, Any]] | None = None

    @override
    def concerns(self, call: Call) -> bool:
        return bool(self._rows())

    @override
    async def answer(self, call: Call) -> Reply | None:
        if (reason := self.reason(call, named(call))) is not None:
            raise Denied(reason.text, code=reason.code, remedy=reason.remedy, details=reason.details)
        return None

    def reason(self, call: Call, tool: str) -> Reason | None:
        """Why this call may not run now. What undoes an effect is never stopped.

        Nor is the list of tools, which is answered from the pins; every other list asks the server.
        """
        rows = self._rows()
        if not rows or call.undo_of or call.action is Action.LIST_TOOLS:
            return None
        for subject in _subjects(call, tool if call.action is Action.CALL_TOOL else ""):
            if (row := rows.get(subject)) is not None:
                return Reason(
                    code=ReasonCode.STOPPED,
                    text=f"{_words(subject)} was stopped by {row['by']['user']}: {row['why']}",
                    remedy=REMEDY,
                    details=(("stopped", subject),),
                )
        return None

    def running(self, permit: Permit) -> Running:
        """Where the tool runs, to be left: a stop that matches cancels the task and says so in `stopped`."""
        call, resolved = permit.labelled.call, permit.labelled.resolved
        entry = Running(call, f"{resolved.server}/{resolved.name}", asyncio.current_task())
        self._running.add(entry)
        return entry

    def left(self, entry: Running) -> None:
        """The tool has answered, or was left."""
        self._running.discard(entry)

    async def set(self, kind: StopKind, name: str, *, why: str, by: Principal) -> dict[str, Any]:
        """Stop it, write that down with an incident, and cancel what runs; returns what was cancelled.

        Raises `Rejected` without a reason or a name, `AuditUnavailable`.
        """
        subject = _subject(kind, name)
        if not why.strip():
            raise Rejected("a stop needs a reason", remedy="add --why TEXT")
        words = f"{_words(subject)} was stopped by {by.user}: {why}"
        opened, put = self._incidents.open(IncidentKind.STOP, subject, words, contained=True)
        row = {"why": why[:1000], "by": by.as_json(), "at_ns": str(self._clock.now_ns())}
        for _ in range(_TRIES_MAX):
            rows, version = self._versioned()
            fresh = subject not in rows
            event = self._auditor.event(EventKind.STOPPED, body={"stopped": subject, **row})
            changes = [self._put({**rows, subject: row}, version), *([put] if fresh else [])]
            try:
                await self._store.commit([event, *([opened] if fresh else [])], changes)
            except Conflict:
                continue
            return {"stopped": subject, "cancelled": self._cancel()}
        raise Denied("others stop and lift at the same time", code=ReasonCode.CONTESTED, remedy="try again")

    async def lift(self, kind: StopKind, name: str, *, why: str, by: Principal) -> dict[str, Any]:
        """Let it go on; its incident is restored. Raises `Rejected` where there is no such stop."""
        subject = _subject(kind, name)
        for _ in range(_TRIES_MAX):
            rows, version = self._versioned()
            if subject not in rows:
                raise Rejected(f"{_words(subject)} is not stopped", remedy="see `toolward stop list`")
            body = {"lifted": subject, "why": why[:1000], "by": by.as_json()}
            restored = self._incidents.restore(IncidentKind.STOP, subject)
            events = [self._auditor.event(EventKind.STOP_LIFTED, body=body), *(e for e, _ in restored)]
            left = {name: row for name, row in rows.items() if name != subject}
            try:
                await self._store.commit(events, [self._put(left, version), *(p for _, p in restored)])
            except Conflict:
                continue
            return {"lifted": subject}
        raise Denied("others stop and lift at the same time", code=ReasonCode.CONTESTED, remedy="try again")

    def all(self) -> list[dict[str, Any]]:
        """What is stopped, why, by whom and since when."""
        return [{"stopped": subject, **row} for subject, row in sorted(self._rows().items())]

    def _cancel(self) -> int:
        """Cancel what runs and is stopped now; what waits for something looks again."""
        self.on_stop()
        cancelled = 0
        for entry in tuple(self._running):
            reason = self.reason(entry.call, entry.tool)
            if reason is None or entry.stopped is not None or entry.task is None:
                continue
            if entry.task.cancelling():
                continue  # its caller went away: it is being cancelled as it is
            entry.stopped = reason
            entry.task.cancel()
            cancelled += 1
        return cancelled

    def _rows(self) -> Mapping[str, Any]:
        """The primary's row as it is now; parsed once for each version of it."""
        row = self._store.get(Table.STOP, IN_FORCE)
        if row is None:
            return {}
        if self._read is None or self._read[0] is not row:
            self._read = (row, orjson.loads(row.body))
        return self._read[1]

    def _versioned(self) -> tuple[dict[str, Any], int]:
        row = self._store.get(Table.STOP, IN_FORCE)
        return (orjson.loads(row.body), row.version) if row else ({}, 0)

    @staticmethod
    def _put(rows: Mapping[str, Any], expect: int) -> Put:
        return Put(Table.STOP, IN_FORCE, canonical(rows), expect=expect)


def _subject(kind: StopKind, name: str) -> str:
    if kind is StopKind.ALL:
        return kind.value
    if not name:
        raise Rejected(f"name the {kind} to stop")
    return f"{kind}/{name}"


def _subjects(call: Call, tool: str) -> tuple[str, ...]:
    server = tool.partition("/")[0] if tool else call.server
    return (
        "all",
        f"agent/{call.session.principal.agent}",
        f"session/{call.session.session_id}",
        f"server/{server}",
        f"tool/{tool}",
    )


def _words(subject: str) -> str:
    kind, _, name = subject.partition("/")
    return f"the {kind} `{name}`" if name else "everything"
