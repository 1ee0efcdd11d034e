"""Servers whose tools run per call: a Python source file, or commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from toolward.config.finder import Finder
from toolward.config.shape import CommandConfig, ServerConfig
from toolward.errors import WardError
from toolward.model.command import CommandArgument, CommandTool
from toolward.rules.command import flaws_of

_PINNED: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*"
)
_OF_PROCESSES: Final = (
    "arguments",
    "env",
    "cwd",
    "headers",
    "private_network",
    "stateless",
    "accepts",
    "unsafe_no_sandbox",
)
"""What says something of a server that is started or connected to; here nothing is before there is a call."""


def to_commands(commands: Mapping[str, CommandConfig]) -> dict[str, CommandTool]:
    """The commands as they run."""
    return {
        name: CommandTool(
            description=command.description,
            argv=command.argv,
            stdin=command.stdin,
            arguments={
                key: CommandArgument(**msgspec.structs.asdict(argument))
                for key, argument in command.arguments.items()
            },
        )
        for name, command in commands.items()
    }


def check_per_call(server: ServerConfig, here: tuple[str | int, ...], finder: Finder) -> None:
    """All findings of a server with `functions` or `commands`."""
    for key in _OF_PROCESSES:
        if getattr(server, key):
            finder.say(
                (*here, key),
                f"`{key}` means nothing for tools that run per call",
                "say what they may touch under `capabilities` in the server's manifest, or remove it",
            )
    for index, requirement in enumerate(server.requirements):
        if not _PINNED.fullmatch(requirement):
            finder.say(
                (*here, "requirements", index), f"`{requirement}` is not pinned", "write `NAME==VERSION`"
            )
    for name, command in to_commands(server.commands).items():
        for path, text, remedy in flaws_of(command):
            finder.say((*here, "commands", name, *path), text, remedy)


def source_place(text: str, ward: Path) -> tuple[Path, str]:
    """Where the source file lies, and its name among the ward's files, or '' if it lies elsewhere.

    Raises `WardError` for a place that no source may come from.
    """
    try:
        place = ward.absolute() / Path(text).expanduser()
    except RuntimeError as error:
        raise WardError(f"`{text}` names no home directory", remedy="write an absolute path") from error
    if not place.is_file():
        raise WardError(f"there is no source file `{text}`", remedy="write it, or mend its name")
    if ".." in Path(text).parts or not place.is_relative_to(ward.absolute()):
        return place, ""
    name = place.relative_to(ward.absolute()).as_posix()
    if name.startswith(".") or not name.endswith(".py"):
        raise WardError(
            f"`{text}` is not a Python source file of the ward", remedy="name a file that ends in `.py`"
        )
    return place, name


def check_source(data: bytes, *, file: str) -> list[WardError]:
    """Whether it can be read as Python. It is not run: that happens in a cage."""
    try:
        _ = ast.parse(data.decode("utf-8"), file)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return [WardError("not utf-8", file=file, line=line, remedy="save it as utf-8")]
    except SyntaxError as error:
        said = f"not Python: {error.msg}"
        return [WardError(said, file=file, line=error.lineno or 0, remedy="mend it")]
    except (ValueError, RecursionError, MemoryError):
        return [WardError("not Python that can be read", file=file, remedy="mend it, or split it")]
    return []
