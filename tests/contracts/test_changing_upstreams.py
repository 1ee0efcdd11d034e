"""Every adapter of `ports.upstream.Upstreams` takes, changes and drops servers while it runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.builders import INTENT, FakeExchange, a_permit, a_version
from tests.harness import FakeUpstreams, FixedSecrets, tool

from toolward.adapters.egress.connecting import VettedConnector
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.caged.upstreams import CagedTools
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.adapters.tools.router import RoutedUpstreams
from toolward.bootstrap.cages import make_cages
from toolward.config.per_call import to_commands
from toolward.config.shape import CommandConfig
from toolward.errors import ToolFailed, ToolwardError
from toolward.kernel.tasks import Background
from toolward.model.call import Failed, Returned, Stopped
from toolward.model.capability import Kept
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.egress import EgressEvent
from toolward.ports.upstream import UpstreamHooks, Upstreams

TINY = str(Path(__file__).parents[1] / "servers" / "tiny_server.py")


class Untold:
    async def judged(self, event: EgressEvent) -> None: ...

    def ended(self, event: EgressEvent) -> None: ...


@dataclass
class Case:
    """An adapter that holds `first` and nothing else, and a server that it is to take."""

    upstreams: Upstreams
    first: ServerBinding
    second: ServerBinding

    async def listed(self, server: str) -> list[str]:
        return [str(each["name"]) for each in (await self.upstreams.describe(server)).tools]

    async def change(self, *taken: ServerBinding, dropped: tuple[str, ...] = ()) -> None:
        (await self.upstreams.prepare(taken, dropped))()


def process(name: str, folder: Path) -> ServerBinding:
    folder.mkdir(exist_ok=True)
    return ServerBinding(
        server=name,
        kind=BindingKind.STDIO,
        command=(sys.executable, TINY),
        cwd=str(folder),
        unsafe_no_sandbox=True,
    )


def commands(name: str, program: str = "/usr/bin/true") -> ServerBinding:
    tools = to_commands({program.rpartition("/")[2]: CommandConfig(argv=(program,))})
    return ServerBinding(server=name, kind=BindingKind.COMMANDS, commands=tools)


@pytest.fixture(params=["mcp", "caged", "routed", "fake"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    background = Background(lambda _: None)
    cages = make_cages(Untold(), background=background)
    one, two = process("one", tmp_path / "a"), process("two", tmp_path / "b")

    def mcp(*bindings: ServerBinding) -> McpUpstreams:
        return McpUpstreams(
            bindings,
            secrets=FixedSecrets(),
            clock=SystemClock(),
            ids=SystemIds(),
            hooks=UpstreamHooks(),
            state_dir=tmp_path,
            connector=VettedConnector(Untold()),
            cages=cages,
        )

    def caged(*bindings: ServerBinding) -> CagedTools:
        packages = Packages(tmp_path, ids=SystemIds())
        return CagedTools(bindings, cages=cages, secrets=FixedSecrets(), packages=packages, kept=Kept)

    made: Upstreams
    match request.param:
        case "mcp":
            made = mcp(one)
        case "caged":
            one, two = commands("one"), commands("two", "/usr/bin/false")
            made = caged(one)
        case "routed":
            two = commands("two")
            made = RoutedUpstreams([PythonFunctions(), mcp(one), caged()])
        case _:
            made = FakeUpstreams({"one": [tool("look")]}, coming={"two": [tool("see")], "one": [tool("see")]})
    yield Case(made, one, two)
    await made.close()
    await cages.close()
    await background.drain()


async def test_a_server_is_taken_while_another_goes_on(case: Case) -> None:
    before = await case.listed("one")
    await case.change(case.second)
    assert case.upstreams.names() == ("one", "two")
    assert await case.listed("two")
    assert await case.listed("one") == before


async def test_nothing_changes_before_the_answer_is_used(case: Case) -> None:
    _ = await case.upstreams.prepare([case.second], ["one"])
    assert case.upstreams.names() == ("one",)


async def test_a_dropped_server_is_known_no_more_and_comes_back_when_it_is_taken_again(case: Case) -> None:
    await case.change(dropped=("one", "never-there"))
    assert case.upstreams.names() == ()
    with pytest.raises((ToolwardError, KeyError)):
        await case.upstreams.describe("one")
    await case.change(case.first)
    assert await case.listed("one")


async def test_a_server_becomes_another_one_under_its_name(case: Case) -> None:
    before = await case.listed("one")
    await case.change(replace(case.second, server="one"))
    assert case.upstreams.names() == ("one",)
    after = await case.listed("one")
    assert (after != before) or case.second.kind is BindingKind.STDIO


async def test_a_source_that_can_not_be_read_is_seen_beforehand(case: Case) -> None:
    if not case.upstreams.holds(BindingKind.FUNCTIONS) or isinstance(case.upstreams, FakeUpstreams):
        pytest.skip("this adapter reads no sources")
    broken = ServerBinding(server="one", kind=BindingKind.FUNCTIONS, functions="f.py", source="1/0")
    with pytest.raises(ToolFailed, match="can not be imported"):
        await case.upstreams.prepare([broken], [])
    assert await case.listed("one")


async def test_functions_of_this_process_stay() -> None:
    functions = PythonFunctions()
    functions.register(len_of)
    (await functions.prepare([], ["python"]))()
    assert functions.names() == ("python",)
    assert not any(functions.holds(kind) for kind in BindingKind)


def len_of(text: str) -> int:
    return len(text)


# --- a process has calls under way ----------------------------------------------------------------------


@pytest.fixture
async def slow(case: Case, tmp_path: Path) -> tuple[Case, asyncio.Task[object]]:
    """A call that a process of `one` has begun."""
    if case.first.kind is not BindingKind.STDIO or isinstance(case.upstreams, FakeUpstreams):
        pytest.skip("nothing of this adapter outlives a call")
    permit = a_permit("one", "wait", {"seconds": 60}, version=a_version("one", "wait"))
    calling = asyncio.ensure_future(case.upstreams.execute(permit, INTENT, FakeExchange()))
    async with asyncio.timeout(20):
        while not (tmp_path / "a" / "waiting").exists():  # noqa: ASYNC110 -- all that the tool says
            await asyncio.sleep(0.01)
    return case, calling


async def test_a_call_under_way_ends_with_the_server_it_began_with(
    slow: tuple[Case, asyncio.Task[object]], tmp_path: Path
) -> None:
    case, calling = slow
    await case.change(replace(case.first, cwd=str(tmp_path / "b")))
    permit = a_permit("one", "look", {"what": "it"}, version=a_version("one", "look"))
    assert isinstance(await case.upstreams.execute(permit, INTENT, FakeExchange()), Returned)
    assert not calling.done()  # the new server answered while the old one still works
    (tmp_path / "a" / "go").touch()
    assert isinstance(await calling, Returned)


async def test_what_a_retired_server_still_does_ends_with_the_adapter(
    slow: tuple[Case, asyncio.Task[object]],
) -> None:
    case, calling = slow
    await case.change(dropped=("one",))
    await case.upstreams.close()
    assert isinstance(await calling, (Stopped, Failed))
