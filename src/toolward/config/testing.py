"""`tests/*.yaml`: what the policies are to say of calls, and what tools are to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from toolward.config.convert import to_struct
from toolward.config.section import Section
from toolward.config.yamltext import read_yaml
from toolward.errors import WardError

ToolKey = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}/\S.*$", description="`server/tool`.")]


class Expected(StrEnum):
    """What a decision test expects."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class DecisionTest(Section, frozen=True):
    """One call, who makes it, and what the policies are to say."""

    name: Annotated[str, Meta(min_length=1)]
    call: ToolKey
    expect: Expected
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    user: str = "alice"
    agent: str = "agent"
    roles: tuple[str, ...] = ()
    prompt: Annotated[str, Meta(description="What the user said; values in it are proven.")] = ""
    tainted: Annotated[bool, Meta(description="The session has seen something untrusted.")] = False
    reason: Annotated[str, Meta(description="The reason code of the refusal, where it matters.")] = ""


class Answer(Section, frozen=True):
    """What the tool is to answer; what is left out is not looked at."""

    equals: Annotated[Any, Meta(description="`structuredContent`, or the text.")] = None
    contains: Annotated[str, Meta(description="A part of the text.")] = ""
    error: Annotated[bool, Meta(description="It answers with an error.")] = False


class Example(Section, frozen=True):
    """One call of a tool and what it is to answer, tried in the sandbox on copies of the server's roots."""

    name: Annotated[str, Meta(min_length=1)]
    call: ToolKey
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    answer: Answer = Answer()


class TestsFile(Section, frozen=True):
    """`tests/NAME.yaml`."""

    __test__ = False  # no class of tests, whatever a test runner makes of its name
    decisions: tuple[DecisionTest, ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """All tests of a ward, each with its place."""

    __test__ = False
    decisions: tuple[tuple[str, int, DecisionTest], ...] = ()
    examples: tuple[tuple[str, int, Example], ...] = ()


def read_tests(files: Mapping[str, bytes]) -> tuple[Tests, list[WardError]]:
    """The tests of `tests/*.yaml` among a ward's files, and every finding."""
    decisions: list[tuple[str, int, DecisionTest]] = []
    examples: list[tuple[str, int, Example]] = []
    findings: list[WardError] = []
    for name, data in files.items():
        if not name.startswith("tests/"):
            continue
        root, found = read_yaml(data, file=name)
        findings += found
        if root is None:
            continue
        file, found = to_struct(root, TestsFile, file=name)
        findings += found
        if file is not None:
            for index, test in enumerate(file.decisions):
                decisions.append((name, root.at(("decisions", index)).line, test))
            for index, example in enumerate(file.examples):
                examples.append((name, root.at(("examples", index)).line, example))
    return Tests(decisions=tuple(decisions), examples=tuple(examples)), findings
