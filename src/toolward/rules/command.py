"""From a command's template and one call's arguments to the command line that runs. Text only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from toolward.errors import BadArguments
from toolward.model.command import ArgumentType, CommandArgument, CommandTool
from toolward.model.module import ModuleTool

END_OF_OPTIONS: Final = "--"
"""After this item programs take nothing for an option; an operator who writes it says that this one does."""
_PART: Final = re.compile(r"\{\{|\}\}|\{[A-Za-z_][A-Za-z0-9_]*\}|[{}]|[^{}]+")
_SHORTEST_PLACEHOLDER: Final = len("{n}")

Flaw = tuple[tuple[str | int, ...], str, str]
"""Where in the command (a path of keys), what is wrong, what to do."""


def definition_of(name: str, tool: CommandTool | ModuleTool) -> dict[str, Any]:
    """The tool as it is listed; how it runs is not in it."""
    return {
        "name": name,
        "description": tool.description,
        "inputSchema": {
            "type": "object",
            "properties": {key: _schema(argument) for key, argument in tool.arguments.items()},
            "required": [key for key, argument in tool.arguments.items() if argument.required],
            "additionalProperties": False,
        },
    }


def command_line(command: CommandTool, arguments: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """The command line, and what stands on stdin.

    Raises `BadArguments` for a value that the program could take for an option, or that no command line
    can hold.
    """
    line: list[str] = []
    ended = False
    for template in command.argv:
        for item in _items(template, command, arguments):
            _check_item(item, template, command, ended=ended)
            line.append(item)
        ended = ended or template == END_OF_OPTIONS
    return tuple(line), "".join(_texts(command.stdin, arguments) or ())


def flaws_of(command: CommandTool) -> Iterator[Flaw]:
    """What is wrong with a command before there is a call."""
    if not command.argv[0].startswith("/") or len(_parts(command.argv[0])) != 1:
        yield (
            ("argv", 0),
            f"the program `{command.argv[0]}` is not an absolute path",
            "write where it lies, such as `/usr/bin/wc`; an argument never chooses the program",
        )
    used: set[str] = set()
    for index, template in enumerate(command.argv):
        yield from _flaws_in(template, command, ("argv", index))
        used |= _names(template)
    yield from _flaws_in(command.stdin, command, ("stdin",))
    used |= _names(command.stdin)
    for name in [each for each in command.arguments if each not in used]:
        yield (
            ("arguments", name),
            f"`{name}` stands nowhere in `argv` or `stdin`",
            f"use `{{{name}}}`, or remove it",
        )
    yield from flaws_of_arguments(command.arguments)


def flaws_of_arguments(arguments: Mapping[str, CommandArgument]) -> Iterator[Flaw]:
    """What is wrong with the arguments of a command or a module by themselves."""
    for name, argument in arguments.items():
        here = ("arguments", name)
        if (argument.values or argument.pattern) and argument.type is not ArgumentType.STRING:
            yield here, "`values` and `pattern` are for a `string`", "remove them, or make it a `string`"
        try:
            re.compile(argument.pattern)
        except re.error as error:
            yield (*here, "pattern"), f"not a regular expression: {error}", "mend it"


# --- parts -------------------------------------------------------------------------------------------


def _schema(argument: CommandArgument) -> dict[str, Any]:
    out: dict[str, Any] = {"type": argument.type.value}
    if argument.type is ArgumentType.ARRAY:
        out["items"] = {"type": "string"}
    if argument.description:
        out["description"] = argument.description
    if argument.values:
        out["enum"] = list(argument.values)
    if argument.pattern:
        out["pattern"] = argument.pattern
    return out


def _parts(template: str) -> list[str]:
    return _PART.findall(template)


def _is_placeholder(part: str) -> bool:
    return len(part) >= _SHORTEST_PLACEHOLDER and part[0] == "{" and part[1] != "{"


def _names(template: str) -> set[str]:
    return {part[1:-1] for part in _parts(template) if _is_placeholder(part)}


def _flaws_in(template: str, command: CommandTool, here: tuple[str | int, ...]) -> Iterator[Flaw]:
    parts = _parts(template)
    if any(part in {"{", "}"} for part in parts) or "\x00" in template:
        yield here, f"`{template}` has a brace without its pair", "write `{{` or `}}` for a brace itself"
    for name in sorted(_names(template)):
        argument = command.arguments.get(name)
        if argument is None:
            yield (
                here,
                f"`{{{name}}}` names no argument",
                "declare it under `arguments`, or write `{{` for a brace",
            )
        elif argument.type is ArgumentType.ARRAY and (len(parts) != 1 or here[0] == "stdin"):
            yield here, f"`{name}` is a list and needs an item of its own", f"write the item `{{{name}}}`"


def _items(template: str, command: CommandTool, arguments: Mapping[str, Any]) -> list[str]:
    """What one item of the template becomes: one item; several for a list; none for what was left out."""
    parts = _parts(template)
    if len(parts) == 1 and _is_placeholder(parts[0]):
        name = parts[0][1:-1]
        if command.arguments[name].type is ArgumentType.ARRAY:
            return [_text(name, each) for each in arguments.get(name) or ()]
    texts = _texts(template, arguments)
    return [] if texts is None else ["".join(texts)]


def _texts(template: str, arguments: Mapping[str, Any]) -> list[str] | None:
    """The parts, filled in, or None if one names an argument that was left out."""
    out: list[str] = []
    for part in _parts(template):
        if not _is_placeholder(part):
            out.append(part[0] if part in {"{{", "}}"} else part)
            continue
        name = part[1:-1]
        if name not in arguments:
            return None
        out.append(_text(name, arguments[name]))
    return out


def _text(name: str, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str() if "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value):
            return value
        case _:
            raise BadArguments(
                f"`{name}` can not stand on a command line", remedy="send plain text without nul characters"
            )


def _check_item(item: str, template: str, command: CommandTool, *, ended: bool) -> None:
    """No value becomes an option: neither one that stands alone, nor the beginning of an item."""
    parts = _parts(template)
    if ended or not item.startswith("-") or not parts or not _is_placeholder(parts[0]):
        return
    name = parts[0][1:-1]
    if not command.arguments[name].may_begin_with_dash:
        raise BadArguments(
            f"`{name}` begins with `-`, which the program could take for an option",
            remedy="send it without; for a file in the working directory write `./` before it",
        )
