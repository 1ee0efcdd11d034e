"""Whether an answer is what a recorded example says, and examples out of answers. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from toolward.errors import BadArguments, WardError
from toolward.model.contract import Contract, Expectation, Must
from toolward.rules.canonical import canonical
from toolward.rules.recorded import at_pointer
from toolward.rules.schema import compile_schema

SHOWN_CHARS_MAX: Final = 200
PROPERTIES_MAX: Final = 200
"""Members of one object that a recorded shape names; one with more is a table, and any member will do."""


def contract_digest(contract: Contract) -> str:
    """`sha256:<hex>` over all that the contract says: what it held of once says nothing of another one."""
    return "sha256:" + hashlib.sha256(canonical(contract.as_json())).hexdigest()


def difference(contract: Contract, result: Mapping[str, Any]) -> str:
    """What of the contract does not hold of that result, the first of it; "" if all holds."""
    for each in contract.expect:
        try:
            value = at_pointer(each.at, result)
        except WardError:
            return f"there is nothing at `{each.at}`"
        if text := _broken(each, value):
            return f"at `{each.at or '/'}`: {text}"
    return ""


def _broken(expected: Expectation, value: Any) -> str:
    match expected.must:
        case Must.EQUAL:
            same = canonical(value) == canonical(expected.value)
            return "" if same else f"was {_shown(expected.value)}, is {_shown(value)}"
        case Must.INCLUDE:
            held = _includes(value, expected.value)
            return "" if held else f"lacks {_shown(expected.value)}, is {_shown(value)}"
        case Must.MATCH:
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            # in the schema validator's engine, which does not backtrack: the text is a server's
            fits = _fits({"type": "string", "pattern": expected.value}, text)
            return "" if fits else f"does not match `{expected.value}`: {_shown(value)}"
        case Must.FIT:
            return "" if _fits(expected.value, value) else f"does not fit its schema: {_shown(value)}"


def _fits(schema: Any, value: Any) -> bool:
    wrapped = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    try:
        compile_schema(wrapped, where="a contract").check({"value": value})
    except BadArguments:
        return False
    return True


def check_expectation(expected: Expectation) -> str:
    """Why an expectation can not be used, or ""."""
    if expected.at and not expected.at.startswith("/"):
        return f"`{expected.at[:100]}` is no JSON pointer"
    if expected.must not in (Must.FIT, Must.MATCH):
        return ""
    schema = expected.value if expected.must is Must.FIT else {"type": "string", "pattern": expected.value}
    try:
        compile_schema({"type": "object", "properties": {"value": schema}}, where="a contract")
    except WardError as error:
        return error.reason.text
    return ""


def _includes(value: Any, part: Any) -> bool:
    if isinstance(part, Mapping):
        return isinstance(value, Mapping) and all(
            key in value and _includes(value[key], below) for key, below in part.items()
        )
    if isinstance(part, list):
        return isinstance(value, list) and all(
            any(_includes(item, wanted) for item in value) for wanted in part
        )
    return canonical(value) == canonical(part)


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


# --- recording ---------------------------------------------------------------------------------------


def expectations_of(results: Sequence[Mapping[str, Any]]) -> tuple[Expectation, ...]:
    """What to expect after the same call gave `results`: their exact parts, or the shape that they share.

    The structured content where there is one, else each text.
    """
    first = results[0]
    if first.get("structuredContent") is not None:
        return (_expected("/structuredContent", [each.get("structuredContent") for each in results]),)
    out: list[Expectation] = []
    parts = first.get("content")
    for number, part in enumerate(parts if isinstance(parts, list) else ()):
        pointer = f"/content/{number}/text"
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            out.append(_expected(pointer, [_at(pointer, each) for each in results]))
    return tuple(out) or (_expected("", list(results)),)


def _at(pointer: str, result: Mapping[str, Any]) -> Any:
    try:
        return at_pointer(pointer, result)
    except WardError:
        return None


def _expected(pointer: str, values: Sequence[Any]) -> Expectation:
    if all(canonical(each) == canonical(values[0]) for each in values):
        return Expectation(at=pointer, must=Must.EQUAL, value=values[0])
    return Expectation(at=pointer, must=Must.FIT, value=shape_of(*values))


def shape_of(*values: Any) -> dict[str, Any]:
    """A JSON Schema of the types that `values` have in common; members that all have are required."""
    kinds = sorted({_kind(each) for each in values})
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    objects = [each for each in values if isinstance(each, Mapping)]
    if objects and len(objects[0]) <= PROPERTIES_MAX:
        required = set.intersection(*({str(key) for key in each} for each in objects))
        names = sorted({str(key) for each in objects for key in each})[:PROPERTIES_MAX]
        schema["properties"] = {
            name: shape_of(*(each[name] for each in objects if name in each)) for name in names
        }
        schema["required"] = sorted(required)
    items = [item for each in values if isinstance(each, list) for item in each]
    if items:
        schema["items"] = shape_of(*items)
    return schema


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
