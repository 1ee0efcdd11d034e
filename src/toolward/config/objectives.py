"""`objectives/*.yaml`: their shape, what the shape alone can not say, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from toolward.config.convert import suggest
from toolward.config.finder import Finder
from toolward.config.section import Section
from toolward.config.shape import WardConfig
from toolward.config.yamltext import Node
from toolward.errors import WardError
from toolward.model.objective import VERIFY, Bounds, Objective, Step, Success, Verification
from toolward.model.server import FOUND_PREFIX, IN_PROCESS_SERVER
from toolward.rules.objective import NAME_PATTERN, matches

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
ToolPattern = Annotated[
    str,
    Meta(
        pattern=r"^[^/\s*]+/([^/\s*]+\*?|\*)$",
        description="`server/tool`, `server/*` or `server/beginning*`.",
        examples=["sqlite/read_query", "files/read_*"],
    ),
]
Scalar = str | int | bool
_VERIFIED: Final = re.compile(r"[^/\s*]+/[^/\s*]+\Z")


class BoundsConfig(Section, frozen=True):
    """How much one session may do in a step, all its visits together. What is left out is not bounded."""

    calls: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    written: Annotated[int, Meta(ge=0, le=100_000, description="Calls with an effect.")] | None = None
    bytes_out: (
        Annotated[int, Meta(ge=0, le=1 << 40, description="Of arguments of tools that may carry data out.")]
        | None
    ) = None
    time_s: (
        Annotated[int, Meta(ge=1, le=30 * 86_400, description="Since the step was entered first.")] | None
    ) = None


class StepConfig(Section, frozen=True):
    """One part of the work."""

    name: Name
    tools: tuple[ToolPattern, ...]
    decision_critical: Annotated[bool, Meta(description="Every call in it goes the secure path.")] = False
    bounds: BoundsConfig = BoundsConfig()


class VerificationConfig(Section, frozen=True):
    """A call of a tool that only reads, and what it has to answer."""

    tool: Annotated[str, Meta(description="`server/tool`.")]
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    at: Annotated[
        str, Meta(pattern=r"^(/.*)?$", description="JSON pointer into the result; else all of its text.")
    ] = ""
    equals: Annotated[Scalar | None, Meta(description="It must be exactly this.")] = None
    contains: Annotated[str, Meta(description="It must hold this text.")] = ""


class SuccessConfig(Section, frozen=True):
    """What must be so when the session is finished."""

    steps: Annotated[tuple[Name, ...], Meta(description="In each, a tool answered without an error.")] = ()
    tools: Annotated[tuple[ToolPattern, ...], Meta(description="Each answered without an error.")] = ()
    verify: tuple[VerificationConfig, ...] = ()


class ObjectiveFile(Section, frozen=True):
    """`objectives/<name>.yaml`: a declared goal."""

    name: Name
    purpose: Annotated[str, Meta(min_length=1, description="What it is for, in words.")]
    owner: Annotated[str, Meta(min_length=1, description="Who answers for it; never who approves it.")]
    steps: Annotated[tuple[StepConfig, ...], Meta(min_length=1, max_length=64)]
    success: SuccessConfig = SuccessConfig()


def check_objective(
    said: ObjectiveFile, config: WardConfig | None, root: Node, *, file: str
) -> list[WardError]:
    """All findings in `objectives/<name>.yaml` that are between fields or with `toolward.yaml`."""
    finder = Finder(root, file)
    if file != f"objectives/{said.name}.yaml":
        finder.say(("name",), f"`{said.name}` stands in `{file}`", f"name it `objectives/{said.name}.yaml`")
    _check_steps(said, finder)
    for index, verification in enumerate(said.success.verify):
        here = ("success", "verify", index)
        if not _VERIFIED.match(verification.tool):
            finder.say((*here, "tool"), f"`{verification.tool}` is no single tool", "write `server/tool`")
        if verification.equals is None and not verification.contains:
            finder.say(here, "says not what is expected", "give `equals` or `contains`")
    if config is not None:
        known = (*config.servers, IN_PROCESS_SERVER)
        for place, pattern in _patterns(said):
            server = pattern.partition("/")[0]
            if server not in known and not server.startswith(FOUND_PREFIX):  # those come and go
                near = suggest(server, known)
                finder.say(
                    place,
                    f"no server `{server}`",
                    f"did you mean `{near}`?" if near else "declare it under `servers` in toolward.yaml",
                )
    return finder.found


def _check_steps(said: ObjectiveFile, finder: Finder) -> None:
    names: list[str] = []
    for index, step in enumerate(said.steps):
        if step.name == VERIFY:
            finder.say(
                ("steps", index, "name"),
                f"`{VERIFY}` is the step in which success is verified",
                "choose another name",
            )
        if step.name in names:
            finder.say(("steps", index, "name"), f"a second step `{step.name}`", "choose another name")
        names.append(step.name)
    for index, name in enumerate(said.success.steps):
        if name not in names:
            near = suggest(name, names)
            remedy = f"did you mean `{near}`?" if near else f"its steps are {', '.join(names)}"
            finder.say(("success", "steps", index), f"no step `{name}`", remedy)
    patterns = [pattern for step in said.steps for pattern in step.tools]
    for index, tool in enumerate(said.success.tools):
        if tool not in patterns and not any(matches(pattern, tool) for pattern in patterns):
            finder.say(
                ("success", "tools", index),
                f"no step uses `{tool}`, so it could never be called",
                "add it to the `tools` of a step",
            )


def unknown_tools(
    said: ObjectiveFile, root: Node, tools: Mapping[str, str], *, file: str
) -> Iterator[WardError]:
    """Names that no pinned tool has, and tools with an effect that are to verify; `tools` gives effects.

    Of a server of which no tool is known yet, nothing is said.
    """
    finder = Finder(root, file)
    servers = {key.partition("/")[0] for key in tools}
    for place, pattern in _patterns(said):
        server = pattern.partition("/")[0]
        if server in servers and not any(matches(pattern, key) for key in tools):
            near = suggest(pattern, tools)
            remedy = f"did you mean `{near}`?" if near else f"see `toolward tools list --server {server}`"
            finder.say(place, f"`{pattern}` names no tool of `{server}`", remedy)
    for index, verification in enumerate(said.success.verify):
        effect = tools.get(verification.tool, "read_only")
        if effect != "read_only":
            finder.say(
                ("success", "verify", index, "tool"),
                f"`{verification.tool}` is `{effect}`, and what verifies must only read",
                "name a tool that only reads",
            )
    yield from finder.found


def _patterns(said: ObjectiveFile) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every name of tools, and where it stands."""
    for number, step in enumerate(said.steps):
        for index, pattern in enumerate(step.tools):
            yield ("steps", number, "tools", index), pattern
    for index, verification in enumerate(said.success.verify):
        yield ("success", "verify", index, "tool"), verification.tool


def to_objective(said: ObjectiveFile) -> Objective:
    """What the file means."""
    return Objective(
        name=said.name,
        purpose=said.purpose,
        owner=said.owner,
        steps=tuple(
            Step(
                name=step.name,
                tools=step.tools,
                critical=step.decision_critical,
                bounds=Bounds(
                    calls=step.bounds.calls,
                    written=step.bounds.written,
                    bytes_out=step.bounds.bytes_out,
                    time_s=step.bounds.time_s,
                ),
                words=said.purpose,
            )
            for step in said.steps
        ),
        success=Success(
            steps=said.success.steps,
            tools=said.success.tools,
            verify=tuple(
                Verification(
                    tool=each.tool,
                    arguments=each.arguments,
                    at=each.at,
                    equals=each.equals,
                    contains=each.contains,
                )
                for each in said.success.verify
            ),
        ),
    )
