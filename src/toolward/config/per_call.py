"""Servers whose tools run per call: a Python source file, commands, or WebAssembly modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from toolward.config.finder import Finder
from toolward.config.shape import ServerConfig
from toolward.config.upstream_shape import CommandArgumentConfig, CommandConfig, ModuleConfig
from toolward.errors import WardError
from toolward.model.command import CommandArgument, CommandTool
from toolward.model.module import ModuleTool
from toolward.rules.command import Flaw, flaws_of, flaws_of_arguments

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


MODULE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One module: an interpreter compiled to WebAssembly has half of that."""
_MODULE: Final = b"\0asm\x01\0\0\0"


def to_commands(commands: Mapping[str, CommandConfig]) -> dict[str, CommandTool]:
    """The commands as they run."""
    return {
        name: CommandTool(
            description=command.description,
            argv=command.argv,
            stdin=command.stdin,
            arguments=_to_arguments(command.arguments),
        )
        for name, command in commands.items()
    }


def to_modules(modules: Mapping[str, ModuleConfig], code: Mapping[str, bytes]) -> dict[str, ModuleTool]:
    """The modules as they run, with the content of each file by the file's name."""
    return {
        name: ModuleTool(
            description=module.description,
            file=module.file,
            code=code.get(module.file, b""),
            arguments=_to_arguments(module.arguments),
        )
        for name, module in modules.items()
    }


def _to_arguments(arguments: Mapping[str, CommandArgumentConfig]) -> dict[str, CommandArgument]:
    return {key: CommandArgument(**msgspec.structs.asdict(each)) for key, each in arguments.items()}


def check_per_call(server: ServerConfig, here: tuple[str | int, ...], finder: Finder) -> None:
    """All findings of a server with `functions`, `commands` or `modules`."""
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
    for name, module in to_modules(server.modules, {}).items():
        for path, text, remedy in _flaws_of_module(module):
            finder.say((*here, "modules", name, *path), text, remedy)


def _flaws_of_module(module: ModuleTool) -> Iterator[Flaw]:
    yield from flaws_of_arguments(module.arguments)
    for name, argument in module.arguments.items():
        if argument.may_begin_with_dash:
            yield (
                ("arguments", name, "may_begin_with_dash"),
                "`may_begin_with_dash` means nothing for a module, which has no command line",
                "remove it",
            )


def source_place(text: str, ward: Path, *, endings: tuple[str, ...], what: str) -> tuple[Path, str]:
    """Where a file with code lies, and its name among the ward's files, or '' if it lies elsewhere.

    `what` it is called. Raises `WardError` for a place that no code may come from.
    """
    try:
        place = ward.absolute() / Path(text).expanduser()
    except RuntimeError as error:
        raise WardError(f"`{text}` names no home directory", remedy="write an absolute path") from error
    if not place.is_file():
        raise WardError(f"there is no {what} `{text}`", remedy="write it, or mend its name")
    if ".." in Path(text).parts or not place.is_relative_to(ward.absolute()):
        return place, ""
    name = place.relative_to(ward.absolute()).as_posix()
    if name.startswith(".") or not name.endswith(endings):
        known = " or ".join(f"`{ending}`" for ending in endings)
        raise WardError(f"`{text}` is not a {what} of the ward", remedy=f"name a file that ends in {known}")
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


def check_module(data: bytes, *, file: str) -> list[WardError]:
    """Whether it begins as WebAssembly does. It is compiled when its server is first looked at."""
    if data.startswith(_MODULE):
        return []
    if data.startswith(_MODULE[:4]):
        return [
            WardError(
                "a webassembly component, not a module", file=file, remedy="compile it for `wasm32-wasip1`"
            )
        ]
    if data.lstrip().startswith((b"(", b";;")):
        return []
    return [WardError("not webassembly", file=file, remedy="name a `.wasm` file, or a `.wat` text")]
