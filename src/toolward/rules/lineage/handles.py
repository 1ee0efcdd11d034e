"""References to earlier results in place of values: found, checked for their shape, and put in.

`{"$toolward": {"call": "<id>", "pointer": "/content/0/text"}}`, or the text `$toolward:<id>#/content/0/text`
where a schema or a client wants a text, stands for what that call of the same session answered there. The
pointer is one of RFC 6901; inside a text that is JSON it goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from toolward.errors import BadArguments
from toolward.model.lineage import Handle

MARK: Final = "$toolward"
HANDLES_MAX: Final = 64
"""In one call; each costs a look into the log."""
_TEXT: Final = re.compile(r"\$toolward:([A-Za-z0-9-]{1,64})#(.*)", re.DOTALL)
_SHAPE: Final = 'write {"$toolward": {"call": "<call id>", "pointer": "/content/0/text"}}'
_INDEX: Final = re.compile(r"0|[1-9][0-9]*")


def mentioned(body: bytes) -> bool:
    """Whether there may be a handle in the JSON text of arguments; nearly always not."""
    return MARK.encode() in body


def put_in(
    arguments: Mapping[str, Any], fetch: Callable[[Handle], Any]
) -> tuple[Mapping[str, Any], tuple[Handle, ...]]:
    """The arguments with each handle replaced by what `fetch` has for it, and the handles.

    What is put in is not looked through again: an answer can not refer to another one. Raises
    `BadArguments` for what only looks like a handle, for too many, and what `fetch` raises.
    """
    handles: list[Handle] = []

    def walked(value: Any, at: str) -> Any:
        handle = _handle(value, at)
        if handle is not None:
            if len(handles) >= HANDLES_MAX:
                raise BadArguments(
                    f"more than {HANDLES_MAX} references to earlier results",
                    remedy="send some values instead",
                )
            handles.append(handle)
            return fetch(handle)
        if isinstance(value, Mapping):
            return {name: walked(item, f"{at}/{_escaped(name)}") for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [walked(item, f"{at}/{index}") for index, item in enumerate(value)]
        return value

    put = {name: walked(item, f"/{_escaped(name)}") for name, item in arguments.items()}
    return (put, tuple(handles)) if handles else (arguments, ())


def value_at(handle: Handle, result: Any) -> Any:
    """What a handle's pointer names in a result. Raises `BadArguments` where there is nothing."""
    value = result
    for part in handle.pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, str):
            value = _parsed(value)
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            raise BadArguments(
                f"`{handle.at[:200]}` refers to `{handle.pointer[:200]}` of call `{handle.call[:64]}`,"
                " and there is nothing there",
                remedy="look at that result, and point to a part of it",
            )
    return value


def _handle(value: Any, at: str) -> Handle | None:
    if isinstance(value, str):
        if not value.startswith(f"{MARK}:"):
            return None
        found = _TEXT.fullmatch(value)
        call, pointer = found.groups() if found is not None else ("", "")
    elif isinstance(value, Mapping) and MARK in value:
        said = value[MARK]
        whole = len(value) == 1 and isinstance(said, Mapping) and set(said) <= {"call", "pointer"}
        call, pointer = (said.get("call", ""), said.get("pointer", "")) if whole else ("", "")
    else:
        return None
    if not isinstance(call, str) or not call or not isinstance(pointer, str) or pointer[:1] not in ("", "/"):
        raise BadArguments(f"`{at[:200]}` is no reference to an earlier result", remedy=_SHAPE)
    return Handle(at=at, call=call, pointer=pointer)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return text


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
