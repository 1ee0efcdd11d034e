"""The shape of what a server's entry holds: programs and modules as tools, and its variants."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from toolward.config.section import Section
from toolward.model.command import ArgumentType

VariantId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,31}$", description="Variant id.")]


class CommandArgumentConfig(Section, frozen=True):
    """One argument of a command."""

    type: ArgumentType = ArgumentType.STRING
    description: str = ""
    values: Annotated[tuple[str, ...], Meta(description="The only ones that are taken.")] = ()
    pattern: Annotated[str, Meta(description="A regular expression; `^` and `$` hold it to the whole.")] = ""
    required: bool = True
    may_begin_with_dash: Annotated[
        bool, Meta(description="A value like `-x` is taken, which the program may read as an option.")
    ] = False


class CommandConfig(Section, frozen=True):
    """A program as a tool: its command line, without a shell. `{NAME}` stands for an argument."""

    argv: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Absolute path of the program, then each item.",
            examples=[["/usr/bin/wc", "-l", "--", "{path}"]],
        ),
    ]
    description: str = ""
    stdin: Annotated[str, Meta(description="What the program reads.", examples=["{text}"])] = ""
    arguments: dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], CommandArgumentConfig] = (
        msgspec.field(default_factory=dict)
    )


class ModuleConfig(Section, frozen=True):
    """A WebAssembly module as a tool: it reads its arguments as JSON and writes its result."""

    file: Annotated[
        str, Meta(description="A WASI command, `.wasm` or `.wat`.", examples=["modules/echo.wasm"])
    ]
    description: str = ""
    arguments: dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], CommandArgumentConfig] = (
        msgspec.field(default_factory=dict)
    )


ToolName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]


class VariantConfig(Section, frozen=True):
    """Another version of a server, beside it: what it names is its own, the rest is the server's."""

    package: str | None = None
    entry: str | None = None
    constraints: tuple[str, ...] | None = None
    command: str | None = None
    url: str | None = None
    functions: str | None = None
    requirements: tuple[str, ...] | None = None
    commands: dict[ToolName, CommandConfig] | None = None
    modules: dict[ToolName, ModuleConfig] | None = None
    arguments: tuple[str, ...] | None = None
    env: dict[str, str] | None = None
    headers: dict[str, str] | None = None
    cwd: str | None = None
