"""Real servers from their registries, each in a cage with one directory: their work is done there, and nowhere else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builders import INTENT, FakeExchange, a_permit
from toolward.adapters.egress.connecting import VettedConnector
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.bootstrap.cages import make_cages
from toolward.kernel.cages.cages import SharedCages
from toolward.kernel.tasks import Background
from toolward.model.call import Failed, Returned
from toolward.model.capability import Capabilities, IsolationLevel, PathAccess, PathCapability
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.egress import EgressEvent
from toolward.ports.upstream import UpstreamHooks

pytestmark = pytest.mark.e2e


class NoSecrets:
    def get(self, name: str) -> str:
        raise KeyError(name)

    def known_values(self) -> tuple[str, ...]:
        return ()


class Untold:
    async def judged(self, event: EgressEvent) -> None: ...

    def ended(self, event: EgressEvent) -> None: ...


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers are installed: once for all tests here."""
    return tmp_path_factory.mktemp("state")


def caged(state: Path, binding: ServerBinding) -> tuple[McpUpstreams, SharedCages]:
    cages = make_cages(Untold(), background=Background(lambda error: None))
    upstreams = McpUpstreams(
        [binding],
        secrets=NoSecrets(),
        clock=SystemClock(),
        ids=SystemIds(),
        hooks=UpstreamHooks(),
        state_dir=state,
        connector=VettedConnector(Untold()),
        cages=cages,
    )
    return upstreams, cages


def binding_of(server: str, package: str, inside: Path, *arguments: str, sandboxed: bool) -> ServerBinding:
    return ServerBinding(
        server=server,
        kind=BindingKind.STDIO,
        package=package,
        arguments=arguments,
        capabilities=Capabilities(paths=(PathCapability(access=PathAccess.WRITE, template=str(inside)),)),
        unsafe_no_sandbox=not sandboxed,
    )


async def said(upstreams: McpUpstreams, server: str, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Whether the tool did it, and its text."""
    outcome = await upstreams.execute(a_permit(server, tool, arguments), INTENT, FakeExchange())
    if isinstance(outcome, Failed):
        return False, outcome.message
    assert isinstance(outcome, Returned)
    return not outcome.result.get("isError"), str(outcome.result["content"])


def repository(folder: Path) -> Path:
    folder.mkdir()
    for command in (
        ["init", "--quiet"],
        ["config", "user.name", "Ana"],
        ["config", "user.email", "ana@example.org"],
        ["commit", "--quiet", "--allow-empty", "-m", f"begin {folder.name}"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def newest_commit(folder: Path) -> str:
    log = ["git", "log", "-1", "--format=%s"]
    return subprocess.run(log, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def content_of(path: str) -> str:
    return Path(path).read_text()


@pytest.mark.parametrize("sandboxed", [True, False])
async def test_a_git_server_works_in_its_repository_and_finds_no_other(
    tmp_path: Path, state: Path, sandboxed: bool
) -> None:
    """Without the cage the same server reads the other one: that is the control."""
    mine, other = repository(tmp_path / "mine"), repository(tmp_path / "other")
    (mine / "note.txt").write_text("hello")
    binding = binding_of("git", "pypi:mcp-server-git==2026.10.19", mine, sandboxed=sandboxed)
    upstreams, cages = caged(state, binding)
    try:
        level = (await upstreams.isolation("git")).tier
        assert (level is IsolationLevel.NONE) is not sandboxed
        assert (await said(upstreams, "git", "git_add", repo_path=str(mine), files=["note.txt"]))[0]
        done, text = await said(upstreams, "git", "git_commit", repo_path=str(mine), message="by the server")
        assert done, text
        found, text = await said(upstreams, "git", "git_log", repo_path=str(other))
        assert ("begin other" in text) is not sandboxed
        assert found is not sandboxed
    finally:
        await upstreams.close()
        await cages.close()
    assert newest_commit(mine) == "by the server"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
async def test_a_filesystem_server_that_may_serve_the_disk_finds_one_directory_of_it(
    tmp_path: Path, state: Path
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
        (folder / "a.txt").write_text(f"in {folder.name}")
    # the server itself is told that it may serve everything: only the cage holds it
    package = "npm:@modelcontextprotocol/server-filesystem@2026.8.31"
    for sandboxed in (True, False):
        binding = binding_of("fs", package, mine, str(tmp_path), sandboxed=sandboxed)
        upstreams, cages = caged(state, binding)
        try:
            assert "in mine" in (await said(upstreams, "fs", "read_text_file", path=str(mine / "a.txt")))[1]
            new = str(mine / f"new-{sandboxed}.txt")
            assert (await said(upstreams, "fs", "write_file", path=new, content="new"))[0]
            found, text = await said(upstreams, "fs", "read_text_file", path=str(other / "a.txt"))
            assert ("in other" in text) is not sandboxed
            assert found is not sandboxed
        finally:
            await upstreams.close()
            await cages.close()
        assert content_of(new) == "new"
