"""A whole gateway on fakes: memory store, scripted servers, a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.builders import FakeExchange
from toolward.adapters.identity.keys import credential_body, credential_key
from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.bootstrap.assembly import Builder, House, Machine, close_house
from toolward.config.ward import load_ward
from toolward.errors import ToolFailed
from toolward.kernel.attempt import IDEMPOTENCY_META, Attempt
from toolward.model.call import Action, Era, Intent, RawOutcome, Reply, Returned
from toolward.model.capability import IsolationLevel, IsolationReport
from toolward.model.found import FoundServer, Reading, Source
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.model.server import ServerBinding
from toolward.model.session import SessionOrigin
from toolward.model.tool import BindingKind
from toolward.ports.hooks import RollbackHook
from toolward.ports.images import Images
from toolward.ports.store import Put, Store, Table
from toolward.ports.upstream import Exchange, InForce, ServerDescription, UpstreamHooks

OPERATOR = Principal(user="olga", agent="cli", credential="person-1", kind=CredentialKind.PERSON)
AGENT_KEY = credential_key("key-1")
AGENT = Principal(user="alice", agent="scripted", credential="key-1", kind=CredentialKind.API_KEY)

WARD = """\
version: 1
name: test
profile: guarded
servers:
  files:
    command: never-started
    roots: [/data]
    destinations: [example.org]
  mail:
    command: never-started
"""

MANIFESTS = {
    "files": """\
server: files
tools:
  read: {effect: read_only, egress: false, arguments: {path: {role: authority, kind: path}}}
  read_secret: {effect: read_only, egress: false, result: {integrity: trusted, confidentiality: confidential}}
  write: {effect: reversible, egress: false, arguments: {path: {role: authority, kind: path}, text: {role: content}}}
  wipe: {effect: irreversible, egress: false, arguments: {path: {role: authority, kind: path}}}
""",
    "mail": """\
server: mail
tools:
  send: {effect: irreversible, egress: true, arguments: {to: {role: authority, kind: address}, text: {role: content}}}
  fetch: {effect: read_only, egress: true, arguments: {url: {role: authority, kind: url}}}
