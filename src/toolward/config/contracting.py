"""`contracts/<server>.yaml`: recorded examples of what a server's reading tools answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from toolward.config.convert import to_struct
from toolward.config.finder import Finder
from toolward.config.render import emit
from toolward.config.section import Section
from toolward.config.yamltext import FILE_BYTES_MAX, Node, read_yaml
from toolward.errors import WardError
from toolward.model.contract import Contract, Expectation, Must
from toolward.rules.contracts import check_expectation

FOLDER: Final = "contracts"
CONTRACTS_EACH_MAX: Final = 20
"""Examples of one tool: each is a call, again and again."""
_HEAD: Final = (
    "# yaml-language-server: $schema=../.toolward/schema/contract.schema.json\n"
    "# What this server's tools answer: `toolward tools record` adds an example, `tools probe` tries them.\n"
    "# A tool whose answer is another one than it was is quarantined.\n"
)


class ExpectConfig(Section, frozen=True):
    """Exactly one of `equals`, `includes`, `schema` and `matches`."""

    at: Annotated[
        str,
        Meta(description="JSON pointer into the result; left out: all of it.", examples=["/content/0/text"]),
    ] = ""
    equals: Annotated[Any, Meta(description="Exactly this.")] = msgspec.UNSET
    includes: Annotated[Any, Meta(description="This, and perhaps more.")] = msgspec.UNSET
    schema: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    matches: Annotated[str, Meta(description="A regular expression.")] | msgspec.UnsetType = msgspec.UNSET

    def said(self) -> list[tuple[Must, Any]]:
        """What of the four is there."""
        values = {
            Must.EQUAL: self.equals,
            Must.INCLUDE: self.includes,
            Must.FIT: self.schema,
            Must.MATCH: self.matches,
        }
        return [(must, value) for must, value in values.items() if value is not msgspec.UNSET]


class ExampleConfig(Section, frozen=True):
    """One example."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    expect: Annotated[tuple[ExpectConfig, ...], Meta(min_length=1)]
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class ContractFile(Section, frozen=True):
    """`contracts/<server>.yaml`."""

    server: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
    tools: dict[
        Annotated[str, Meta(pattern=r"^[^/\s]{1,128}$")],
        Annotated[tuple[ExampleConfig, ...], Meta(max_length=CONTRACTS_EACH_MAX)],
    ] = msgspec.field(default_factory=dict)


def check_contracts(
    contracts: ContractFile, root: Node, *, file: str, servers: Mapping[str, Any] | None
) -> list[WardError]:
    """Everything in the file that its shape alone can not say."""
    finder = Finder(root, file)
    if file != f"{FOLDER}/{contracts.server}.yaml":
        finder.say(
            ("server",), f"`{contracts.server}` is not the file's name", f"name it {contracts.server}.yaml"
        )
    if servers is not None and contracts.server not in servers and contracts.server != "python":
        finder.say(("server",), f"no server `{contracts.server}`", "declare it under `servers`")
    for tool, examples in contracts.tools.items():
        names = [each.name for each in examples]
        for index, example in enumerate(examples):
            place = ("tools", tool, index)
            if names.index(example.name) != index:
                finder.say((*place, "name"), f"`{example.name}` is there twice", "give it another name")
            for number, expect in enumerate(example.expect):
                if wrong := _wrong(expect):
                    finder.say((*place, "expect", number), wrong, "see docs/contracts.md")
    return finder.found


def _wrong(expect: ExpectConfig) -> str:
    said = expect.said()
    if len(said) != 1:
        return "takes exactly one of `equals`, `includes`, `schema` and `matches`"
    [(must, value)] = said
    return check_expectation(Expectation(at=expect.at, must=must, value=value))


def to_contracts(file: ContractFile) -> tuple[Contract, ...]:
    """The contracts of a file that `check_contracts` found nothing in."""
    return tuple(
        Contract(
            tool=f"{file.server}/{tool}",
            name=example.name,
            arguments=example.arguments,
            expect=tuple(
                Expectation(at=expect.at, must=must, value=value)
                for expect in example.expect
                for must, value in expect.said()
            ),
        )
        for tool, examples in file.tools.items()
        for example in examples
    )


def add_contract(ward: Path, contract: Contract) -> str:
    """Write a contract into its server's file, in the place of one of the same name; returns the file's name.

    Comments in a file that was there are lost, its contracts are kept. Raises `WardError`.
    """
    server, _, tool = contract.tool.partition("/")
    name = f"{FOLDER}/{server}.yaml"
    target = ward / name
    tools: dict[str, list[dict[str, Any]]] = {}
    if target.is_file():
        root, found = read_yaml(target.read_bytes(), file=name)
        file, more = to_struct(root, ContractFile, file=name)
        if file is None or found or more:
            raise [*found, *more][0]
        for each in to_contracts(file):
            tools.setdefault(each.tool.partition("/")[2], []).append(_written(each))
    kept = [each for each in tools.get(tool, []) if each["name"] != contract.name]
    if len(kept) >= CONTRACTS_EACH_MAX:
        raise WardError(
            f"{contract.tool} has {CONTRACTS_EACH_MAX} contracts already", file=name, remedy="remove one"
        )
    tools[tool] = [*kept, _written(contract)]
    target.parent.mkdir(exist_ok=True)
    text = _HEAD + "\n".join(emit({"server": server, "tools": tools})) + "\n"
    if len(text.encode()) > FILE_BYTES_MAX:
        raise WardError(
            f"the answer is too long to be kept: {name} would have {len(text.encode())} bytes",
            file=name,
            remedy="record a call with a shorter answer, or write it by hand with `includes` or `matches`",
        )
    temporary = target.with_name(f".{target.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(target)
    return name


def _written(contract: Contract) -> dict[str, Any]:
    said = contract.as_json()
    return {key: said[key] for key in ("name", "arguments", "expect")}
