"""What a declared use of a tool becomes with recorded data, and what its answer says. No model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import WardError

_LAYERS_MAX: Final = 8
"""Wrappers taken off an answer before it is read: a list of one, an object with one member."""
_YES: Final = frozenset({"true", "yes", "happened"})
_NO: Final = frozenset({"false", "no", "null", "none", ""})


def arguments_from(declared: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments: each a JSON pointer (RFC 6901) into `recorded`, or `{"value": …}` for a literal.

    Raises `WardError` for a pointer that leads nowhere, since a guess would be another call.
    """
    out: dict[str, Any] = {}
    for name, said in declared.items():
        if isinstance(said, Mapping) and set(said) == {"value"}:
            out[name] = said["value"]
        elif isinstance(said, str):
            out[name] = at_pointer(said, recorded)
        else:
            raise WardError(f"`{name}` is neither a JSON pointer nor `{{value: …}}`")
    return out


def at_pointer(pointer: str, value: Any) -> Any:
    """What a JSON pointer names. Raises `WardError` where there is nothing."""
    if pointer and not pointer.startswith("/"):
        raise WardError(f"`{pointer[:200]}` is no JSON pointer", remedy="begin it with `/`")
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise WardError(f"`{pointer[:200]}` leads nowhere in what was recorded")
    return value


def text_of(result: Mapping[str, Any]) -> str:
    """All text of a tool's result, its parts on lines of their own."""
    content = result.get("content")
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def happened(result: Mapping[str, Any]) -> bool | None:
    """What a probe's answer says: the effect is there, is not there, or nothing that could be relied on.

    A boolean, a count, or rows: true, above nought and some mean that it happened; false, nought, null and
    none that it did not. Wrappers (a list of one, an object with one member) are taken off first. An error
    and free text say nothing: a file that can not be read is no proof that it was not written.
    """
    if result.get("isError") is True:
        return None
    if result.get("structuredContent") is not None:
        return _truth(result["structuredContent"])
    parts = result.get("content")
    texts = (
        [part.get("text") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    )
    return _truth(texts[0]) if len(texts) == 1 and isinstance(texts[0], str) else None


def _truth(value: Any) -> bool | None:
    for _ in range(_LAYERS_MAX):
        if isinstance(value, str):
            word = value.strip()
            if word.lower() in _YES:
                return True
            if word.lower() in _NO:
                return False
            try:
                value = orjson.loads(word)
            except orjson.JSONDecodeError:
                return None
            if isinstance(value, str):
                return None
        elif isinstance(value, list) and len(value) == 1:
            value = value[0]
        elif isinstance(value, Mapping) and len(value) == 1:
            value = next(iter(value.values()))
        else:
            return bool(value)
    return None
