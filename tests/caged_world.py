"""Tools that run per call, over a real sandbox, without the corridor around them."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.builders import INTENT, FakeExchange, a_permit, a_version
from tests.harness import FixedSecrets
from toolward.adapters.system.ids import CountingIds
from toolward.adapters.tools.caged.upstreams import CagedTools
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.bootstrap.cages import wasm_sandbox
from toolward.config.per_call import to_commands
from toolward.config.upstream_shape import CommandConfig
from toolward.kernel.cages.cages import SharedCages
from toolward.kernel.tasks import Background
from toolward.model.call import RawOutcome, Returned
from toolward.model.capability import Capabilities, Kept, PathAccess, PathCapability
from toolward.model.egress import Grant, Whose
from toolward.model.module import ModuleTool
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.egress import WayOut
from toolward.ports.sandbox import Sandbox


class FakeWayOut:
    async def close(self) -> None:
        return


class Tools:
    """`CagedTools` with one server of functions, `fn`, one of commands, `cmd`, one of modules, `wasm`."""

    def __init__(
        self,
        sandbox: Sandbox,
        state: Path,
        *,
        source: str = "def f() -> None: ...",
        commands: Mapping[str, CommandConfig] | None = None,
        modules: Mapping[str, ModuleTool] | None = None,
        requirements: tuple[str, ...] = (),
        **secrets: str,
    ) -> None:
        self.ways: list[tuple[tuple[Grant, ...], Whose]] = []

        async def opened() -> Sandbox:
            return sandbox

        async def way_out(listener: socket.socket, grants: Sequence[Grant], whose: Whose) -> WayOut:
            listener.close()
            self.ways.append((tuple(grants), whose))
            return FakeWayOut()

        self.requirements = requirements
        bindings = (
            ServerBinding(
                server="fn",
                kind=BindingKind.FUNCTIONS,
                functions="functions/fn.py",
                source=source,
                requirements=requirements,
            ),
            ServerBinding(server="cmd", kind=BindingKind.COMMANDS, commands=to_commands(commands or {})),
            ServerBinding(server="wasm", kind=BindingKind.MODULES, modules=modules or {}),
        )
        self.bindings = {each.server: each for each in bindings}
        self.upstreams = CagedTools(
            bindings,
            cages=SharedCages(opened, way_out, wasm=wasm_sandbox, background=Background(lambda _: None)),
            secrets=FixedSecrets(**secrets),
            packages=Packages(state, ids=CountingIds()),
            kept=lambda: Kept(hidden=(str(state),)),
        )

    async def run(self, tool: str, arguments: Mapping[str, Any] | None = None, **manifest: Any) -> RawOutcome:
        server, _, name = tool.partition("/")
        lock = (await self.upstreams.describe(server)).lock if self.requirements else ""
        pinned = f"{self.bindings[server].identity()} {lock}".strip()
        version = replace(a_version(server, name, **manifest), binding=pinned)
        permit = a_permit(server, name, arguments, version=version)
        return await self.upstreams.execute(permit, INTENT, FakeExchange())

    async def definition(self, tool: str) -> Mapping[str, Any]:
        server, _, name = tool.partition("/")
        tools = (await self.upstreams.describe(server)).tools
        return next(each for each in tools if each["name"] == name)


def text_of(outcome: RawOutcome) -> str:
    """What a call that was answered without an error said."""
    assert isinstance(outcome, Returned), outcome
    assert "isError" not in outcome.result, outcome
    return str(outcome.result["content"][0]["text"])


def error_of(outcome: RawOutcome) -> str:
    """The tool's own error."""
    assert isinstance(outcome, Returned), outcome
    assert outcome.result["isError"] is True
    return str(outcome.result["content"][0]["text"])


def paths(access: PathAccess, template: str, root: Path, **more: Any) -> Capabilities:
    return Capabilities(paths=(PathCapability(access=access, template=template, root=str(root)),), **more)
