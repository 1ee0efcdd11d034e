"""Results against the tool's own output schema, with the repairs that the operator declared.

A repair is deterministic, is tried only where a result does not fit, and shows: in the reply and in the
record. What does not fit in the end is not released. No word of a server stands in what is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import orjson
from msgspec.structs import replace

from toolward.errors import ReasonCode
from toolward.model.call import RawOutcome, Returned, Stopped
from toolward.model.tool import Repair, ToolVersion
from toolward.rules.schema import refuse_reference

REPAIRED_META: Final = "dev.toolward/repaired"
"""In `_meta` of a result: the repairs that were made on it."""
VALIDATORS_MAX: Final = 4_096
ERRORS_MAX: Final = 1_000
"""Places of one result that are mended; past this it is not what it was meant to be."""


def held_to_schema(version: ToolVersion | None, outcome: RawOutcome) -> RawOutcome:
    """The outcome, mended where that was declared, or `Stopped` with `bad_output`.

    Nothing is asked of a tool whose manifest has no `output`, that has no output schema, or that answered
    with an error of its own.
    """
    rule = version.manifest.output if version is not None else None
    if (
        rule is None
        or version is None
        or type(outcome) is not Returned
        or outcome.result.get("isError") is True
    ):
        return outcome
    validator = _validator(version.definition)
    if validator is None:
        return outcome
    if isinstance(validator, str):
        return _unfit(validator)
    result = outcome.result
    if "structuredContent" in result and validator.is_valid(result["structuredContent"]):
        return outcome
    content = orjson.loads(orjson.dumps(result.get("structuredContent")))
    made: list[str] = []
    for repair in rule.repair:
        content, changed = _REPAIRS[repair](content, result, validator)
        if changed:
            made.append(repair.value)
        if changed and validator.is_valid(content):
            meta = result.get("_meta")
            meta = {**(meta if isinstance(meta, Mapping) else {}), REPAIRED_META: made}
            mended = {**result, "structuredContent": content, "_meta": meta}
            return replace(outcome, result=mended, repaired=tuple(made))
    return _unfit("the result does not fit the tool's output schema")


def _unfit(text: str) -> Stopped:
    return Stopped(reason=ReasonCode.BAD_OUTPUT.value, message=f"{text}, so it is not released")


@lru_cache(maxsize=VALIDATORS_MAX)
def _validator(definition: bytes) -> Any:
    """The compiled output schema; None where there is none, a text where it can not be used."""
    schema = orjson.loads(definition).get("outputSchema")
    if schema is None:
        return None
    try:
        return jsonschema_rs.validator_for(schema, retriever=refuse_reference)
    except (ValueError, jsonschema_rs.ValidationError):
        return "the tool's output schema can not be used"


def _coerce_numbers(content: Any, result: Mapping[str, Any], validator: Any) -> tuple[Any, bool]:
    """Texts that are numbers, where the schema wants a number."""
    del result
    changed = False
    for error in _errors(validator, content):
        wanted = set(getattr(error.kind, "types", None) or ())
        value = error.instance
        if not isinstance(value, str) or not wanted & {"integer", "number"}:
            continue
        number = _number(value, whole="number" not in wanted)
        if number is not None:
            content = _put(content, error.instance_path, number)
            changed = True
    return content, changed


def _number(text: str, *, whole: bool) -> int | float | None:
    try:
        value = orjson.loads(text.strip())
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if whole and isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value


def _drop_unknown(content: Any, result: Mapping[str, Any], validator: Any) -> tuple[Any, bool]:
    """Members that the schema does not take."""
    del result
    changed = False
    for error in _errors(validator, content):
        for name in getattr(error.kind, "unexpected", None) or ():
            holder = _at(content, error.instance_path)
            if isinstance(holder, MutableMapping) and name in holder:
                del holder[name]
                changed = True
    return content, changed


def _wrap_text(content: Any, result: Mapping[str, Any], validator: Any) -> tuple[Any, bool]:
    """A tool that gave text alone: the object that the text is, else the text as the one required member."""
    if content is not None:
        return content, False
    parts = result.get("content")
    texts = [
        part["text"]
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    ]
    if len(texts) != 1:
        return content, False
    try:
        said = orjson.loads(texts[0])
    except orjson.JSONDecodeError:
        said = None
    if isinstance(said, dict):
        return said, True
    missing = [error.kind.property for error in _errors(validator, {}) if error.kind.name == "required"]
    return ({missing[0]: texts[0]}, True) if len(missing) == 1 else (content, False)


_REPAIRS: Final[Mapping[Repair, Callable[[Any, Mapping[str, Any], Any], tuple[Any, bool]]]] = {
    Repair.COERCE_NUMBERS: _coerce_numbers,
    Repair.DROP_UNKNOWN: _drop_unknown,
    Repair.WRAP_TEXT: _wrap_text,
}


def _errors(validator: Any, content: Any) -> list[Any]:
    found: list[Any] = []
    for error in validator.iter_errors(content):
        found.append(error)
        if len(found) >= ERRORS_MAX:
            break
    return found


def _at(content: Any, path: Sequence[Any]) -> Any:
    for step in path:
        content = content[step]
    return content


def _put(content: Any, path: Sequence[Any], value: Any) -> Any:
    if not path:
        return value
    holder = _at(content, path[:-1])
    if isinstance(holder, MutableMapping | MutableSequence):
        holder[path[-1]] = value
    return content
