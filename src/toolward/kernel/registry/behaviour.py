"""Same bytes, other behaviour: contracts are tried through the whole corridor, and a change quarantines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson

from toolward.errors import ReasonCode, ToolwardError
from toolward.kernel.attempt import Attempt
from toolward.kernel.audit import Auditor
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.registry.registry import Registry
from toolward.kernel.tasks import Background
from toolward.model.call import Action, Era, Reply
from toolward.model.contract import CONTRACT_DOOR, PROBE_AGENT, Contract, Held, Verdict
from toolward.model.event import EventKind
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import Effect, ToolState, ToolVersion
from toolward.ports.clock import Clock
from toolward.ports.store import Put, Store, Table
from toolward.ports.upstream import Exchange
from toolward.rules.canonical import canonical
from toolward.rules.contracts import contract_digest, difference

ERRORS_MAX: Final = 3
"""Errors in a row that a tool may answer before they count as another behaviour: what it asks may be away."""
_PROBER: Final = Principal(
    user="toolward", agent=PROBE_AGENT, credential="probe", kind=CredentialKind.IN_PROCESS
)
_AN_ERROR: Final = "answers with an error"


class Corridor(Protocol):
    """The gateway, as whoever calls on its own behalf sees it."""

    async def perform(self, attempt: Attempt, exchange: Exchange) -> Reply:
        """Walk the whole corridor."""
        ...

    async def open_session(self, principal: Principal, origin: SessionOrigin, *, prompt: str = "") -> Session:
        """A session of its own."""
        ...

    async def close_session(self, session_id: str) -> None:
        """End it, and what ran for it."""
        ...


class Behaviour:
    """Tries contracts on demand, on schedule and when a server was connected to."""

    def __init__(
        self,
        store: Store,
        auditor: Auditor,
        registry: Registry,
        *,
        clock: Clock,
        contracts: Callable[[], Sequence[Contract]],
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        """`contracts` gives those of the revision in force; `on_change` hears of a quarantine."""
        self._store = store
        self._auditor = auditor
        self._registry = registry
        self._clock = clock
        self._contracts = contracts
        self._on_change = on_change
        self._corridor: Corridor | None = None
        self._background: Background | None = None
        self._trying = asyncio.Lock()

    def attach(self, corridor: Corridor) -> None:
        """The corridor that contracts are tried through."""
        self._corridor = corridor

    def watch(self, background: Background) -> None:
        """From now on try a server's contracts when it was connected to: a daemon's work, no command's."""
        self._background = background

    def connected(self, server: str) -> None:
        """A server was started, restarted, or said that it changed; its definitions were compared."""
        if self._background is not None and self._of(f"{server}/"):
            _ = self._background.start(self.probe(f"{server}/"))

    async def probe(self, tool: str = "", *, asked: bool = False) -> list[Verdict]:
        """Try the contracts of `server/name`, of `server/`, or all, one after the other.

        Each is recorded where its verdict is another one than before, or where a person asked.
        Raises `AuditUnavailable`, `Overloaded`.
        """
        servers: dict[str, list[Contract]] = {}
        for each in self._of(tool):
            servers.setdefault(each.tool.partition("/")[0], []).append(each)
        async with self._trying:  # a server that hangs keeps no other waiting
            tried = await asyncio.gather(*(self._each(each, asked=asked) for each in servers.values()))
        return [verdict for verdicts in tried for verdict in verdicts]

    async def schedule(
        self, every_s: Callable[[], float], report: Callable[[str, ToolwardError], None]
    ) -> None:
        """Try all again and again, for as long as the task lives."""
        while True:
            await asyncio.sleep(every_s())
            try:
                await self.probe()
            except ToolwardError as error:
                report("contracts", error)

    def last(self, tool: str) -> list[dict[str, Any]]:
        """What changed in a tool's behaviour at the last try of each contract that does not hold."""
        out = []
        for contract in self._of(tool):
            row = self._row(contract)
            if row.get("verdict") != Held.CHANGED.value:
                continue
            found = self._store.find(kind=EventKind.CONTRACT_PROBED.value, tool=tool)
            for record in found:
                body = orjson.loads(record.body)
                if body["contract"] == contract.name and body["verdict"] == Held.CHANGED.value:
                    text = self._store.payload(record.index, "difference")
                    said = orjson.loads(text)["text"] if text else "(shredded)"
                    out.append({"contract": contract.name, "text": said, "time": body["time"]})
                    break
        return out

    async def _each(self, contracts: Sequence[Contract], *, asked: bool) -> list[Verdict]:
        return [await self._probed(each, asked=asked) for each in contracts]

    # --- one contract -----------------------------------------------------------------------------

    def _of(self, tool: str) -> list[Contract]:
        return [
            each
            for each in self._contracts()
            if not tool or each.tool == tool or (tool.endswith("/") and each.tool.startswith(tool))
        ]

    async def _probed(self, contract: Contract, *, asked: bool) -> Verdict:
        pin = self._registry.pin(contract.tool)
        version = self._registry.version(pin.digest) if pin is not None else None
        if pin is None or version is None:
            return Verdict(contract=contract, held=Held.UNABLE, text="no such tool is known")
        if version.manifest.effect is not Effect.READ_ONLY:
            return Verdict(contract=contract, held=Held.UNABLE, text="only what is read_only is tried")
        if pin.state is not ToolState.APPROVED:
            return Verdict(contract=contract, held=Held.UNABLE, text=f"the tool is {pin.state.value}")
        before = self._row(contract)
        same = before.get("contract") == contract_digest(contract) and before.get("version") == version.digest
        if same and before.get("waits") and not asked:
            # people are not asked again and again: whoever wants to know tries it by hand
            return Verdict(contract=contract, held=Held.UNABLE, text="a person has to agree to each try")
        reply = await self._ask(contract)
        verdict, row = self._judged(contract, version, before, reply)
        if asked or row.get("verdict") != before.get("verdict"):
            await self._record(verdict, version, row)
        elif row != before:
            await self._store.commit([], [_put(contract, row)])
        if verdict.held is Held.CHANGED:
            why = f"{contract.tool} no longer answers as its contract `{contract.name}` says"
            if await self._registry.quarantine(contract.tool, version.digest, why):
                await self._on_change()
        return verdict

    async def _ask(self, contract: Contract) -> Reply:
        server, _, name = contract.tool.partition("/")
        if self._corridor is None:
            raise ToolwardError("contracts were tried before the gateway stood")
        # a contract's arguments are the operator's own words, as a host's prompt is
        prompt = "\n".join(_texts(contract.arguments))
        session = await self._corridor.open_session(_PROBER, SessionOrigin.HANDLE, prompt=prompt)
        attempt = Attempt(
            principal=_PROBER,
            session_id=session.session_id,
            action=Action.CALL_TOOL,
            params={"name": name, "arguments": dict(contract.arguments)},
            server=server,
            era=Era.STATELESS,
            door=CONTRACT_DOOR,
        )
        try:
            return await self._corridor.perform(attempt, QuietExchange())
        finally:
            await self._corridor.close_session(session.session_id)

    def _judged(
        self, contract: Contract, version: ToolVersion, before: Mapping[str, Any], reply: Reply
    ) -> tuple[Verdict, dict[str, Any]]:
        """The verdict, and the row that is kept of it."""
        same = before.get("contract") == contract_digest(contract) and before.get("version") == version.digest
        held_ns = before.get("held_ns", "0") if same else "0"
        errors = (int(before.get("errors", 0)) if same else 0) + 1 if _is_error(reply) else 0
        text, able = _said(contract, reply)
        if able and not text:
            held, held_ns = Held.HOLDS, str(self._clock.now_ns())
        elif held_ns == "0":
            held = Held.NEVER if able else Held.UNABLE
        else:
            held = Held.CHANGED if able or errors >= ERRORS_MAX else Held.UNABLE
        row = {
            "contract": contract_digest(contract),
            "version": version.digest,
            # the time of the first success is enough: a row is not written for each
            "held_ns": before["held_ns"] if same and before.get("held_ns", "0") != "0" else held_ns,
            "errors": errors,
            "verdict": held.value,
        }
        if _waits(reply):
            row["waits"] = True
        return Verdict(contract=contract, held=held, text=text, call_id=reply.call_id), row

    async def _record(self, verdict: Verdict, version: ToolVersion, row: Mapping[str, Any]) -> None:
        event = self._auditor.event(
            EventKind.CONTRACT_PROBED,
            call_id=verdict.call_id,
            tool=verdict.contract.tool,
            body={
                "contract": verdict.contract.name,
                "digest": row["contract"],
                "version": version.digest,
                "verdict": verdict.held.value,
            },
            payloads={"difference": canonical({"text": verdict.text})} if verdict.text else {},
        )
        await self._store.commit([event], [_put(verdict.contract, row)])

    def _row(self, contract: Contract) -> dict[str, Any]:
        row = self._store.get(Table.CONTRACT, contract.key)
        return orjson.loads(row.body) if row is not None else {}


