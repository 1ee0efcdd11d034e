"""The real corridor around a suite's tools: a ward's policies, labels and audit, in memory, in this process.

The gate is given the prompt (by the host that opens the session), the tools' definitions, the ward, and the
calls with their results. Nothing else of a suite passes through here.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time_ns
from typing import Any, Final

import orjson
from typing_extensions import override

from toolward.adapters.identity.keys import credential_body, credential_key
from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import SystemIds
from toolward.bootstrap.assembly import Builder, House, close_house
from toolward.bootstrap.machine import Machine
from toolward.config.ward import Ward, load_ward
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.lab.agentdojo.suite import Suite, SuiteCall
from toolward.lab.scripted import NoSecrets
from toolward.model.call import Action, Era, Intent, RawOutcome, Reply, Returned
from toolward.model.capability import IsolationLevel, IsolationReport
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.model.tool import Effect
from toolward.ports.store import Put, Table
from toolward.ports.upstream import Exchange, ServerDescription, UpstreamHooks, Upstreams
from toolward.rules.integrity.mechanisms import EVERYTHING, Mechanism

AGENT: Final = Principal(user="user", agent="agent", credential="key", kind=CredentialKind.API_KEY)
PERSON: Final = Principal(user="user", agent="cli", credential="person:user", kind=CredentialKind.PERSON)
ASKED: Final = "approval_required"


class SuiteServer(Upstreams):
    """`ports.upstream.Upstreams`: the suite's tools as servers of the ward."""

    def __init__(self, suite: Suite, servers: Mapping[str, list[dict[str, Any]]]) -> None:
        self._suite = suite
        self._servers = servers
        self.visible = False  # whether the last result held what an attacker planted; for the player alone
        self.began_ns = 0

    @override
    def names(self) -> tuple[str, ...]:
        """As the ward names them."""
        return tuple(self._servers)

    @override
    async def describe(self, server: str) -> ServerDescription:
        """The suite's own definitions."""
        return ServerDescription(
            server=server,
            eras=(Era.HANDSHAKE, Era.STATELESS),
            info={"name": server},
            capabilities={"tools": {}},
            tools=self._servers[server],
        )

    @override
    async def isolation(self, server: str) -> IsolationReport:
        """None: it is a rehearsal."""
        del server
        return IsolationReport(tier=IsolationLevel.NONE)

    @override
    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """In the suite's environment. The text is what its own agents read, the structure is the value."""
        del intent, exchange
        self.began_ns = process_time_ns()
        call = permit.labelled.call
        answer = self._suite.ask(
            "call", tool=permit.labelled.resolved.name, arguments=orjson.loads(call.arguments_json)
        )
        self.visible = bool(answer["visible"])
        result: dict[str, Any] = {"content": [{"type": "text", "text": answer["text"]}]}
        if answer["error"]:
            result["isError"] = True
        else:
            result["structuredContent"] = {"result": answer["value"]}
        return Returned(result=result, size_bytes=len(answer["text"]))

    @override
    async def close_session(self, session_id: str) -> None:
        """Each case begins with a fresh environment."""

    @override
    async def close(self) -> None:
        """The process is the suite's."""


@dataclass(slots=True)
class Corridor:
    """An open house with the suite behind it, and the shortest way to call through it."""

    house: House
    server: SuiteServer
    placed: Mapping[str, str]  # tool -> the ward's server
    effects: Mapping[str, Effect]
    acting: frozenset[str]  # tools that have an effect or may carry data out
    decided_us: list[float] = field(default_factory=list)  # CPU from the call until it ran or was refused

    async def session(self, prompt: str) -> str:
        """A session of the agent's, with the prompt that its host knows."""
        opened = await self.house.gateway.open_session(AGENT, SessionOrigin.HANDLE, prompt=prompt)
        return opened.session_id

    async def call(self, session_id: str, call: SuiteCall) -> Reply:
        """One call as an agent makes it."""
        attempt = Attempt(
            principal=AGENT,
            session_id=session_id,
            action=Action.CALL_TOOL,
            params={"name": call.tool, "arguments": call.arguments},
            server=self.placed.get(call.tool, next(iter(self.server.names()))),
        )
        self.server.visible, self.server.began_ns = False, 0
        start = process_time_ns()
        reply = await self.house.gateway.perform(attempt, QuietExchange())
        self.decided_us.append(((self.server.began_ns or process_time_ns()) - start) / 1000)
        return reply

    async def approve(self, reply: Reply) -> None:
        """The person says yes to exactly this call."""
        if reply.error is None:
            return
        parameters = {"approval": reply.error.data["details"]["approval"], "note": ""}
        await invoke(self.house.desk, "approvals.approve", parameters, PERSON)

    async def close(self, session_id: str) -> None:
        """The case is over."""
        await self.house.gateway.close_session(session_id)


