"""Did it happen? The gateway asks a reading tool through the whole corridor, and keeps its answer."""

from __future__ import annotations

from typing import Protocol

import orjson

from toolward.errors import Denied, ToolwardError
from toolward.kernel.attempt import Attempt
from toolward.kernel.audit import Auditor
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.registry.registry import Registry
from toolward.model.call import Action, Era, Reply
from toolward.model.event import EventKind
from toolward.model.principal import CredentialKind, Principal
from toolward.model.rollback import UNDO_AGENT
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import Effect, ToolVersion
from toolward.ports.store import Store
from toolward.ports.upstream import Exchange
from toolward.rules.recorded import arguments_from, happened


class Corridor(Protocol):
    """The gateway, as what asks on its own behalf sees it."""

    async def perform(self, attempt: Attempt, exchange: Exchange) -> Reply:
        """Walk the whole corridor."""
        ...

    async def open_session(self, principal: Principal, origin: SessionOrigin) -> Session:
        """A session of its own."""
        ...


def own_principal(user: str, roles: tuple[str, ...] = ()) -> Principal:
    """The gateway acting for `user`: policy tells it apart by its agent, and its credential is no agent's."""
    return Principal(
        user=user, agent=UNDO_AGENT, roles=roles, credential="undo", kind=CredentialKind.IN_PROCESS
    )


class Probe:
    """Asks the tool that a manifest names under `undo.probe`."""

    def __init__(self, store: Store, auditor: Auditor, registry: Registry) -> None:
        self._store = store
        self._auditor = auditor
        self._registry = registry

    def declared(self, call_id: str) -> ToolVersion | None:
        """The version that the call used, if it can be probed."""
        found = self._store.find(kind=EventKind.CALL_INTENT.value, call_id=call_id, limit=1)
        version = self._registry.version(orjson.loads(found[0].body).get("version", "")) if found else None
        if version is None or version.manifest.undo is None or version.manifest.undo.probe is None:
            return None
        return version

    async def __call__(self, call_id: str, corridor: Corridor, *, key: str = "") -> bool | None:
        """Whether the effect of that call is there; None where nobody can say. `key` is what `/key` names.

        The probing tool must be read-only: one that writes is not asked. Recorded as `call.probed`.
        Raises `AuditUnavailable`, `Overloaded`.
        """
        version = self.declared(call_id)
        if version is None or version.manifest.undo is None or version.manifest.undo.probe is None:
            return None
        (record,) = self._store.find(kind=EventKind.CALL_INTENT.value, call_id=call_id, limit=1)
        intent = orjson.loads(record.body)
        use = version.manifest.undo.probe
        answer: bool | None = None
        said, probe_id = "", ""
        try:
            given = self._store.payload(record.index, "arguments")
            recorded = {"input": orjson.loads(given) if given else {}, "key": key or call_id}
            arguments = arguments_from(use.arguments, recorded)
            self._must_read(f"{version.server}/{use.tool}")
            reply = await self._ask(corridor, intent, (version.server, use.tool), arguments)
        except ToolwardError as error:
            said = error.reason.code.value
        else:
            probe_id = reply.call_id
            if reply.result is not None:
                answer = happened(reply.result)
            elif reply.error is not None and isinstance(reply.error.data, dict):
                said = str(reply.error.data.get("code", ""))
        body = {"answer": _word(answer), "by": probe_id}
        event = self._auditor.event(
            EventKind.CALL_PROBED,
            call_id=call_id,
            session_id=intent.get("session_id", ""),
            tool=version.key,
            body=body | ({"reason": said} if said else {}),
        )
        await self._store.commit([event])
        return answer

    def _must_read(self, key: str) -> None:
        served = self._registry.served(key)
        if served is not None and served[1].manifest.effect is not Effect.READ_ONLY:
            raise Denied(f"{key} is no reading tool, so it is no probe")

    @staticmethod
    async def _ask(
        corridor: Corridor, intent: dict[str, object], tool: tuple[str, str], arguments: dict[str, object]
    ) -> Reply:
        asked = intent["principal"]
        user, roles = (asked["user"], tuple(asked["roles"])) if isinstance(asked, dict) else ("", ())
        principal = own_principal(user, roles)
        session = await corridor.open_session(principal, SessionOrigin.HANDLE)
        attempt = Attempt(
            principal=principal,
            session_id=session.session_id,
            action=Action.CALL_TOOL,
            params={"name": tool[1], "arguments": arguments},
            server=tool[0],
            era=Era.STATELESS,
            door="probe",
            undo_of=str(intent.get("call_id", "")),
        )
        return await corridor.perform(attempt, QuietExchange())


def _word(answer: bool | None) -> str:  # noqa: FBT001 -- the three answers of a probe
    return {True: "yes", False: "no", None: "unknown"}[answer]
