"""The parts of a JSON value: scalars with their pointers, member names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def leaves_of(value: Any, pointer: str = "") -> list[tuple[str, Any]]:
    """Every scalar with its RFC 6901 pointer, in order."""
    out: list[tuple[str, Any]] = []
    _collect(value, pointer, out)
    return out


def _collect(value: Any, pointer: str, out: list[tuple[str, Any]]) -> None:
    kind = type(value)  # exact types first: this runs for every value of every call and result
    if kind in _SCALARS:
        out.append((pointer, value))
    elif kind is dict or isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key)
            if "~" in name or "/" in name:
                name = name.replace("~", "~0").replace("/", "~1")
            if type(item) in _SCALARS:
                out.append((f"{pointer}/{name}", item))
            else:
                _collect(item, f"{pointer}/{name}", out)
    elif kind is list or isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _collect(item, f"{pointer}/{index}", out)
    else:
        out.append((pointer, value))


def names_in(value: Any) -> list[str]:
    """The member names of every object: a server can put data there, and so can an agent."""
    found: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind in _SCALARS:
            continue
        if kind is dict or isinstance(item, Mapping):
            found += item
            stack.extend(item.values())
        elif kind is list or isinstance(item, (list, tuple)):
            stack.extend(item)
    return found