def was_asked(reply: Reply) -> bool:
    """Whether a person has to agree."""
    return reply.error is not None and isinstance(reply.error.data, Mapping) and code_of(reply) == ASKED


def code_of(reply: Reply) -> str:
    """The reason code of a refusal, "" for an answer."""
    if reply.error is None:
        return ""
    data = reply.error.data
    return str(data.get("code", "")) if isinstance(data, Mapping) else "error"


@asynccontextmanager
async def open_corridor(
    suite: Suite, ward: Path, *, profile: str = "", mechanisms: Mechanism = EVERYTHING
) -> AsyncIterator[Corridor]:
    """A house on a copy of `ward`, with the suite's tools approved.

    `profile` replaces the ward's own, for baselines. Raises `WardError`.
    """
    with TemporaryDirectory() as place:
        folder = Path(place, ward.name)
        shutil.copytree(ward, folder)
        if profile:
            _with_profile(folder / "toolward.yaml", profile)
        async with _open(suite, load_ward(folder), mechanisms) as corridor:
            yield corridor


@asynccontextmanager
async def _open(suite: Suite, loaded: Ward, mechanisms: Mechanism) -> AsyncIterator[Corridor]:
    clock, ids = VirtualClock(), SystemIds()
    placed = _placed(suite, loaded.manifests, [each.server for each in loaded.bindings])
    servers: dict[str, list[dict[str, Any]]] = {each.server: [] for each in loaded.bindings}
    for tool in suite.tools:
        servers[placed[tool["name"]]].append(tool)
    server = SuiteServer(suite, servers)

    def connect(hooks: UpstreamHooks) -> SuiteServer:
        del hooks
        return server

    store = MemoryStore(clock=clock, ids=ids)
    machine = Machine(store=store, upstreams=connect, secrets=NoSecrets(), clock=clock, ids=ids)
    house = await Builder(loaded, machine).build()
    try:
        await _sign_up(store)
        for name in server.names():
            await house.parts.drift.refresh(name)
        pins = list(house.parts.registry.pins())
        for pin in pins:
            await house.parts.registry.approve(pin.key, by=PERSON)
        await house.desk.reload(PERSON)
        house.parts.label.mechanisms = mechanisms
        manifests = {
            name: version.manifest
            for name, where in placed.items()
            if (version := house.gateway.tool_version(where, name, AGENT)) is not None
        }
        effects = {name: each.effect for name, each in manifests.items()}
        acting = {
            name for name, each in manifests.items() if each.egress or each.effect is not Effect.READ_ONLY
        }
        yield Corridor(house, server, placed, effects, frozenset(acting))
    finally:
        await close_house(house)


async def _sign_up(store: MemoryStore) -> None:
    keys = [(AGENT, "key"), (PERSON, "person:user")]
    puts = [
        Put(
            Table.CREDENTIAL,
            credential_key(name),
            credential_body(name=name, user=who.user, agent=who.agent, kind=who.kind),
        )
        for who, name in keys
    ]
    _ = await store.commit([], puts)


def _placed(suite: Suite, manifests: Any, servers: list[str]) -> dict[str, str]:
    """Each tool at the server whose file names it, else at the first."""
    placed = {tool["name"]: servers[0] for tool in suite.tools}
    for server in servers:
        for name in placed:
            if f"{server}/{name}" in manifests:
                placed[name] = server
    return placed


def _with_profile(path: Path, profile: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("profile:")]
    path.write_text("\n".join([*kept, f"profile: {profile}", ""]), encoding="utf-8")
