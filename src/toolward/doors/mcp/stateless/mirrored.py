"""Headers of the stateless era that repeat parts of the body, and must say the same.

An intermediary routes, or refuses, by the header; the server acts by the body. Whoever can make the two
differ has passed the intermediary. Source: MCP 2026-07-28, transports, "Standard headers" and SEP-2243.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from toolward.doors.mcp.boundary import Headers
from toolward.doors.mcp.messages import Request
from toolward.doors.mcp.wire import (
    HEADER_MISMATCH,
    NAMED_BY,
    PROTOCOL_VERSION_KEY,
    STATELESS_ACTIONS,
    Refusal,
)
from toolward.errors import Reason
from toolward.errors import ReasonCode as Code
from toolward.model.tool import ToolVersion

_WRAPPED_START, _WRAPPED_END = "=?base64?", "?="
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DECIMAL = re.compile(r"-?[0-9]{1,19}(\.0+)?")
_MIRRORED_TYPES = frozenset({"string", "integer", "boolean"})
_ONE = (
    "items",
    "contains",
    "unevaluatedItems",
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
)
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("patternProperties", "dependentSchemas", "$defs", "definitions")


@dataclass(frozen=True, slots=True)
class Mirror:
    """One argument that the schema wants repeated in a header."""

    path: tuple[str, ...]
    header: bytes  # lower case, prefix included
    kind: str


def check_standard(request: Request, meta: Mapping[str, Any], headers: Headers) -> None:
    """Raise `Refusal` (400, -32020) unless version, method and name stand in the headers as in the body."""
    version = headers.get(b"mcp-protocol-version")
    if version is None or _text(version) != meta.get(PROTOCOL_VERSION_KEY):
        raise _mismatch(request, "MCP-Protocol-Version", "the protocol version in `_meta`")
    method = headers.get(b"mcp-method")
    if method is None or _text(method) != request.method:
        raise _mismatch(request, "Mcp-Method", "the body's method")
    action = STATELESS_ACTIONS.get(request.method)
    if action is not None and (key := NAMED_BY.get(action)) is not None:
        value = request.params.get(key)
        name = headers.get(b"mcp-name")
        if value is not None and (name is None or unwrap(_text(name)) != value):
            raise _mismatch(request, "Mcp-Name", f"the body's `{key}`")


class MirrorChecks:
    """Checks `Mcp-Param-*`; remembers what each immutable version declares."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mirror, ...]] = {}

    def check(self, request: Request, headers: Headers, version: ToolVersion) -> None:
        """Raise `Refusal` (400, -32020) if a declared header and its argument do not agree."""
        mirrors = self._known.get(version.digest)
        if mirrors is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            schema = orjson.loads(version.definition).get("inputSchema")
            mirrors = declared_mirrors(schema) if isinstance(schema, Mapping) else ()
            self._known[version.digest] = mirrors
        arguments = request.params.get("arguments", {})
        for mirror in mirrors:
            _check_mirror(request, mirror, arguments, headers.get(mirror.header))


def declared_mirrors(schema: Mapping[str, Any]) -> tuple[Mirror, ...]:
    """What a schema declares; nothing at all if one declaration is invalid.

    The specification has clients drop a tool with an invalid declaration, so nobody sends its headers.
    """
    found: dict[bytes, Mirror] = {}
    for path, node in _positions(schema):
        if "x-mcp-header" not in node:
            continue
        token, kind = node["x-mcp-header"], node.get("type")
        if not path or not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return ()
        header = b"mcp-param-" + token.lower().encode()
        if not isinstance(kind, str) or kind not in _MIRRORED_TYPES or header in found:
            return ()
        found[header] = Mirror(path, header, kind)
    return tuple(found.values())


def unwrap(value: str) -> str | None:
    """The text of a header value, taken out of `=?base64?…?=` if it is wrapped; None if badly wrapped."""
    if not (value.startswith(_WRAPPED_START) and value.endswith(_WRAPPED_END)):
        return value
    inner = value[len(_WRAPPED_START) : -len(_WRAPPED_END)]
    try:
        data = base64.b64decode(inner, validate=True)
        text = data.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    # one text has one spelling: stray bits in the last character would make a second one
    return text if base64.b64encode(data).decode() == inner else None


def _check_mirror(request: Request, mirror: Mirror, arguments: Mapping[str, Any], raw: bytes | None) -> None:
    value: Any = arguments
    for step in mirror.path:
        value = value.get(step) if isinstance(value, Mapping) else None
    if not isinstance(value, (str, int, float)):  # absent, null, or nothing a header can hold
        agrees = raw is None
    elif raw is None:
        agrees = False
    else:
        agrees = _same(mirror.kind, value, unwrap(_text(raw)))
    if not agrees:
        name = mirror.header.decode().title()
        raise _mismatch(request, name, f"the argument `{'.'.join(mirror.path)}`")


def _same(kind: str, value: str | float, shown: str | None) -> bool:
    if shown is None:
        return False
    if isinstance(value, bool):
        return shown == ("true" if value else "false")
    if kind == "integer" and not isinstance(value, str) and value == int(value) and _DECIMAL.fullmatch(shown):
        return int(shown.partition(".")[0]) == int(value)
    return shown == str(value)


def _positions(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...] | None, Mapping[str, Any]]]:
    """Each schema inside `schema`, with its property path while only `properties` was crossed."""
    stack: list[tuple[tuple[str, ...] | None, Any]] = [((), schema)]
    while stack:
        path, node = stack.pop()
        if not isinstance(node, Mapping):
            continue
        yield path, node
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            stack.extend(
                ((*path, name) if path is not None else None, below) for name, below in properties.items()
            )
        stack.extend((None, node[key]) for key in _ONE if key in node)
        for key in _MANY:
            if isinstance(node.get(key), list):
                stack.extend((None, below) for below in node[key])
        for key in _NAMED:
            if isinstance(node.get(key), Mapping):
                stack.extend((None, below) for below in node[key].values())


def _text(value: bytes) -> str:
    return value.strip(b" \t").decode("latin-1")


def _mismatch(request: Request, header: str, what: str) -> Refusal:
    reason = Reason(
        code=Code.HEADER_MISMATCH,
        text=f"the header `{header}` does not say the same as {what}",
        remedy="send both, and send them equal",
    )
    return Refusal(reason, status=400, rpc_code=HEADER_MISMATCH, request_id=request.request_id)


_KNOWN_MAX = 4_096
