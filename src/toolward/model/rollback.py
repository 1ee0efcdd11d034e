"""What a session did and how it is taken back: effects, the plan, and how a rollback ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

UNDO_AGENT: Final = "toolward-undo"
"""The agent that undoes; no credential may carry its name."""


class EffectStatus(StrEnum):
    """What is known of a call's effect."""

    OPEN = "open"  # it is on its way
    COMMITTED = "committed"
    FAILED = "failed"  # it had no effect
    UNKNOWN = "unknown"  # it may have had one


class Occasion(StrEnum):
    """What can take a session's work back by itself."""

    FAILURE = "failure"  # its host says that the objective failed
    INCIDENT = "incident"  # a tool that it wrote with was quarantined
    POLICY = "policy"  # a rule with `@rollback` denied one of its calls


class Way(StrEnum):
    """How an effect is undone."""

    TOOL = "tool"  # the manifest's compensating tool
    RESTORE = "restore"  # the paths of its before-image are put back
    NONE = "none"  # nothing was promised


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One call of the journal, as rollback sees it. `order` is the place of its intent in the log."""

    call_id: str
    session_id: str
    tool: str
    version: str
    order: int
    status: EffectStatus
    way: Way
    resources: tuple[str, ...] = ()
    until_ns: int = 0  # the end of the window in which it can be undone
    undone: str = ""  # the rollback that took it back
    accepted: str = ""  # the rollback in which two people let it stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One effect to take back. `after` are the steps that have to be done first."""

    call_id: str
    tool: str
    version: str
    order: int
    way: Way
    resources: tuple[str, ...]
    after: tuple[str, ...] = ()
    certain: bool = True  # False: whether it happened is found out first

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {
            "call_id": self.call_id,
            "tool": self.tool,
            "version": self.version,
            "order": self.order,
            "way": self.way.value,
            "resources": list(self.resources),
            "after": list(self.after),
            "certain": self.certain,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """An effect that stays, and why."""

    call_id: str
    tool: str
    reason: str

    def as_json(self) -> dict[str, str]:
        """Canonical content."""
        return {"call_id": self.call_id, "tool": self.tool, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Computed once from recorded data; its canonical JSON is what the hash is over."""

    session_id: str
    to: str
    steps: tuple[Step, ...]
    residuals: tuple[Residual, ...]

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {
            "session_id": self.session_id,
            "to": self.to,
            "steps": [step.as_json() for step in self.steps],
            "residuals": [each.as_json() for each in self.residuals],
        }


class RollbackState(StrEnum):
    """Where a rollback stands; it ends in exactly one of the last three."""

    RUNNING = "running"
    COMPENSATED = "COMPENSATED"  # nothing that was to be undone is left
    PARTIALLY_COMPENSATED = "PARTIALLY_COMPENSATED"  # what is left can not be undone, or was accepted
    NEEDS_HUMAN = "NEEDS_HUMAN"  # what is left could be undone, and a person has to see to it


class StepState(StrEnum):
    """Where one step stands."""

    WAITING = "waiting"
    BEGUN = "begun"  # written down before anything is touched
    DONE = "done"
    STUCK = "stuck"
    FROZEN = "frozen"  # a step that had to come first is stuck or stays
    ACCEPTED = "accepted"  # two people agreed that the effect stays


def plan_from_json(value: Mapping[str, Any]) -> Plan:
    """The inverse of `Plan.as_json`. Raises `KeyError` or `ValueError`."""
    return Plan(
        session_id=value["session_id"],
        to=value["to"],
        steps=tuple(
            Step(
                call_id=step["call_id"],
                tool=step["tool"],
                version=step["version"],
                order=step["order"],
                way=Way(step["way"]),
                resources=tuple(step["resources"]),
                after=tuple(step["after"]),
                certain=step["certain"],
            )
            for step in value["steps"]
        ),
        residuals=tuple(Residual(**each) for each in value["residuals"]),
    )
