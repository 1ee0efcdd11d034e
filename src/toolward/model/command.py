"""A program of this machine as a tool: what its caller may say, and where that stands on its command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ArgumentType(StrEnum):
    """What JSON an argument is; `array` is a list of texts, each of which is one item of the command line."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandArgument:
    """One argument of a command."""

    type: ArgumentType = ArgumentType.STRING
    description: str = ""
    values: tuple[str, ...] = ()  # the only ones that are taken; empty: any
    pattern: str = ""  # a regular expression that it matches
    required: bool = True
    may_begin_with_dash: bool = False  # then the program may take it for an option


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTool:
    """One program with a fixed command line.

    In `argv` and `stdin`, `{NAME}` stands for an argument and `{{`, `}}` for braces. An item of `argv`
    that names an argument which was left out is left out itself. There is no shell.
    """

    description: str
    argv: tuple[str, ...]
    stdin: str = ""
    arguments: Mapping[str, CommandArgument] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What is run, for the identity of the server: what callers see of it is in the definition."""
        dashes = sorted(name for name, each in self.arguments.items() if each.may_begin_with_dash)
        return {
            "argv": list(self.argv),
            **({"stdin": self.stdin} if self.stdin else {}),
            **({"may_begin_with_dash": dashes} if dashes else {}),
        }
