"""Headers that repeat parts of a request (2026-07-28, transports, "Custom Headers")."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

NAMED_BY: Final[Mapping[str, str]] = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Methods whose target is repeated in `Mcp-Name`, and the member of params that holds it."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_WRAPPED: Final = re.compile(r"=\?base64\?.*\?=")
_KINDS: Final = frozenset({"string", "integer", "boolean"})
_DEPTH_MAX: Final = 32


def header_value(text: str) -> str:
    """`text` where it survives a header field, else wrapped as `=?base64?…?=`."""
    if not text or (_PLAIN.fullmatch(text) and not _WRAPPED.fullmatch(text)):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode('ascii')}?="


def mirrored_of(definition: bytes) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Property path and header token of every property that the tool's input schema wants repeated.

    A schema with an annotation that the specification forbids (no token, not a primitive, named twice)
    mirrors nothing at all: the server then refuses such calls, which is safer than guessing.
    """
    if b"x-mcp-header" not in definition:
        return ()
    found: list[tuple[tuple[str, ...], str]] = []
    schema = orjson.loads(definition).get("inputSchema")
    if not _walk(schema, (), found):
        return ()
    tokens = [token.lower() for _, token in found]
    return tuple(found) if len(set(tokens)) == len(tokens) else ()


def _walk(schema: Any, path: tuple[str, ...], found: list[tuple[tuple[str, ...], str]]) -> bool:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) > _DEPTH_MAX:
        return True
    for name, sub in properties.items():
        if not isinstance(sub, dict):
            continue
        token = sub.get("x-mcp-header")
        if token is not None:
            if not isinstance(token, str) or not _TOKEN.fullmatch(token) or sub.get("type") not in _KINDS:
                return False
            found.append(((*path, name), token))
        if not _walk(sub, (*path, name), found):
            return False
    return True


def mirrored_headers(
    mirrored: tuple[tuple[tuple[str, ...], str], ...], arguments: Mapping[str, Any]
) -> bytes:
    """Header lines for the arguments that are there."""
    lines = b""
    for path, token in mirrored:
        value: Any = arguments
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, (str, int)):
            text = str(value)
        else:
            continue
        lines += f"mcp-param-{token}: {header_value(text)}\r\n".encode("ascii")
    return lines
