"""Modules of WebAssembly as tools: JSON in, JSON out, and nothing but what the call was granted."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.caged_world import Tools, error_of, text_of
from tests.wasm_modules import ECHO, ENVIRONMENT, FAIL, SPIN, TRAP, reading

from toolward.adapters.sandboxes.caged import UnsafeNoSandbox
from toolward.adapters.sandboxes.settings import Settings
from toolward.errors import ReasonCode, SandboxUnavailable, ToolFailed
from toolward.model.call import Failed, Returned, Stopped
from toolward.model.capability import Capabilities, IsolationLevel, Limits, PathAccess, PathCapability
from toolward.model.command import ArgumentType, CommandArgument
from toolward.model.egress import Grant
from toolward.model.module import ModuleTool
from toolward.ports.sandbox import Sandbox


@pytest.fixture
async def unused() -> AsyncIterator[Sandbox]:
    """What runs processes; nothing here does."""
    made = await UnsafeNoSandbox.open(Settings(ready=0))
    yield made
    await made.close()


def tools(sandbox: Sandbox, state: Path, code: bytes, **secrets: str) -> Tools:
    arguments = {"n": CommandArgument(type=ArgumentType.INTEGER, required=False)}
    tool = ModuleTool(description="A tool.", file="modules/t.wat", code=code, arguments=arguments)
    return Tools(sandbox, state, modules={"t": tool}, **secrets)


class TestWithTheExtra:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("wasmtime", reason="needs `pip install 'toolward[wasm]'`")

    async def test_arguments_come_as_json_and_an_object_is_structured_content(
        self, unused: Sandbox, tmp_path: Path
    ) -> None:
        made = tools(unused, tmp_path, ECHO)
        described = await made.definition("wasm/t")
        assert described["inputSchema"]["properties"] == {"n": {"type": "integer"}}
        ended = await made.run("wasm/t", {"n": 7})
        assert isinstance(ended, Returned)
        assert ended.result["structuredContent"] == {"n": 7}
        assert (await made.upstreams.isolation("wasm")).tier is IsolationLevel.WASM

    async def test_a_status_a_trap_and_a_limit_are_told_apart(self, unused: Sandbox, tmp_path: Path) -> None:
        assert error_of(await tools(unused, tmp_path, FAIL).run("wasm/t", {})) == "exit status 3: {}"
        assert "unreachable" in error_of(await tools(unused, tmp_path, TRAP).run("wasm/t", {}))
        spins = tools(unused, tmp_path, SPIN)
        ended = await spins.run("wasm/t", {}, capabilities=Capabilities(limits=Limits(cpu_s=0)))
        assert isinstance(ended, Stopped)
        assert ended.reason == ReasonCode.KILLED
        ended = await spins.run("wasm/t", {}, capabilities=Capabilities(limits=Limits(wall_ms=50)))
        assert isinstance(ended, Stopped)
        assert ended.reason == ReasonCode.TIMED_OUT

    async def test_it_reads_a_granted_directory_and_no_other(self, unused: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "file").write_text("inside")
        made = tools(unused, tmp_path / "state", reading("file"))
        path = PathCapability(access=PathAccess.READ, template=str(tmp_path / "mine"))
        assert text_of(await made.run("wasm/t", {}, capabilities=Capabilities(paths=(path,)))) == "inside"
        assert error_of(await made.run("wasm/t", {})) == "exit status 9"

    async def test_it_sees_its_secrets_and_not_the_gateways_environment(
        self, unused: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GATEWAY_ONLY", "theirs")
        made = tools(unused, tmp_path, ENVIRONMENT, KEY="mine")
        granted = Capabilities(secrets=("KEY",))
        assert text_of(await made.run("wasm/t", {}, capabilities=granted)) == "KEY=mine\0"
        assert text_of(await made.run("wasm/t", {})) == ""

    async def test_a_state_inside_a_grant_refuses_the_grant(self, unused: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "state").mkdir()
        made = tools(unused, tmp_path / "state", ECHO)
        path = PathCapability(access=PathAccess.READ, template=str(tmp_path))
        ended = await made.run("wasm/t", {}, capabilities=Capabilities(paths=(path,)))
        assert isinstance(ended, Failed)
        assert ended.reason == ReasonCode.GRANT_REFUSED

    async def test_a_destination_is_refused(self, unused: Sandbox, tmp_path: Path) -> None:
        granted = Capabilities(network=(Grant(host="a.example", port=443),))
        ended = await tools(unused, tmp_path, ECHO).run("wasm/t", {}, capabilities=granted)
        assert isinstance(ended, Failed)
        assert ended.reason == ReasonCode.GRANT_REFUSED

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            (b"(module", "is not webassembly"),
            (b'(module (import "env" "system" (func)) (func (export "_start")))', "unknown import"),
            (b'(module (func (export "add")))', "exports no `_start`"),
        ],
    )
    async def test_what_can_not_run_is_told_before_there_is_a_call(
        self, unused: Sandbox, tmp_path: Path, code: bytes, why: str
    ) -> None:
        with pytest.raises(ToolFailed, match=why):
            await tools(unused, tmp_path, code).upstreams.describe("wasm")


async def test_without_the_extra_it_says_what_to_install(
    unused: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Mapping[str, Any] | Sequence[str]) -> ModuleType:
        if name == "wasmtime":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SandboxUnavailable) as caught:
        await tools(unused, tmp_path, ECHO).upstreams.describe("wasm")
    assert caught.value.reason.remedy == "pip install 'toolward[wasm]'"
