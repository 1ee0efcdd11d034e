"""Inside the cage: which functions a source defines, and the JSON Schema of what each takes."""

import collections.abc
import dataclasses
import enum
import inspect
import json
import sys
import types
import typing
from typing import Any

MODULE = "tool"
DEPTH_MAX = 16
"""Nesting of a type; a class that holds itself ends here."""

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)
_OBJECTS = (dict, collections.abc.Mapping)
_UNIONS = (typing.Union, types.UnionType)


class NotATool(Exception):
    """A function that can not be a tool, and why."""


def describe(text: str, filename: str) -> list[dict[str, Any]]:
    """For each public function that the source itself defines: `definition`, and whether it is `plain`.

    A plain function takes what JSON gives; for others arguments are converted. Raises `NotATool`.
    """
    module = types.ModuleType(MODULE)
    module.__file__ = filename
    sys.modules[MODULE] = module
    exec(compile(text, filename, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 -- what a cage is for
    return [
        _tool(name, found)
        for name, found in list(vars(module).items())
        if not name.startswith("_") and inspect.isfunction(found) and found.__module__ == MODULE
    ]


def _tool(name: str, function: Any) -> dict[str, Any]:
    hints = _hints(name, function)
    reader = _Reader(name)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise NotATool(f"`{name}` can not be a tool: `{parameter.name}` can not be given by its name")
        if parameter.name not in hints:
            raise NotATool(f"`{name}` can not be a tool: `{parameter.name}` has no annotation")
        schema = reader.schema(hints[parameter.name], parameter.name)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            schema |= _default(parameter.default)
        properties[parameter.name] = schema
    definition = {
        "name": name,
        "description": inspect.getdoc(function) or "",
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
    }
    return {"definition": definition, "plain": reader.plain}


def _hints(name: str, function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise NotATool(f"`{name}` can not be a tool: its annotations can not be read: {error}") from error


def _default(value: Any) -> dict[str, Any]:
    if isinstance(value, enum.Enum):
        value = value.value
    try:
        return {"default": json.loads(json.dumps(value, allow_nan=False))}
    except (TypeError, ValueError):
        return {}


def _one_of(values: list[Any]) -> dict[str, Any]:
    kinds = {type(value) for value in values}
    known = {_PLAIN[kind] for kind in kinds if kind in _PLAIN}
    return {"enum": values} if len(kinds) > 1 or not known else {"type": known.pop(), "enum": values}


class _Reader:
    """Annotations to JSON Schema, for one function."""

    def __init__(self, function: str) -> None:
        self.plain = True
        self._function = function

    def schema(self, kind: Any, where: str, depth: int = 0) -> dict[str, Any]:
        """The schema of one annotation. Raises `NotATool`."""
        if depth > DEPTH_MAX:
            raise self._no(where, "has a type that is nested without end")
        if kind is Any:
            return {}
        if isinstance(kind, collections.abc.Hashable) and kind in _PLAIN:
            return {"type": _PLAIN[kind]}
        origin, parts = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            texts = [each for each in parts[1:] if isinstance(each, str)]
            said = {"description": texts[0]} if texts else {}
            return {**self.schema(parts[0], where, depth + 1), **said}
        if origin is typing.Literal:
            return _one_of(list(parts))
        if origin in _UNIONS:
            return {"anyOf": [self.schema(part, where, depth + 1) for part in parts]}
        if kind in _LISTS or origin in _LISTS:
            return self._list(origin or kind, parts, where, depth)
        if kind in _OBJECTS or origin in _OBJECTS:
            return self._mapping(parts, where, depth)
        if isinstance(kind, type):
            return self._class(kind, where, depth)
        raise self._no(where, "has a type that JSON can not hold")

    def _list(self, kind: Any, parts: tuple[Any, ...], where: str, depth: int) -> dict[str, Any]:
        if kind is tuple:
            self.plain = False
        if kind is tuple and parts and parts[-1] is not Ellipsis:
            items = [self.schema(part, where, depth + 1) for part in parts]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        return {"type": "array", **({"items": self.schema(parts[0], where, depth + 1)} if parts else {})}

    def _mapping(self, parts: tuple[Any, ...], where: str, depth: int) -> dict[str, Any]:
        if not parts:
            return {"type": "object"}
        if parts[0] is not str:
            raise self._no(where, "has keys that are not text")
        return {"type": "object", "additionalProperties": self.schema(parts[1], where, depth + 1)}

    def _class(self, kind: Any, where: str, depth: int) -> dict[str, Any]:
        if issubclass(kind, enum.Enum):
            self.plain = False
            return _one_of([each.value for each in kind])
        if typing.is_typeddict(kind):
            hints = typing.get_type_hints(kind)
            required = [name for name in hints if name in kind.__required_keys__]
            # it may hold enumerations and dataclasses in turn, which set `plain` by themselves
            return self._fields(hints, required, where, depth)
        if dataclasses.is_dataclass(kind):
            self.plain = False
            fields = [field for field in dataclasses.fields(kind) if field.init]
            hints = typing.get_type_hints(kind, include_extras=True)
            missing = dataclasses.MISSING
            required = [f.name for f in fields if f.default is missing and f.default_factory is missing]
            return self._fields({f.name: hints[f.name] for f in fields}, required, where, depth)
        raise self._no(where, f"has the type `{kind.__name__}`, which JSON can not hold")

    def _fields(self, hints: dict[str, Any], required: list[str], where: str, depth: int) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                name: self.schema(hint, f"{where}.{name}", depth + 1) for name, hint in hints.items()
            },
            "required": required,
            "additionalProperties": False,
        }

    def _no(self, where: str, why: str) -> NotATool:
        return NotATool(f"`{self._function}` can not be a tool: `{where}` {why}")
