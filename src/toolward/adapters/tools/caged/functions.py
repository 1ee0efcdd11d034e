"""The functions of one source file: what they are, as a cage tells it, and the job that calls one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Final

from toolward.adapters.tools.caged.inside import calling, converting, describing
from toolward.adapters.tools.caged.outcomes import STOPPED_AS
from toolward.errors import ReasonCode, ToolFailed
from toolward.model.capability import Limits, Scope
from toolward.model.egress import Whose
from toolward.model.server import ServerBinding
from toolward.ports.cages import Cages
from toolward.ports.sandbox import Ended, PythonJob, PythonSource, Raised, Stopped, Value

FUNCTIONS_MAX: Final = 500
"""Of one file; a model that is shown more finds none of them."""
_DESCRIBE: Final = inspect.getsource(describing)
_CALL: Final = inspect.getsource(calling)
_CONVERT: Final = inspect.getsource(converting)


@dataclass(frozen=True, slots=True)
class Function:
    """One function as its source defines it."""

    definition: Mapping[str, Any]
    plain: bool  # takes what JSON gives


async def read_functions(binding: ServerBinding, cages: Cages, *, interpreter: str) -> Mapping[str, Function]:
    """Import the source in a cage that may touch nothing, and take down what it defines.

    Raises `ToolFailed` when it can not be imported or a function can not be a tool; what `Cages.run` raises.
    """
    job = PythonJob(
        target=PythonSource(text=_DESCRIBE, function="describe", filename="describing.py"),
        arguments={"text": binding.source, "filename": _filename(binding)},
        interpreter=interpreter,
    )
    scope = Scope(limits=replace(Limits(), wall_ms=binding.start_timeout_ms))
    ended = await cages.run(job, scope, whose=Whose(binding.server))
    functions = _functions_in(binding, ended)
    if not functions or len(functions) > FUNCTIONS_MAX:
        raise _failed(
            binding, f"it defines {len(functions)} public functions, and 1 to {FUNCTIONS_MAX} can be tools"
        )
    return functions


def call_job(
    binding: ServerBinding,
    function: Function,
    arguments: Mapping[str, Any],
    *,
    environment: Mapping[str, str],
    interpreter: str,
) -> PythonJob:
    """One call."""
    return PythonJob(
        target=PythonSource(text=_CALL, function="call", filename="calling.py"),
        arguments={
            "text": binding.source,
            "filename": _filename(binding),
            "function": function.definition["name"],
            "arguments": arguments,
            "convert": "" if function.plain else _CONVERT,
        },
        environment=environment,
        interpreter=interpreter,
    )


def _filename(binding: ServerBinding) -> str:
    """For tracebacks inside: the host's directories stay outside."""
    return PurePath(binding.functions).name


def _functions_in(binding: ServerBinding, ended: Ended) -> Mapping[str, Function]:
    """What the untrusted answer says, by its shape alone."""
    match ended:
        case Value(value=list(rows)):
            found = [_function_of(row) for row in rows]
            if None in found:
                raise _failed(binding, "its description is malformed", code=ReasonCode.BAD_OUTPUT)
            return {each.definition["name"]: each for each in found if each is not None}
        case Raised(kind="NotATool", text=text):
            raise _failed(binding, text)
        case Raised(kind=kind, text=text):
            raise _failed(binding, f"it can not be imported: {kind}: {text}")
        case Stopped(reason=reason, text=text):
            raise _failed(binding, text, code=STOPPED_AS[reason])
        case _:
            raise _failed(binding, "its description is malformed", code=ReasonCode.BAD_OUTPUT)


def _function_of(row: Any) -> Function | None:
    match row:
        case {"definition": {"name": str(name), "inputSchema": dict()} as definition, "plain": bool(plain)}:
            return Function(definition, plain) if name.isidentifier() else None
        case _:
            return None


def _failed(
    binding: ServerBinding, why: str, *, code: ReasonCode = ReasonCode.TOOL_UNREACHABLE
) -> ToolFailed:
    return ToolFailed(
        f"the functions of `{binding.server}` can not be described: {why}",
        code=code,
        remedy=f"mend `{binding.functions}`; it is imported in a cage without files, network and secrets",
    )
