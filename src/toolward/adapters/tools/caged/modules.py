"""Modules of WebAssembly: whether they can run at all, and the job that runs one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from toolward.errors import ReasonCode, ToolFailed
from toolward.model.capability import Limits, Scope
from toolward.model.egress import Whose
from toolward.model.module import ModuleTool
from toolward.model.server import ServerBinding
from toolward.ports.cages import Cages
from toolward.ports.sandbox import Ended, Raised, Stopped, Value, WasmJob

_START: Final = "_start"


async def check_modules(binding: ServerBinding, cages: Cages) -> None:
    """Compile each, so that who approves it hears what is wrong before there is a call.

    Raises `ToolFailed`, and what `Cages.run` raises.
    """
    scope = Scope(limits=replace(Limits(), wall_ms=binding.start_timeout_ms))
    for name, module in binding.modules.items():
        try:
            job = WasmJob(module=module.code, function="")
            ended = await cages.run(job, scope, whose=Whose(binding.server))
        except ToolFailed as no:
            raise _unfit(binding, name, no.reason.text) from no
        why = _flaw_in(ended)
        if why:
            raise _unfit(binding, name, why)


def module_job(
    module: ModuleTool, arguments: Mapping[str, Any], *, environment: Mapping[str, str]
) -> WasmJob:
    """One call: the arguments stand on stdin, as one JSON object."""
    return WasmJob(module=module.code, stdin=orjson.dumps(arguments), environment=environment)


def _flaw_in(ended: Ended) -> str:
    match ended:
        case Value(value=list(functions)) if _START in functions:
            return ""
        case Value():
            return f"it exports no `{_START}`: it is a library, not a command"
        case Raised(text=text) | Stopped(text=text):
            return text
        case _:
            return "it can not be read"


def _unfit(binding: ServerBinding, name: str, why: str) -> ToolFailed:
    return ToolFailed(
        f"the module `{name}` of `{binding.server}` can not run: {why}",
        code=ReasonCode.TOOL_UNREACHABLE,
        remedy=f"compile `{binding.modules[name].file}` as a command for `wasm32-wasip1`",
    )
