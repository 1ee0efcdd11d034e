"""Inside the cage: load the source, call one function, give back what JSON can hold."""

import sys
import types
from typing import Any

MODULE = "tool"


def call(text: str, filename: str, function: str, arguments: dict[str, Any], convert: str) -> Any:
    """The function's result.

    `convert` is the text of `converting`, for functions that take more than plain JSON, or empty.
    """
    target = load(text, filename)[function]
    if convert:
        space: dict[str, Any] = {"__name__": "converting"}
        exec(compile(convert, "converting.py", "exec", dont_inherit=True), space)  # noqa: S102 -- our own
        arguments = space["arguments_for"](target, arguments)
    value = target(**arguments)
    if hasattr(value, "__await__"):
        import asyncio  # noqa: PLC0415 -- costs a plain function nothing

        value = asyncio.run(_awaited(value))
    return plain(value)


def load(text: str, filename: str) -> dict[str, Any]:
    """The names of the source, as a module that its own classes find again."""
    module = types.ModuleType(MODULE)
    module.__file__ = filename
    sys.modules[MODULE] = module
    exec(compile(text, filename, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 -- what a cage is for
    return module.__dict__


async def _awaited(value: Any) -> Any:
    return await value


def plain(value: Any) -> Any:
    """Dataclasses as objects, enumerations as their values; what else JSON can not hold stays and fails."""
    if isinstance(value, dict):
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(below) for below in value]
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in kind.__dataclass_fields__}
    if hasattr(kind, "__members__"):
        return value.value
    return value
