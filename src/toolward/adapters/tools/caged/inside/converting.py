"""Inside the cage: from JSON to what a function's annotations ask for."""

import dataclasses
import enum
import types
import typing
from typing import Any


def arguments_for(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as enumerations and dataclasses where the function wants those."""
    hints = typing.get_type_hints(function)
    return {name: _as(hints.get(name, Any), value) for name, value in arguments.items()}


def _as(kind: Any, value: Any) -> Any:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _as(parts[0], value)
    if origin in (typing.Union, types.UnionType):
        return _as_one_of(parts, value)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        hints = typing.get_type_hints(kind)
        made: Any = kind
        return made(**{name: _as(hints[name], below) for name, below in value.items()})
    if typing.is_typeddict(kind) and isinstance(value, dict):
        hints = typing.get_type_hints(kind)
        return {name: _as(hints.get(name, Any), below) for name, below in value.items()}
    if isinstance(value, list):
        return _as_sequence(kind, origin, parts, value)
    if isinstance(value, dict) and parts:
        return {name: _as(parts[1], below) for name, below in value.items()}
    return value


def _as_one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    for kind in kinds:
        if value is None and kind is type(None):
            return None
        if isinstance(kind, type) and type(value) is kind:
            return value
    for kind in kinds:
        try:
            return _as(kind, value)
        except (TypeError, ValueError, KeyError):
            continue
    return value


def _as_sequence(kind: Any, origin: Any, parts: tuple[Any, ...], value: list[Any]) -> Any:
    if kind is tuple or origin is tuple:
        if parts and parts[-1] is not Ellipsis:
            return tuple(_as(part, below) for part, below in zip(parts, value, strict=True))
        return tuple(_as(parts[0], below) if parts else below for below in value)
    return [_as(parts[0], below) for below in value] if parts else value
