"""WebAssembly keeps the port's promises: nothing but numbers, pipes and granted directories."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from toolward.adapters.sandboxes.wasm import WasmSandbox
from toolward.errors import BadArguments, Denied, ToolFailed
from toolward.model.capability import IsolationLevel, Limits, PathAccess, PathGrant, Scope
from toolward.model.egress import Grant
from toolward.ports.sandbox import CommandJob, Ended, Exited, Raised, Stopped, StopReason, Value, WasmJob

wasmtime = pytest.importorskip("wasmtime", reason="needs `pip install 'toolward[wasm]'`")

SPIN = '(module (func (export "f") (loop br 0)))'
ADD = '(module (func (export "f") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))'
GROW = """(module (memory 1) (func (export "f") (result i32)
  (loop $more (br_if $more (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) memory.size))"""
IMPORT = '(module (import "env" "system" (func)) (func (export "f")))'
TRAP = '(module (func (export "f") unreachable))'
HELLO = r"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 8) "hello\n")
  (func (export "_start") (i32.store (i32.const 0) (i32.const 8)) (i32.store (i32.const 4) (i32.const 6))
    (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))))"""
FLOOD = HELLO.replace("(drop (call", "(loop (drop (call").replace(
    "(i32.const 100)))))", "(i32.const 100))) (br 0))))"
)
MAKE = r"""(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "NAME")
  (func (export "f") (result i32)
    (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const LENGTH) (i32.const FLAGS)
      (i64.const RIGHTS) (i64.const 0) (i32.const 0) (i32.const 200))))"""
SLEEP = r"""(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "f") (result i32)
    (i64.store (i32.const 0) (i64.const 77)) (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const NANOSECONDS))
    (drop (call $poll (i32.const 0) (i32.const 96) (i32.const 1) (i32.const 200)))
    (i32.load (i32.const 96))))"""
DEEP = '(module (func $f (call $f) (call $f)) (func (export "f") (call $f)))'
READING, MAKING = 2, 64


def opening(name: str, *, making: bool) -> str:
    text = MAKE.replace("NAME", name).replace("LENGTH", str(len(name)))
    return text.replace("FLAGS", "1" if making else "0").replace("RIGHTS", str(MAKING if making else READING))


async def run(text: str, *arguments: int, function: str = "f", scope: Scope | None = None) -> Ended:
    job = WasmJob(module=wasmtime.wat2wasm(text), function=function, arguments=arguments)
    sandbox = WasmSandbox()
    try:
        return await sandbox.run(job, scope or Scope())
    finally:
        await sandbox.close()


async def test_an_export_computes() -> None:
    ended = await run(ADD, 2, 3)
    assert isinstance(ended, Value)
    assert ended.value == 5
    assert ended.ran.report.tier is IsolationLevel.WASM


async def test_a_command_writes_to_stdout() -> None:
    ended = await run(HELLO, function="_start")
    assert isinstance(ended, Exited)
    assert (ended.status, ended.stdout) == (0, b"hello\n")


async def test_fuel_wall_time_memory_and_output_are_bounded() -> None:
    ended = await run(SPIN, scope=Scope(limits=Limits(cpu_s=0)))
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.CPU
    ended = await run(SPIN, scope=Scope(limits=Limits(cpu_s=10_000, wall_ms=100)))
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.WALL
    ended = await run(GROW, scope=Scope(limits=Limits(memory_bytes=8 << 20)))
    assert isinstance(ended, Value)
    assert ended.value <= 128  # pages of 64 KiB
    ended = await run(
        FLOOD, function="_start", scope=Scope(limits=Limits(output_bytes=10_000, wall_ms=1_000))
    )
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.OUTPUT


async def test_one_call_does_not_shorten_another() -> None:
    sandbox = WasmSandbox()
    spin, add = (
        WasmJob(module=wasmtime.wat2wasm(text), function="f", arguments=a)
        for text, a in ((SPIN, ()), (ADD, (1, 2)))
    )
    limits = Limits(cpu_s=10_000, wall_ms=200)
    async with asyncio.TaskGroup() as tasks:
        spinning = tasks.create_task(sandbox.run(spin, Scope(limits=limits)))
        adding = [tasks.create_task(sandbox.run(add, Scope())) for _ in range(20)]
    assert isinstance(spinning.result(), Stopped)
    assert all(isinstance(task.result(), Value) for task in adding)
    await sandbox.close()


async def test_what_is_wrong_with_a_module_is_told() -> None:
    ended = await run(TRAP)
    assert isinstance(ended, Raised)
    ended = await run(IMPORT)
    assert isinstance(ended, Raised)
    ended = await run(ADD, 1, function="g")
    assert isinstance(ended, Raised)
    assert "`g`" in ended.text
    with pytest.raises(ToolFailed):
        await WasmSandbox().run(WasmJob(module=b"no wasm"), Scope())


async def test_a_directory_is_read_only_unless_writing_is_granted(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    for access, made in ((PathAccess.READ, False), (PathAccess.WRITE, True)):
        scope = Scope(paths=(PathGrant(str(tmp_path), access, str(tmp_path)),))
        ended = await run(opening("in", making=False), scope=scope)
        assert isinstance(ended, Value)
        assert ended.value == 0  # the grant can be used
        ended = await run(opening("out", making=True), scope=scope)
        assert isinstance(ended, Value)
        assert (ended.value == 0) is made
        assert (tmp_path / "out").exists() is made


@pytest.mark.parametrize("name", ["../secret", "link", "/etc/passwd"])
async def test_nothing_leaves_a_granted_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x")
    granted = tmp_path / "granted"
    granted.mkdir()
    (granted / "link").symlink_to("../secret")
    scope = Scope(paths=(PathGrant(str(granted), PathAccess.READ, str(granted)),))
    ended = await run(opening(name, making=False), scope=scope)
    assert isinstance(ended, Value)
    assert ended.value != 0


async def test_what_it_does_not_do_is_refused() -> None:
    sandbox = WasmSandbox()
    with pytest.raises(BadArguments):
        await sandbox.run(CommandJob(argv=("true",)), Scope())
    with pytest.raises(BadArguments):
        await sandbox.start(CommandJob(argv=("true",)), Scope())
    with pytest.raises(Denied):
        await sandbox.run(WasmJob(module=b""), Scope(network=(Grant(host="a.org", port=443),)))


async def test_sleeping_ends_with_the_wall_time() -> None:
    short = SLEEP.replace("NANOSECONDS", "20000000")
    ended = await run(short)
    assert isinstance(ended, Value)
    assert ended.value == 77  # the control: it is woken, and told by which clock
    year = SLEEP.replace("NANOSECONDS", str(365 * 86_400 * 10**9))
    began = time.monotonic()
    ended = await run(year, scope=Scope(limits=Limits(cpu_s=10_000, wall_ms=100)))
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.WALL
    assert time.monotonic() - began < 5


async def test_a_file_that_never_answers_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolward.adapters.sandboxes.wasm.GRACE_S", 0.1)
    os.mkfifo(tmp_path / "in")
    scope = Scope(
        paths=(PathGrant(str(tmp_path), PathAccess.READ, str(tmp_path)),), limits=Limits(wall_ms=100)
    )
    ended = await run(opening("in", making=False), scope=scope)
    os.close(os.open(tmp_path / "in", os.O_RDWR))  # lets the thread go
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.WALL


async def test_recursion_without_end_is_the_modules_own_error() -> None:
    ended = await run(DEEP)
    assert isinstance(ended, Raised)
    assert "call stack exhausted" in ended.text


async def test_what_lies_in_a_grant_can_not_be_hidden_so_the_grant_is_refused(tmp_path: Path) -> None:
    hidden = PathGrant(str(tmp_path / "state"), PathAccess.HIDE, str(tmp_path / "state"))
    scope = Scope(paths=(PathGrant(str(tmp_path), PathAccess.READ, str(tmp_path)), hidden))
    with pytest.raises(Denied, match="can not hide it"):
        await run(ADD, 1, 2, scope=scope)


async def test_many_short_calls_before_it_do_not_shorten_a_long_one() -> None:
    sandbox = WasmSandbox()
    for _ in range(100):
        await sandbox.run(WasmJob(module=wasmtime.wat2wasm(ADD), function="f", arguments=(1, 2)), Scope())
    began = time.monotonic()
    spin = WasmJob(module=wasmtime.wat2wasm(SPIN), function="f")
    ended = await sandbox.run(spin, Scope(limits=Limits(cpu_s=10_000, wall_ms=300)))
    await sandbox.close()
    assert isinstance(ended, Stopped)
    assert time.monotonic() - began >= 0.29
