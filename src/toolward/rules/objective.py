"""Objectives as they are declared: their names, what is approved of them, and whether they were reached."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from toolward.errors import WardError
from toolward.model.objective import Objective, Verification
from toolward.rules.canonical import canonical
from toolward.rules.recorded import at_pointer, text_of

NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
_NAME: Final = re.compile(NAME_PATTERN)


def is_name(objective: str) -> bool:
    """Whether an objective has the form of a name, and so has to be declared.

    All other text is the host's own words. So a misspelt name is no objective without steps, and text can
    never stand for a declared objective in a policy.
    """
    return _NAME.match(objective) is not None and not objective.endswith("\n")


def matches(pattern: str, key: str) -> bool:
    """Whether `server/tool`, `server/*` or `server/beginning*` names the tool `key`."""
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """All that an objective is approved with: itself, what its tools are, and the policies that name it."""

    definition: str  # digest
    tools: Mapping[str, str]  # server/tool -> version digest
    policies: Mapping[str, str]  # id -> digest

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over all of it."""
        return _sha256(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {"definition": self.definition, "tools": dict(self.tools), "policies": dict(self.policies)}

    def changes(self, approved: Composition) -> list[str]:
        """What is not as it was approved, in words."""
        said = ["the objective itself"] if self.definition != approved.definition else []
        for what, now, then in (
            ("the tool", self.tools, approved.tools),
            ("the policy", self.policies, approved.policies),
        ):
            said += [
                f"{what} {name}"
                for name in sorted(now.keys() | then.keys())
                if now.get(name) != then.get(name)
            ]
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectivePin:
    """One objective as it was approved for one channel."""

    name: str
    composition: Composition
    approved_by: str  # the user
    since_ns: int
    evidence: tuple[str, ...] = ()  # sessions that reached it in the channel before

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        return {
            "name": self.name,
            **self.composition.as_json(),
            "approved_by": self.approved_by,
            "since_ns": str(self.since_ns),
            "evidence": list(self.evidence),
        }


def pin_from_json(value: Mapping[str, Any]) -> ObjectivePin:
    """The inverse of `ObjectivePin.as_json`."""
    return ObjectivePin(
        name=value["name"],
        composition=Composition(
            definition=value["definition"], tools=value["tools"], policies=value["policies"]
        ),
        approved_by=value["approved_by"],
        since_ns=int(value["since_ns"]),
        evidence=tuple(value["evidence"]),
    )


def compose(
    objective: Objective, *, tools: Mapping[str, str], policies: Iterable[tuple[str, str, bytes]]
) -> Composition:
    """The composition under these pins (server/tool -> digest) and policies (id, text, digest).

    A policy names an objective by its name as a literal.
    """
    patterns = [pattern for step in objective.steps for pattern in step.tools]
    patterns += [each.tool for each in objective.success.verify]
    return Composition(
        definition=_sha256(objective.as_json()),
        tools={key: tools[key] for key in sorted(tools) if any(matches(each, key) for each in patterns)},
        policies={name: digest.hex() for name, text, digest in policies if f'"{objective.name}"' in text},
    )


def _sha256(content: Mapping[str, Any]) -> str:
    return "sha256:" + hashlib.sha256(canonical(content)).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a session did, as the record has it: where a tool answered without an error, and which."""

    steps: Collection[str] = ()
    tools: Collection[str] = ()
    unverified: Collection[str] = field(default_factory=list)  # what verifying found, in words


def not_reached(objective: Objective, seen: Seen) -> list[str]:
    """What is missing to success, in words; empty when the objective was reached."""
    success = objective.success
    missing = [f"the step `{step}` did nothing" for step in success.steps if step not in seen.steps]
    missing += [
        f"{pattern} was not called with success"
        for pattern in success.tools
        if not any(matches(pattern, key) for key in seen.tools)
    ]
    return [*missing, *seen.unverified]


def unexpected(verification: Verification, result: Mapping[str, Any]) -> str:
    """Why a result is not the expected one, in words; "" when it is."""
    if result.get("isError") is True:
        return f"{verification.tool} answered with an error"
    try:
        found = at_pointer(verification.at, result) if verification.at else text_of(result)
    except WardError:
        return f"{verification.tool} answered nothing at `{verification.at}`"
    if verification.equals is not None and (
        type(found) is not type(verification.equals) or found != verification.equals
    ):
        return f"{verification.tool} answered something else than `{verification.equals}`"
    if verification.contains and verification.contains not in str(found):
        return f"{verification.tool} answered without `{verification.contains}`"
    return ""
