"""The meta-tools, and what a call of one means: an action of its own, or the call of the tool that it names.

A meta-tool decides nothing. It is translated before step 1 of the corridor; what it stands for is judged,
recorded and answered as if it had been asked for by its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from toolward.config.limits import PLAN_CHARS_MAX
from toolward.kernel.attempt import Attempt
from toolward.model.call import Action
from toolward.model.face import Face
from toolward.model.server import GATEWAY_SERVER
from toolward.model.tool import SEPARATOR
from toolward.rules.schema import ArgumentSchema, compile_schema

PREFIX: Final = f"{GATEWAY_SERVER}{SEPARATOR}"
LIMIT: Final = 10
"""Tools that one search names, where it says nothing."""
LIMIT_MAX: Final = 50
QUERY_CHARS_MAX: Final = 500
_CALL: Final = f"{PREFIX}call_tool"
_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 256}


def _definition(name: str, description: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": PREFIX + name,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": dict(properties),
            "required": more.pop("required", list(properties)),
            "additionalProperties": False,
        },
        **more,
    }


_READS: Final = {"readOnlyHint": True, "openWorldHint": False}
_SEARCH: Final = _definition(
    "search_tools",
    "Find tools by what they do. Gives their names with a line on each; describe_tool has the whole.",
    {
        "query": {"type": "string", "minLength": 1, "maxLength": QUERY_CHARS_MAX},
        "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
    },
    required=["query"],
    annotations=_READS,
)
_DESCRIBE: Final = _definition(
    "describe_tool",
    "The whole definition of a tool that search_tools named: its arguments and what it gives back.",
    {"tool": _TEXT},
    annotations=_READS,
)
_CALL_TOOL: Final = _definition(
    _CALL.removeprefix(PREFIX),
    "Call a tool by the name that search_tools gave. The same rules hold as for a call by name.",
    {"tool": _TEXT, "arguments": {"type": "object"}},
    required=["tool"],
)
_PROPOSE: Final = _definition(
    "propose_server",
    "Propose an MCP server that would help. A person may have to let it in before its tools are found.",
    {
        "name": _TEXT,
        "url": {**_TEXT, "maxLength": 1_000, "description": "Of a remote server, streamable HTTP."},
        "package": {**_TEXT, "description": "`pypi:NAME==VERSION` or `npm:NAME@VERSION`."},
        "reason": {"type": "string", "maxLength": 500},
    },
    required=["name"],
)
_PLAN: Final = _definition(
    "declare_plan",
    "Say once what you are going to do for the user, before you read anything: one step a line, with the"
    " names, addresses and numbers that it will need. What the plan says counts as asked for later on; what"
    " you only read does not. After untrusted content was read no plan is taken.",
    {"plan": {"type": "string", "minLength": 1, "maxLength": PLAN_CHARS_MAX}},
)
_DEFINITIONS: Final = (_SEARCH, _DESCRIBE, _CALL_TOOL, _PROPOSE, _PLAN)
_ACTIONS: Final[Mapping[str, Action]] = {
    _SEARCH["name"]: Action.SEARCH_TOOLS,
    _DESCRIBE["name"]: Action.DESCRIBE_TOOL,
    _PROPOSE["name"]: Action.PROPOSE_SERVER,
    _PLAN["name"]: Action.DECLARE_PLAN,
}
_SCHEMAS: Final[Mapping[str, ArgumentSchema]] = {
    each["name"]: compile_schema(each["inputSchema"], where=each["name"]) for each in _DEFINITIONS
}


def definitions(allowed: Callable[[Action], bool]) -> list[dict[str, Any]]:
    """The meta-tools as a list shows them: those whose action is `allowed`."""
    return [
        dict(each)
        for each in _DEFINITIONS
        if (action := _ACTIONS.get(each["name"])) is None or allowed(action)
    ]


def meant(attempt: Attempt, face: Face) -> Attempt:
    """What a call of a meta-tool stands for; every other attempt as it is.

    `call_tool` is the same attempt with the name and the arguments that it holds, so that its digest, its
    approvals and its idempotency key are those of a call by name. It can name no meta-tool. Raises
    `BadArguments`.
    """
    if attempt.action is not Action.CALL_TOOL or attempt.server or not face.searches:
        return attempt
    params = attempt.params
    name = params.get("name")
    schema = _SCHEMAS.get(name) if isinstance(name, str) else None
    if schema is None:
        return attempt
    given = params.get("arguments")
    arguments: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    schema.check(arguments)
    if name == _CALL:
        inner = arguments.get("arguments", {})
        return replace(attempt, params={**params, "name": arguments["tool"], "arguments": inner})
    meta = {"_meta": params["_meta"]} if "_meta" in params else {}
    return replace(attempt, action=_ACTIONS[str(name)], params={**arguments, **meta})
