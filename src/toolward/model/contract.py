"""A recorded example of what a reading tool answers, and what must hold of every answer like it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct


class Must(StrEnum):
    """What must hold of the part of the answer that an expectation points at."""

    EQUAL = "equals"  # exactly this value
    INCLUDE = "includes"  # this, and perhaps more: members of objects, items of lists
    FIT = "schema"  # a JSON Schema
    MATCH = "matches"  # a regular expression, somewhere in the text


class Expectation(Struct, frozen=True, kw_only=True):
    """`at` is a JSON pointer into the result of `tools/call`."""

    at: str
    must: Must
    value: Any


class Contract(Struct, frozen=True, kw_only=True):
    """One example. `name` tells it from others of the same tool."""

    tool: str  # server/name
    name: str
    arguments: Mapping[str, Any]
    expect: tuple[Expectation, ...]

    @property
    def key(self) -> str:
        """`server/tool/name`."""
        return f"{self.tool}/{self.name}"

    def as_json(self) -> dict[str, Any]:
        """Canonical content: another expectation is another contract."""
        return {
            "tool": self.tool,
            "name": self.name,
            "arguments": dict(self.arguments),
            "expect": [{"at": each.at, each.must.value: each.value} for each in self.expect],
        }


class Held(StrEnum):
    """How one try of a contract came out."""

    HOLDS = "holds"
    CHANGED = "changed"  # it held before, and the answer is another one now
    NEVER = "never_held"  # it has not held yet, so nothing changed
    UNABLE = "unable"  # nothing was answered that could be judged


class Verdict(Struct, frozen=True, kw_only=True):
    """One contract, tried once. `text` says why it does not hold, and holds parts of the answer."""

    contract: Contract
    held: Held
    text: str = ""
    call_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """For people."""
        return {
            "tool": self.contract.tool,
            "contract": self.contract.name,
            "verdict": self.held.value,
            "text": self.text,
            "call_id": self.call_id,
        }


PROBE_AGENT: Final = "toolward-probe"
"""The gateway, trying contracts: policy tells it apart by this name, which no key may take."""
CONTRACT_DOOR: Final = "contract"
"""The door of such calls, in their records."""
