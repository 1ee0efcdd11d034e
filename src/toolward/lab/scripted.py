"""A house whose one server, `world`, is a script in this process: for what is counted, tried out or timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from toolward.adapters.system.clock import SystemClock, VirtualClock
from toolward.bootstrap.assembly import Builder, House
from toolward.bootstrap.machine import Machine
from toolward.config.ward import load_ward
from toolward.model.call import Era, Intent, RawOutcome, Returned
from toolward.model.capability import IsolationLevel, IsolationReport
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.ids import Ids
from toolward.ports.store import Store
from toolward.ports.upstream import Exchange, ServerDescription, UpstreamHooks, Upstreams

PERSON: Final = Principal(user="operator", agent="lab", credential="person", kind=CredentialKind.PERSON)
_WARD: Final = "version: 1\nname: scripted\nprofile: observe\nservers:\n  world: {command: never-started}\n"


class ScriptedServer(Upstreams):
    """`ports.upstream.Upstreams` with one server, whose tools take texts and answer "done"."""

    def __init__(self, tools: Sequence[str], arguments: Sequence[str]) -> None:
        self._tools = tools
        self._arguments = arguments

    @override
    def names(self) -> tuple[str, ...]:
        """The one server."""
        return ("world",)

    @override
    async def describe(self, server: str) -> ServerDescription:
        """The same texts for every tool."""
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in self._arguments}}
        return ServerDescription(
            server=server,
            eras=(Era.HANDSHAKE, Era.STATELESS),
            info={"name": server},
            capabilities={"tools": {}},
            tools=[{"name": name, "description": name, "inputSchema": schema} for name in self._tools],
        )

    @override
    async def isolation(self, server: str) -> IsolationReport:
        """None: nothing runs."""
        del server
        return IsolationReport(tier=IsolationLevel.NONE)

    @override
    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """At once."""
        del permit, intent, exchange
        result: dict[str, Any] = {"content": [{"type": "text", "text": "done"}]}
        return Returned(result=result, size_bytes=40)

    @override
    async def close_session(self, session_id: str) -> None:
        """Nothing runs."""

    @override
    async def close(self) -> None:
        """Nothing runs."""


class NoSecrets:
    """`ports.secrets.Secrets` without any."""

    def get(self, name: str) -> str:
        """There is none."""
        raise KeyError(name)

    def known_values(self) -> tuple[str, ...]:
        """None."""
        return ()


async def open_scripted(
    folder: Path,
    server: ScriptedServer,
    files: Mapping[str, str],
    *,
    store: Store,
    clock: SystemClock | VirtualClock,
    ids: Ids,
) -> House:
    """An open house in `folder` with every tool approved. Close it with `close_house`, then its store.

    `files` are the ward's beside `toolward.yaml`. The profile only observes, unless they hold a policy.
    """
    guarded = any(name.startswith("policies/") for name in files)
    ward = _WARD.replace("observe", "guarded") if guarded else _WARD
    for name, text in {"toolward.yaml": ward, **files}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def upstreams(hooks: UpstreamHooks) -> ScriptedServer:
        del hooks
        return server

    machine = Machine(store=store, upstreams=upstreams, secrets=NoSecrets(), clock=clock, ids=ids)
    house = await Builder(load_ward(folder), machine).build()
    await house.parts.drift.refresh("world")
    for pin in list(house.parts.registry.pins()):
        await house.parts.registry.approve(pin.key, by=PERSON)
    await house.desk.reload(PERSON)
    return house
