"""Where a module runs: in our sandbox, or in a bare runtime that gives it the machine and no limits."""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from toolward.adapters.sandboxes.wasm import WasmSandbox
from toolward.errors import SandboxUnavailable
from toolward.lab.escape.attempts import Control
from toolward.lab.escape.places import NOWHERE, Seen, scope_of
from toolward.lab.escape.wasm_attempts import MODULE_ATTEMPTS, SYSTEM, ModuleAttempt, usable
from toolward.lab.escape.world import World
from toolward.model.capability import Scope
from toolward.ports.sandbox import Ended, Exited, Raised, Stopped, WasmJob

STACK_BYTES: Final = 2 << 20
"""Of WebAssembly in the control, four times the usual; and four times that for its thread."""


async def run_wasm(*, caged: bool, wanted: set[str]) -> dict[str, Any]:
    """A column: what every module came to."""
    chosen = [each for each in MODULE_ATTEMPTS if not wanted or each.id in wanted]
    try:
        sandbox = WasmSandbox()
    except SandboxUnavailable as error:
        return {"missing": error.reason.remedy, "attempts": {}}
    world = World(tool_uid=os.geteuid(), victim_uid=os.geteuid())
    try:
        if caged:
            seen = {each.id: asdict(await _in_sandbox(sandbox, world, each)) for each in chosen}
        else:
            with_control = [each for each in chosen if each.control is not Control.NONE]
            seen = {each.id: asdict(_in_bare_runtime(world, each)) for each in with_control}
    finally:
        world.close()
        await sandbox.close()
    return {"report": sandbox.report().as_json(), "uid": os.geteuid(), "attempts": seen}


async def _in_sandbox(sandbox: WasmSandbox, world: World, attempt: ModuleAttempt) -> Seen:
    told = world.reset(attempt)
    base = f"{world.base}/"
    places = {"here": "", "reading": "", "out": "../", "absolute": base, "fd": "4"}
    scope = scope_of(attempt, told)
    wrong = await _wrong(sandbox, world, scope, places) if attempt.grants else ()
    job = WasmJob(module=attempt.module(places))
    if attempt.twice:
        await sandbox.run(job, scope)
    ended = await sandbox.run(job, scope)
    seen = replace(_judge(world, attempt, ended), wrong=wrong)
    again = await sandbox.run(WasmJob(module=usable("again").module(places)), Scope())
    return seen if isinstance(again, Exited) else replace(seen, harm=(*seen.harm, "the next call fails"))


async def _wrong(sandbox: WasmSandbox, world: World, scope: Scope, places: dict[str, str]) -> tuple[str, ...]:
    ended = await sandbox.run(WasmJob(module=usable(world.mark).module(places)), scope)
    read = isinstance(ended, Exited) and ended.stdout == b"inside"
    made = (world.base / "granted" / world.mark).exists()
    return (*(() if read else ("read: nothing came",)), *(() if made else ("write: nothing is there",)))


def _judge(world: World, attempt: ModuleAttempt, ended: Ended) -> Seen:
    seen = Seen()
    answer = ""
    match ended:
        case Exited(stdout=stdout):
            answer = stdout.decode("utf-8", "replace")
            much = len(stdout) > attempt.limits.output_bytes
            got = f"{len(stdout)} bytes" if much else "done" * ("done" in answer)
            seen = Seen(got=got, said="it ended")
        case Raised(kind=kind, text=text):
            seen = Seen(said=f"{kind}: {text.splitlines()[-1] if text else ''}"[:120])
        case Stopped(reason=reason):
            seen = Seen(said=f"stopped: {reason.value}")
        case _:
            seen = Seen(broken=f"{ended}"[:200])
    return replace(seen, harm=tuple(world.harm(attempt, answer)))


# --- the control -------------------------------------------------------------------------------------


def _in_bare_runtime(world: World, attempt: ModuleAttempt) -> Seen:
    """WebAssembly as one would run it without a thought: the machine, the environment, no limits."""
    world.reset(attempt)
    base = f"{str(world.base).lstrip('/')}/"
    places = {
        "here": f"{base}granted/",
        "reading": f"{base}reading/",
        "out": base,
        "absolute": base,
        "fd": "3",
    }
    module = attempt.module(places)
    said: list[Ended | Exception] = []

    def work() -> None:
        try:
            said.append(_bare(module, calls=1 + attempt.twice))
        except Exception as error:  # noqa: BLE001 -- a control that fails shows nothing, and says so
            said.append(error)

    old = threading.stack_size(4 * STACK_BYTES)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old)
    ended = said[0]
    return Seen(broken=str(ended)[:200]) if isinstance(ended, Exception) else _judge(world, attempt, ended)


def _bare(text: bytes, *, calls: int) -> Exited:
    import wasmtime  # noqa: PLC0415 -- an extra

    config = wasmtime.Config()
    config.max_wasm_stack = STACK_BYTES
    engine = wasmtime.Engine(config)
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    linker.define_wasi()
    number = wasmtime.ValType.i32()
    linker.define_func(*SYSTEM, wasmtime.FuncType([number], [number]), lambda _: 0)
    with tempfile.TemporaryDirectory() as place:
        wasi = wasmtime.WasiConfig()
        wasi.inherit_env()
        wasi.stdout_file = str(Path(place, "stdout"))
        wasi.preopen_dir("/", "/", fs_mutable=True)
        store.set_wasi(wasi)
        instance = linker.instantiate(store, wasmtime.Module(engine, text))
        start: Any = instance.exports(store)["_start"]
        for _ in range(calls):
            start(store)
        store.close()
        out = Path(place, "stdout").read_bytes()
    return Exited(status=0, stdout=out, stderr=b"", ran=NOWHERE)
