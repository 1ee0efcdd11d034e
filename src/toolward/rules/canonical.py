"""One strict parse in, one canonical form out: what is judged is what runs.

Input is JSON as RFC 8259 has it and narrower: UTF-8 without a byte order mark, no duplicate keys, no keys
that differ only by case (some parsers fold them, so two readers would see two different calls), no `NaN` or
`Infinity`, integers within 64 bits, no lone surrogates, bounded depth and size. Output is RFC 8785 (JCS).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn

import orjson
import rfc8785

from toolward.errors import ReasonCode as Code
from toolward.errors import Rejected

BYTES_MAX = 4 * 1024 * 1024
"""One request body; the MCP SDK's own server takes as much."""
DEPTH_MAX = 64
"""Nesting; well below the recursion limit of the policy engine and of every upstream's parser."""
NODES_MAX = 50_000
"""Values in one document; bounds what validation, labelling and policy can cost."""
INTEGER_MAX = 2**63 - 1
INTEGER_MIN = -(2**63)
RESERVED_KEYS = frozenset({"__entity", "__extn", "__expr"})
"""Escapes of the policy engine's JSON form: inside arguments they would inject entities into a decision."""


def parse_strict(data: bytes, *, bytes_max: int = BYTES_MAX) -> Any:
    """The value of `data`, or `Rejected` with the code that says which rule it broke."""
    if len(data) > bytes_max:
        raise Rejected(
            f"the body has {len(data)} bytes and the limit is {bytes_max}",
            code=Code.TOO_LARGE,
            remedy="send less in one call",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(
            f"the body is not utf-8 at byte {error.start}", code=Code.NOT_UNICODE, remedy="encode it as utf-8"
        ) from error
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise Rejected(f"the body is not json: {error}", remedy="send one json value") from error
    if "\\u" in text:
        _refuse_surrogates(data)
    if depth_at_most(data) > DEPTH_MAX or nodes_at_most(data) > NODES_MAX:
        _check_bounds(value)
    return value


def depth_at_most(data: bytes) -> int:
    """No JSON text nests deeper than this. Brackets in its texts count too, so it may nest less."""
    return data.count(b"{") + data.count(b"[") + 1


def nodes_at_most(data: bytes) -> int:
    """No JSON text holds more values than this: each but the first stands behind a bracket or a comma."""
    return depth_at_most(data) + data.count(b",")


def _check_bounds(value: Any) -> None:
    """Raise `Rejected` if a parsed value is too deep or too big."""
    level, depth, nodes = [value], 0, 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > DEPTH_MAX:
            raise _too_deep()
        if nodes > NODES_MAX:
            raise Rejected(
                f"more than {NODES_MAX} values", code=Code.TOO_LARGE, remedy="send less in one call"
            )
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                below.extend(item.values())
            elif kind is list:
                below.extend(item)
        level = below


def refuse_reserved(value: Any) -> None:
    """Raise `Rejected` if an object key anywhere is one that the policy engine would interpret."""
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is str:
            continue
        if kind is dict or isinstance(item, Mapping):
            if not RESERVED_KEYS.isdisjoint(item):
                key = min(RESERVED_KEYS & item.keys())
                raise Rejected(
                    f"the key `{key}` is reserved", code=Code.RESERVED_KEY, remedy="rename that key"
                )
            stack.extend(item.values())
        elif kind is list or kind is tuple:
            stack.extend(item)


def may_be_reserved(body: bytes) -> bool:
    """Whether a canonical form may hold a reserved key; cheap, and wrong on the safe side."""
    return _RESERVED_BEGINS in body


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises `Rejected` for what JSON can not hold (lone surrogates, NaN)."""
    try:
        if _is_plain(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return _write(value)
    except (TypeError, rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise Rejected(
            "the value holds text that is not unicode (a lone surrogate), a number that is not finite, or a"
            " member whose name is no text",
            code=Code.NOT_UNICODE,
            remedy="send well-formed text and finite numbers, under names that are texts",
        ) from error


def _is_plain(value: Any) -> bool:
    """Whether orjson's sorted form is the canonical one: no floats, ASCII keys."""
    if type(value) is dict and _PLAIN_TYPES.issuperset(map(type, value.values())):
        return all(map(str.isascii, value))  # as most arguments are: flat
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is dict:
            for key in item:
                if not str.isascii(key):
                    return False
            stack.extend(item.values())
        elif kind is list:
            stack.extend(item)
        elif kind not in _PLAIN_TYPES:
            return False
    return True


def _write(value: Any) -> bytes:
    """RFC 8785 for everything orjson's sorted form gets otherwise; exact digits for integers beyond 2^53.

    The RFC knows only doubles and would refuse or round those integers. Identifiers of that size are
    common, so their decimal digits stand, which every parser that holds 64 bits reads back unchanged.
    """
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: str.encode(key, "utf-16-be"))
        return b"{" + b",".join(orjson.dumps(key) + b":" + _write(value[key]) for key in keys) + b"}"
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join(_write(item) for item in value) + b"]"
    if type(value) is float:
        return rfc8785.dumps(value)
    return orjson.dumps(value)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise Rejected(
            "an object has the same key twice", code=Code.DUPLICATE_KEY, remedy="send each key once"
        )
    if len(out) > 1 and len(set(map(str.casefold, out))) != len(out):
        raise Rejected(
            "an object has two keys that differ only by case",
            code=Code.CASE_VARIANT_KEY,
            remedy="send each key once, in the spelling of the schema",
        )
    return out


def _refuse_surrogates(data: bytes) -> None:
    """Half of a surrogate pair can be written as an escape but is no text; orjson refuses it."""
    try:
        orjson.loads(data)
    except ValueError as error:
        raise Rejected(
            "the body holds a lone surrogate", code=Code.NOT_UNICODE, remedy="send well-formed text"
        ) from error


def _integer(digits: str) -> int:
    """What the text says; more digits than 64 bits can need are not even read."""
    if len(digits) > _INTEGER_CHARS_MAX or not INTEGER_MIN <= (number := int(digits)) <= INTEGER_MAX:
        raise Rejected(
            "an integer does not fit 64 bits",
            code=Code.NUMBER_OUT_OF_RANGE,
            remedy="send it as a string if the tool takes one",
        )
    return number


def _fraction(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        _refuse_constant(str(number))
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise Rejected(
        f"`{name}` is not a json number", code=Code.NUMBER_OUT_OF_RANGE, remedy="send a finite number"
    )


def _too_deep() -> Rejected:
    return Rejected(f"nested more than {DEPTH_MAX} deep", code=Code.TOO_DEEP, remedy="send a flatter value")


_PLAIN_TYPES = frozenset({str, int, bool, type(None)})
_RESERVED_BEGINS = b'"__e'
_INTEGER_CHARS_MAX = len(str(INTEGER_MIN))
_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_fraction, parse_constant=_refuse_constant
)