""",
}


def tool(name: str, *required: str, **extra: Any) -> dict[str, Any]:
    """A definition whose arguments are all strings."""
    return {
        "name": name,
        "description": f"the tool {name}",
        "inputSchema": {
            "type": "object",
            "properties": {each: {"type": "string"} for each in required},
            "required": list(required),
        },
        **extra,
    }


def text_result(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


Script = Callable[[Permit, Intent, Exchange], Awaitable[RawOutcome]]


@dataclass
class FakeUpstreams:
    """`ports.upstream.Upstreams` that answers from a script and remembers what ran."""

    tools: dict[str, list[dict[str, Any]]]
    answers: dict[str, Script | str] = field(default_factory=dict)
    ran: list[tuple[str, Any, bool]] = field(default_factory=list)  # (tool, arguments, intent durable?)
    described: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    tiers: dict[str, IsolationLevel] = field(default_factory=dict)
    coming: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # tools of servers yet to be taken
    slow: dict[str, asyncio.Event] = field(default_factory=dict)  # whose description waits for that
    store: Store | None = None
    hooks: UpstreamHooks | None = None

    def names(self) -> tuple[str, ...]:
        return tuple(self.tools)

    async def describe(self, server: str) -> ServerDescription:
        self.described.append(server)
        if server in self.slow:
            await self.slow[server].wait()
        return ServerDescription(
            server=server,
            eras=(Era.HANDSHAKE, Era.STATELESS),
            info={"name": server},
            capabilities={"tools": {}, "resources": {}},
            tools=self.tools[server],
        )

    async def isolation(self, server: str) -> IsolationReport:
        return IsolationReport(tier=self.tiers.get(server, IsolationLevel.NONE))

    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        resolved = permit.labelled.resolved
        key = f"{resolved.upstream}/{resolved.name or resolved.call.action.value}"
        durable = self.store is not None and bool(self.store.find(call_id=intent.call_id, kind="call.intent"))
        self.ran.append((key, orjson.loads(permit.labelled.call.arguments_json), durable))
        answer = self.answers.get(key, "done")
        if isinstance(answer, str):
            return Returned(result=text_result(answer), size_bytes=len(answer))
        return await answer(permit, intent, exchange)

    def holds(self, kind: BindingKind) -> bool:
        return True

    async def prepare(self, taken: Sequence[ServerBinding], dropped: Collection[str]) -> InForce:
        """A server that is taken lists what `coming` has for it."""

        def in_force() -> None:
            for server in dropped:
                self.tools.pop(server, None)
            for binding in taken:
                self.tools[binding.server] = self.coming.get(binding.server, [])

        return in_force

    async def close_session(self, session_id: str) -> None:
        self.closed.append(session_id)

    async def close(self) -> None:
        self.closed.append("*")


@dataclass
class FakeSources:
    """`ports.sources.Sources` that names what a test puts there."""

    servers: list[FoundServer] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    broken: str = ""

    async def read(self, source: Source) -> Reading:
        if self.broken:
            raise ToolFailed(self.broken)
        mine = tuple(each for each in self.servers if each.source == source.name)
        return Reading(servers=mine[: source.servers_max], refused=tuple(self.refused))


class FixedSecrets:
    """`ports.secrets.Secrets` with one known value."""

    def __init__(self, **values: str) -> None:
        self.values = values

    def get(self, name: str) -> str:
        return self.values[name]

    def known_values(self) -> tuple[str, ...]:
        return tuple(self.values.values())


def default_tools() -> dict[str, list[dict[str, Any]]]:
    return {
        "files": [
            tool("read", "path"),
            tool("read_secret"),
            tool("write", "path", "text"),
            tool("wipe", "path"),
        ],
        "mail": [tool("send", "to", "text"), tool("fetch", "url")],
    }


@dataclass
class World:
    """An open house on fakes, with the shortest way to do things."""

    house: House
    upstreams: FakeUpstreams
    store: MemoryStore
    clock: VirtualClock
    sources: FakeSources = field(default_factory=FakeSources)

    async def approve_all(self) -> None:
        for server in self.upstreams.names():
            await self.house.parts.drift.refresh(server)
        for pin in list(self.house.parts.registry.pins()):
            await self.house.parts.registry.approve(pin.key, by=OPERATOR)
        await self.house.desk.reload(OPERATOR)

    async def session(self, principal: Principal = AGENT, **opening: Any) -> str:
        opened = await self.house.gateway.open_session(principal, SessionOrigin.HANDLE, **opening)
        return opened.session_id

    async def call(
        self,
        session_id: str,
        key: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        principal: Principal = AGENT,
        exchange: Exchange | None = None,
        once: str = "",
    ) -> Reply:
        """`once` is an idempotency key."""
        server, _, name = key.partition("/")
        meta = {"_meta": {IDEMPOTENCY_META: once}} if once else {}
        return await self.perform(
            session_id,
            Action.CALL_TOOL,
            {"name": name, "arguments": arguments or {}, **meta},
            server=server,
            principal=principal,
            exchange=exchange,
        )

    async def perform(
        self,
        session_id: str,
        action: Action,
        params: Mapping[str, Any],
        *,
        server: str = "",
        principal: Principal = AGENT,
        exchange: Exchange | None = None,
    ) -> Reply:
        attempt = Attempt(
            principal=principal, session_id=session_id, action=action, params=params, server=server
        )
        return await self.house.gateway.perform(attempt, exchange or FakeExchange())

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        return [
            record
            for each in self.store.records()
            for record in [orjson.loads(each.body)]
            if not kind or record["kind"] == kind
        ]


def code_of(reply: Reply) -> str:
    """The reason code of a refusal; fails when the call was answered."""
    assert reply.error is not None, reply.result
    return str(reply.error.data["code"])


def write_ward(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    contents = {
        "toolward.yaml": WARD,
        **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()},
        **(files or {}),
    }
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@asynccontextmanager
async def open_world(
    folder: Path,
    *,
    files: Mapping[str, str] | None = None,
    tools: dict[str, list[dict[str, Any]]] | None = None,
    store: MemoryStore | None = None,
    approved: bool = True,
    secrets: FixedSecrets | None = None,
    closing: Sequence[str] = (),
    images: Images | None = None,
    answers: dict[str, Script | str] | None = None,
    rollback_hook: RollbackHook | None = None,
    clock: VirtualClock | None = None,
    sources: FakeSources | None = None,
) -> AsyncIterator[World]:
    """A world on `folder`; give the same `store` again to play a restart, and a `clock` for a later one."""
    if not (folder / "toolward.yaml").exists():
        write_ward(folder, files)
    clock, ids = clock or VirtualClock(), CountingIds()
    if store is None:
        store = MemoryStore(clock=clock, ids=ids)
    else:
        ids.count = 10_000 * (1 + store.size())
    sources = sources or FakeSources()
    upstreams = FakeUpstreams(tools if tools is not None else default_tools(), answers or {}, store=store)

    def connect(hooks: UpstreamHooks) -> FakeUpstreams:
        upstreams.hooks = hooks
        return upstreams

    machine = Machine(
        store=store,
        upstreams=connect,
        secrets=secrets or FixedSecrets(),
        clock=clock,
        ids=ids,
        images=images,
        sources=sources,
        rollback_hook=rollback_hook,
    )
    house = await Builder(load_ward(folder), machine).build()
    if store.get(Table.CREDENTIAL, AGENT_KEY) is None:
        key = credential_body(name="key-1", user="alice", agent="scripted", kind=CredentialKind.API_KEY)
        await store.commit([], [Put(Table.CREDENTIAL, AGENT_KEY, key)])
    world = World(house, upstreams, store, clock, sources)
    if approved:
        await world.approve_all()
    try:
        yield world
    finally:
        del closing
        await close_house(house)
        await asyncio.sleep(0)
