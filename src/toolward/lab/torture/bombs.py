"""What hostile callers send. Each must be refused with a code, and none may run or harm another call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from toolward.lab.torture.clients import VERSION, Target, call_body, with_length
from toolward.lab.torture.evidence import READ, WRITE

_DEEP: Final = 100_000
_WIDE: Final = 60_000
_LONG: Final = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Bomb:
    """One HTTP request that must be refused; `unfinished` if its body never comes."""

    name: str
    request: bytes
    unfinished: bool = False


def bombs(target: Target) -> list[Bomb]:
    """All of them."""
    return [*_malformed(target), *_wrong_headers(target), *_oversized(target), *_wrong_calls(target)]


def _raw(target: Target, body: bytes) -> bytes:
    return with_length(target.head("tools/call", WRITE), body)


def _with_arguments(target: Target, arguments: bytes) -> bytes:
    whole = call_body(WRITE, {}).replace(b'"arguments":{}', b'"arguments":' + arguments)
    return _raw(target, whole)


def _malformed(target: Target) -> Iterator[Bomb]:
    good = call_body(WRITE, {"key": "hostile"})
    bodies = {
        "empty body": b"",
        "not json": b"{",
        "not an object": b"17",
        "null": b"null",
        "batch": b"[" + good + b"]",
        "not utf-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        "lone surrogate": good.replace(b"hostile", b"\\ud800"),
        "nan": good.replace(b'"hostile"', b"NaN"),
        "duplicate key": good.replace(b'"key":', b'"key":"a","key":'),
        "case-variant key": good.replace(b'"key":', b'"KEY":"a","key":'),
        "huge integer": good.replace(b'"hostile"', b"9" * 400),
        "integer of 100 000 digits": good.replace(b'"hostile"', b"9" * 100_000),
        "bad id": good.replace(b'"id":1', b'"id":[1]'),
        "no method": b'{"jsonrpc":"2.0","id":1}',
        "params are a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}',
        "second json behind the first": good + good,
    }
    for name, body in bodies.items():
        yield Bomb(name=name, request=_raw(target, body))


def _wrong_headers(target: Target) -> Iterator[Bomb]:
    body = call_body(WRITE, {"key": "hostile"})
    head = target.head("tools/call", WRITE)
    swaps = {
        "unknown version": (VERSION.encode(), b"2031-01-01"),
        "no such era": (b"mcp-protocol-version: " + VERSION.encode(), b"mcp-protocol-version: 2025-11-25"),
        "method differs": (b"mcp-method: tools/call", b"mcp-method: tools/list"),
        "name differs": (b"mcp-name: write", b"mcp-name: read"),
        "foreign host": (f"host: {target.host}".encode(), b"host: evil.example"),
        "no credential": (b"Bearer ", b"Bearer x"),
        "wrong media type": (b"content-type: application/json", b"content-type: text/plain"),
        "accepts nothing of ours": (b"application/json, text/event-stream", b"image/png"),
        "name sent twice": (b"mcp-name: write", b"mcp-name: write\r\nmcp-name: write"),
    }
    for name, (old, new) in swaps.items():
        yield Bomb(name=name, request=with_length(head.replace(old, new), body))
    yield Bomb(name="foreign origin", request=with_length(head + b"origin: https://evil.example\r\n", body))


def _oversized(target: Target) -> Iterator[Bomb]:
    yield Bomb(name="depth", request=_with_arguments(target, b"[" * _DEEP + b"]" * _DEEP))
    yield Bomb(name="deep objects", request=_with_arguments(target, b'{"a":' * 200 + b"1" + b"}" * 200))
    many = orjson.dumps({f"k{number}": number for number in range(_WIDE)})
    yield Bomb(name="60 000 members", request=_with_arguments(target, many))
    yield Bomb(name="3 MiB of text", request=_with_arguments(target, b'{"key":"' + b"x" * _LONG + b'"}'))
    head = target.head("tools/call", WRITE)
    yield Bomb(name="declared 1 TB", request=head + b"content-length: 1099511627776\r\n\r\n", unfinished=True)
    yield Bomb(
        name="headers of 200 KB", request=with_length(head + b"x-filler: " + b"y" * 200_000 + b"\r\n", b"")
    )


def _wrong_calls(target: Target) -> Iterator[Bomb]:
    tools = {"unknown tool": "nope", "long tool name": "n" * 5_000, "path as a tool": "../../etc/passwd"}
    for name, tool in tools.items():
        yield Bomb(
            name=name,
            request=with_length(target.head("tools/call", tool), call_body(tool, {"key": "hostile"})),
        )
    wrong: dict[str, dict[str, Any]] = {
        "arguments outside the schema": {"key": 5},
        "argument too long": {"key": "z" * 300},
        "unknown argument": {"key": "hostile", "more": 1},
        "entity injection": {"key": "hostile", "__entity": {"type": "User", "id": "root"}},
    }
    for name, arguments in wrong.items():
        yield Bomb(
            name=name, request=with_length(target.head("tools/call", READ), call_body(READ, arguments))
        )