def _texts(value: Any) -> Iterator[str]:
    """Every leaf as a person would write it."""
    if isinstance(value, Mapping):
        for below in value.values():
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)
    else:
        yield value if isinstance(value, str) else orjson.dumps(value).decode()


def _put(contract: Contract, row: Mapping[str, Any]) -> Put:
    return Put(Table.CONTRACT, contract.key, canonical(row))


def _is_error(reply: Reply) -> bool:
    """Whether the tool itself answered with an error; not whether it could be reached."""
    if reply.result is not None:
        return reply.result.get("isError") is True
    data = reply.error.data if reply.error is not None else None
    return isinstance(data, Mapping) and data.get("code") == ReasonCode.TOOL_FAILED.value


def _waits(reply: Reply) -> bool:
    """Whether policy wants a person to agree to this very call."""
    data = reply.error.data if reply.error is not None else None
    return isinstance(data, Mapping) and data.get("code") == ReasonCode.APPROVAL_REQUIRED.value


def _said(contract: Contract, reply: Reply) -> tuple[str, bool]:
    """What is wrong with the answer, "" if nothing, and whether there is an answer that can be judged."""
    if reply.result is None:
        return (reply.error.message[:500] if reply.error is not None else "no answer"), False
    speaks_of_errors = any(each.at in ("", "/isError") for each in contract.expect)
    if reply.result.get("isError") is True and not speaks_of_errors:
        return _AN_ERROR, False
    return difference(contract, reply.result), True
