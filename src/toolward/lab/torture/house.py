"""A gateway in this process over a disk that fails, with a witness behind the upstream port."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typing_extensions import override

from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.bootstrap.assembly import Builder, House, close_house
from toolward.bootstrap.machine import Machine
from toolward.bootstrap.secrets import make_secrets
from toolward.config.ward import load_ward
from toolward.errors import Denied, ReasonCode, ToolwardError
from toolward.kernel.attempt import Attempt
from toolward.lab.torture.evidence import READ, WRITE, Effect, Evidence, Violation, judge_evidence
from toolward.lab.torture.gather import Answer, acknowledged_of, bad_proofs, read_log
from toolward.lab.torture.witness import SERVER, TOOLS
from toolward.model.call import Action, Era, Intent, RawOutcome, Reply, Returned
from toolward.model.capability import IsolationLevel, IsolationReport
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.ports.store import Store
from toolward.ports.upstream import Exchange, ServerDescription, Upstreams

AGENT: Final = Principal(user="torture", agent="load", credential="lab", kind=CredentialKind.API_KEY)
NOT_DURABLE: Final = "the intent can be read back when the tool is called"
WRITES: Final = 0.7
_NO_ANSWER: Final = frozenset({ReasonCode.AUDIT_UNAVAILABLE.value, ReasonCode.STORE_UNAVAILABLE.value})


class QuietCaller(Exchange):
    """A caller that takes no interim messages."""

    era = Era.STATELESS
    capabilities: dict[str, object] = {}  # noqa: RUF012 -- never written to

    @override
    async def notify(self, method: str, params: object) -> None:
        """Dropped."""

    @override
    async def request(self, method: str, params: object) -> dict[str, object]:
        """Always denied."""
        raise Denied("nobody can be asked here", code=ReasonCode.REQUEST_NOT_ACCEPTED)


@dataclass(slots=True)
class WitnessBehindPort(Upstreams):
    """Remembers effects in memory that no disk can lose, and looks for each write's intent first."""

    store: Store
    effects: list[Effect] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    @override
    def names(self) -> tuple[str, ...]:
        return (SERVER,)

    @override
    async def describe(self, server: str) -> ServerDescription:
        return ServerDescription(
            server=server, eras=(Era.STATELESS,), info={}, capabilities={"tools": {}}, tools=TOOLS
        )

    @override
    async def isolation(self, server: str) -> IsolationReport:
        del server
        return IsolationReport(tier=IsolationLevel.NONE)

    @override
    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        await asyncio.sleep(0)
        resolved = permit.labelled.resolved
        key = str(resolved.call.arguments["key"])
        if resolved.name == WRITE and not self._is_durable(intent):
            self.violations.append(Violation(NOT_DURABLE, f"write `{key}` ran without"))
        self.effects.append(Effect(key=key, tool=resolved.name, time_us=SystemClock().now_ns() // 1000))
        return Returned(result={"content": [{"type": "text", "text": "done"}]}, size_bytes=40)

    def _is_durable(self, intent: Intent) -> bool:
        try:
            return bool(self.store.find(call_id=intent.call_id, kind=EventKind.CALL_INTENT.value))
        except ToolwardError:  # a disk that can not even be read any more says nothing of the past
            return True

    @override
    async def close_session(self, session_id: str) -> None:
        """Nothing runs."""

    @override
    async def close(self) -> None:
        """Nothing runs."""


@asynccontextmanager
async def fragile_house(path: Path, vfs: str = "") -> AsyncIterator[tuple[House, WitnessBehindPort]]:
    """The ward at `path` open over the VFS of that name. Raises what opening a ward raises."""
    ward = load_ward(path)
    clock, ids = SystemClock(), SystemIds()
    store = SqliteStore.open(ward.state, origin=f"toolward/{ward.config.name}", clock=clock, ids=ids, vfs=vfs)
    witness = WitnessBehindPort(store)
    machine = Machine(
        store=store,
        upstreams=lambda _hooks: witness,
        secrets=make_secrets(ward.config, ward.path),
        clock=clock,
        ids=ids,
    )
    try:
        house = await Builder(ward, machine).build()
        await house.parts.drift.refresh(SERVER)
        try:
            yield house, witness
        finally:
            with contextlib.suppress(ToolwardError):  # a disk that refuses the last record, too
                await close_house(house)
    finally:
        await store.close()


@dataclass(slots=True, kw_only=True)
class Talk:
    """Concurrent callers within the process; every answer is kept."""

    gateway: House
    session_id: str
    prefix: str
    chance: random.Random
    answers: list[Answer] = field(default_factory=list)
    count: int = 0

    async def call(self, tool: str = "") -> Answer:
        """One call with a key of its own."""
        self.count += 1
        key = f"{self.prefix}-{self.count}"
        tool = tool or (WRITE if self.chance.random() < WRITES else READ)
        attempt = Attempt(
            principal=AGENT,
            session_id=self.session_id,
            action=Action.CALL_TOOL,
            params={"name": tool, "arguments": {"key": key}},
            server=SERVER,
            era=Era.STATELESS,
        )
        reply = await self.gateway.gateway.perform(attempt, QuietCaller())
        answer = Answer(key=key, tool=tool, code=code_of(reply), receipt=_receipt(reply))
        self.answers.append(answer)
        return answer

    async def crowd(self, callers: int, calls: int) -> None:
        """`callers` at once, `calls` each."""

        async def one() -> None:
            for _ in range(calls):
                await self.call()

        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(one())

    @property
    def refused(self) -> list[Answer]:
        """What the gateway did not answer for want of a record."""
        return [each for each in self.answers if each.code in _NO_ANSWER]


async def open_talk(house: House, prefix: str, chance: random.Random) -> Talk:
    """Callers in a session of their own. Raises `AuditUnavailable`."""
    session = await house.gateway.open_session(AGENT, SessionOrigin.HANDLE)
    return Talk(gateway=house, session_id=session.session_id, prefix=prefix, chance=chance)


def code_of(reply: Reply) -> str:
    """The reason code of a refusal, "" for a tool's answer."""
    if reply.error is None:
        return ""
    return str(reply.error.data["code"]) if isinstance(reply.error.data, dict) else "?"


def _receipt(reply: Reply) -> dict[str, object] | None:
    return None if reply.receipt is None else dict(reply.receipt)


def judge_house(house: House, answers: list[Answer], effects: list[Effect]) -> list[Violation]:
    """Every rule, for a house that was opened again after `answers` and `effects`."""
    log = read_log(house.store)
    answered = {each.key for each in answers if each.code not in _NO_ANSWER}
    evidence = Evidence(
        log=log,
        effects=effects,
        acknowledged=acknowledged_of(answers),
        unanswered=frozenset({each.key for each in effects} - answered),
        open_intents=tuple(each.call_id for each in house.store.open_calls()),
    )
    return [*judge_evidence(evidence).violations, *bad_proofs(answers, log, house.store.verifier_key())]
