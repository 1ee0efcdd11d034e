"""Registered Python functions as a server of their own: same definitions, same corridor, no wire."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from toolward.errors import ReasonCode, ToolFailed, WardError
from toolward.model.call import Action, Era, Failed, Intent, RawOutcome, Returned, Stopped
from toolward.model.capability import IsolationLevel, IsolationReport
from toolward.model.permit import Permit
from toolward.model.server import IN_PROCESS_SERVER, ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.upstream import Exchange, InForce, ServerDescription

METHOD_NOT_FOUND = -32601


@dataclass(frozen=True, slots=True)
class _Function:
    call: Callable[..., Any]
    definition: Mapping[str, Any]


class PythonFunctions:
    """`ports.upstream.Upstreams` for functions of this process; isolation `none`."""

    def __init__(self, server: str = IN_PROCESS_SERVER) -> None:
        self._server = server
        self._functions: dict[str, _Function] = {}

    def register(self, function: Callable[..., Any], *, name: str = "", description: str = "") -> str:
        """Make `function` a tool; its schema comes from its annotations. Returns its name.

        Raises `WardError` for a parameter that has no annotation or one that JSON can not hold.
        """
        chosen = name or function.__name__
        self._functions[chosen] = _Function(
            function,
            {
                "name": chosen,
                "description": description or inspect.getdoc(function) or "",
                "inputSchema": _input_schema(function),
            },
        )
        return chosen

    def names(self) -> tuple[str, ...]:
        """The one server, if it has a function."""
        return (self._server,) if self._functions else ()

    async def describe(self, server: str) -> ServerDescription:
        """The definitions of all registered functions."""
        if server != self._server:
            raise ToolFailed(f"no server `{server}` is configured", remedy="see toolward.yaml")
        return ServerDescription(
            server=server,
            eras=(Era.HANDSHAKE, Era.STATELESS),
            info={"name": server, "version": "in-process"},
            capabilities={"tools": {}},
            tools=[function.definition for function in self._functions.values()],
        )

    async def isolation(self, server: str) -> IsolationReport:
        """None: they are this process's own."""
        del server
        return IsolationReport(tier=IsolationLevel.NONE)

    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """Run it: coroutines on the loop, plain functions in a thread. What it raises is a tool error."""
        del intent, exchange
        call, resolved = permit.labelled.call, permit.labelled.resolved
        function = self._functions.get(resolved.name)
        if call.action is not Action.CALL_TOOL or function is None:
            return Failed(
                code=METHOD_NOT_FOUND,
                message="not a function",
                reason=ReasonCode.TOOL_FAILED.value,
                from_server=False,
            )
        limit = resolved.version.manifest if resolved.version else None
        timeout = limit.timeout_ms / 1000 if limit else None
        try:
            async with asyncio.timeout(timeout):
                value = await _run(function.call, orjson.loads(call.arguments_json))
            result = _as_result(value)
        except TimeoutError:
            return Stopped(reason=ReasonCode.TIMED_OUT.value, message="the function ran out of time")
        except Exception as error:  # noqa: BLE001 -- the edge to foreign code: its errors are its answer
            text = f"{type(error).__name__}: {error}"
            result = {"content": [{"type": "text", "text": text}], "isError": True}
        size = len(orjson.dumps(result))
        if limit and size > limit.output_bytes_max:
            return Stopped(reason=ReasonCode.OUTPUT_TOO_LARGE.value, message=f"the result has {size} bytes")
        return Returned(result=result, size_bytes=size)

    def holds(self, kind: BindingKind) -> bool:
        """Of nothing that a ward's file can declare: its one server is there as soon as a function is."""
        del kind
        return False

    async def prepare(self, taken: Sequence[ServerBinding], dropped: Collection[str]) -> InForce:
        """Nothing: functions come by `register`, and stay."""
        del taken, dropped
        return lambda: None

    async def close_session(self, session_id: str) -> None:
        """Functions keep nothing by session."""

    async def close(self) -> None:
        """Nothing to stop."""


async def _run(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    return await asyncio.to_thread(function, **arguments)


def _as_result(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"content": [{"type": "text", "text": value}]}
    body = orjson.loads(orjson.dumps(value))
    result: dict[str, Any] = {"content": [{"type": "text", "text": orjson.dumps(body).decode()}]}
    if isinstance(body, dict):
        result["structuredContent"] = body
    return result


def _input_schema(function: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(function)
    properties: dict[str, Any] = {}
    required: list[str] = []
    definitions: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
            parameter.POSITIONAL_ONLY,
        ):
            raise WardError(
                f"`{function.__name__}` can not be a tool: `{parameter.name}` has no plain annotation",
                remedy="annotate it with a type that JSON can hold",
            )
        (schema,), parts = msgspec.json.schema_components(
            [hints[parameter.name]], ref_template="#/$defs/{name}"
        )
        properties[parameter.name] = schema
        definitions |= parts
        if parameter.default is parameter.empty:
            required.append(parameter.name)
    out: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    if definitions:
        out["$defs"] = definitions
    return out
