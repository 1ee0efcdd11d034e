"""Real servers, installed from their registries into environments of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from builders import INTENT, FakeExchange, a_permit
from toolward.adapters.egress.connecting import VettedConnector
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.bootstrap.cages import make_cages
from toolward.errors import ToolFailed
from toolward.kernel.tasks import Background
from toolward.model.call import Returned
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.egress import EgressEvent
from toolward.ports.upstream import UpstreamHooks

pytestmark = pytest.mark.e2e
TIME = ServerBinding(server="time", kind=BindingKind.STDIO, package="pypi:mcp-server-time==2026.10.19")


class Untold:
    async def judged(self, event: EgressEvent) -> None: ...

    def ended(self, event: EgressEvent) -> None: ...


class NoSecrets:
    def get(self, name: str) -> str:
        raise KeyError(name)

    def known_values(self) -> tuple[str, ...]:
        return ()


@asynccontextmanager
async def upstreams_of(binding: ServerBinding, state: Path, said: list[str]) -> AsyncIterator[McpUpstreams]:
    cages = make_cages(Untold(), background=Background(lambda error: None))
    upstreams = McpUpstreams(
        [binding],
        secrets=NoSecrets(),
        clock=SystemClock(),
        ids=SystemIds(),
        hooks=UpstreamHooks(on_progress=said.append),
        state_dir=state,
        connector=VettedConnector(Untold()),
        cages=cages,
    )
    try:
        yield upstreams
    finally:
        await upstreams.close()
        await cages.close()


@pytest.mark.parametrize("installer", ["pip", "found"])
async def test_a_python_server_is_installed_locked_and_called(
    tmp_path: Path, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installer == "pip":
        without = [p for p in os.environ["PATH"].split(":") if not (Path(p) / "uv").exists()]
        monkeypatch.setenv("PATH", ":".join(without))
    said: list[str] = []
    async with upstreams_of(TIME, tmp_path, said) as upstreams:
        described = await upstreams.describe("time")
        assert {tool["name"] for tool in described.tools} == {"get_current_time", "convert_time"}
        outcome = await upstreams.execute(
            a_permit("time", "get_current_time", {"timezone": "UTC"}), INTENT, FakeExchange()
        )
        assert isinstance(outcome, Returned)
        assert "UTC" in outcome.result["content"][0]["text"]
    (home,) = (tmp_path / "servers").iterdir()
    assert "mcp-server-time==2026.10.19" in (home / "lock").read_text().replace("_", "-")
    assert "--hash=sha256:" in (home / "lock").read_text()
    digest = upstreams.lock_digest("time")
    assert digest.startswith("sha256:")
    assert any("installed" in line for line in said)

    # what is there is used again; what was removed is built again from the lock, to the same digest
    again: list[str] = []
    assert (
        await Packages(tmp_path, ids=SystemIds(), on_progress=again.append).ensure(TIME)
    ).lock_digest == digest
    assert again == []
    shutil.rmtree(home / orjson.loads((home / "ready.json").read_bytes())["place"])
    rebuilt = await Packages(tmp_path, ids=SystemIds()).ensure(TIME)
    assert rebuilt.lock_digest == digest
    assert os.access(rebuilt.argv[0], os.X_OK)


async def test_two_processes_that_install_at_once_end_with_one_environment(tmp_path: Path) -> None:
    first, second = (Packages(tmp_path, ids=SystemIds()) for _ in range(2))
    one, other = await asyncio.gather(first.ensure(TIME), second.ensure(TIME))
    assert one == other
    (home,) = (tmp_path / "servers").iterdir()
    assert len([path for path in home.iterdir() if path.is_dir()]) == 1


async def test_a_version_that_does_not_exist_is_a_clear_failure(tmp_path: Path) -> None:
    wrong = ServerBinding(server="time", kind=BindingKind.STDIO, package="pypi:mcp-server-time==1900.1.1")
    async with upstreams_of(wrong, tmp_path, []) as upstreams:
        with pytest.raises(ToolFailed, match=r"1900\.1\.1"):
            _ = await upstreams.describe("time")


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here")
async def test_a_node_server_is_installed_locked_and_called(tmp_path: Path) -> None:
    binding = ServerBinding(
        server="memory",
        kind=BindingKind.STDIO,
        package="npm:@modelcontextprotocol/server-memory@2026.8.31",
        env={"MEMORY_FILE_PATH": str(tmp_path / "memory.json")},
    )
    async with upstreams_of(binding, tmp_path, []) as upstreams:
        described = await upstreams.describe("memory")
        assert len(described.tools) == 9
        outcome = await upstreams.execute(a_permit("memory", "read_graph"), INTENT, FakeExchange())
        assert isinstance(outcome, Returned)
    (home,) = (tmp_path / "servers").iterdir()
    assert "integrity" in (home / "lock").read_text()
