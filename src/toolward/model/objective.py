"""Objectives: declared goals with steps, the tools and bounds of each, and what success means."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field

VERIFY: Final = "verify"
"""The step that every objective ends with: nothing is done in it but looking whether it was reached."""


class Bounds(Struct, frozen=True, kw_only=True):
    """How much one session may do in a step, however often it comes back to it; None is without bound."""

    calls: int | None = None
    written: int | None = None  # calls with an effect
    bytes_out: int | None = None  # of the arguments of calls that may carry data out
    time_s: int | None = None  # since the step was entered for the first time

    def as_json(self) -> dict[str, Any]:
        """Canonical content: only what is bounded."""
        parts = {
            "calls": self.calls,
            "written": self.written,
            "bytes_out": self.bytes_out,
            "time_s": self.time_s,
        }
        return {name: bound for name, bound in parts.items() if bound is not None}


class Step(Struct, frozen=True, kw_only=True):
    """One part of the work. `tools` are `server/tool`, `server/*` or `server/beginning*`."""

    name: str
    tools: tuple[str, ...]
    critical: bool = False  # decision-critical: every call in it goes the secure path
    bounds: Bounds = field(default_factory=Bounds)
    reads_only: bool = False  # whatever its tools' names match, nothing with an effect is called
    words: str = ""  # the operator's own, of the objective's file: values that stand in them are proven

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {
            "name": self.name,
            "tools": list(self.tools),
            "decision_critical": self.critical,
            "bounds": self.bounds.as_json(),
        }


class Verification(Struct, frozen=True, kw_only=True):
    """A reading call that shows that the objective was reached: what it answers at `at` is as expected."""

    tool: str  # server/tool
    arguments: dict[str, Any]
    at: str = ""  # JSON pointer into the result; "" is all of its text
    equals: str | int | bool | None = None
    contains: str = ""

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {
            "tool": self.tool,
            "arguments": self.arguments,
            "at": self.at,
            "equals": self.equals,
            "contains": self.contains,
        }


class Success(Struct, frozen=True, kw_only=True):
    """What must be so when a session is finished; nothing said means that finishing it is success."""

    steps: tuple[str, ...] = ()  # in which a tool answered without an error
    tools: tuple[str, ...] = ()  # which answered without an error
    verify: tuple[Verification, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {
            "steps": list(self.steps),
            "tools": list(self.tools),
            "verify": [each.as_json() for each in self.verify],
        }


class Objective(Struct, frozen=True, kw_only=True):
    """A declared goal. `steps` holds at least one; a session begins in the first."""

    name: str
    purpose: str
    owner: str
    steps: tuple[Step, ...]
    success: Success = field(default_factory=Success)

    @property
    def is_critical(self) -> bool:
        """Whether a step of it is decision-critical."""
        return any(step.critical for step in self.steps)

    def step(self, name: str) -> Step | None:
        """The declared step of that name, or the one in which it is verified."""
        if name == VERIFY:
            verify = self.success.verify
            return Step(
                name=VERIFY,
                tools=tuple(each.tool for each in verify),
                critical=self.is_critical,
                reads_only=True,
                words="\n".join(str(value) for each in verify for value in each.arguments.values()),
            )
        return next((step for step in self.steps if step.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """Canonical content: what is approved. The owner can change without it."""
        return {
            "name": self.name,
            "purpose": self.purpose,
            "steps": [step.as_json() for step in self.steps],
            "success": self.success.as_json(),
        }
