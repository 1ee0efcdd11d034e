"""Everything that decides, as one immutable value that is swapped whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolward.model.revision import Revision
from toolward.model.server import ServerBinding
from toolward.model.tool import Channel
from toolward.rules.canonical import canonical
from toolward.rules.objective import ObjectivePin, pin_from_json
from toolward.rules.policy.profile import Book
from toolward.rules.standing import Declared

OBJECTIVE_PIN = "objective:"
"""Before the name of an objective among pins; no server's name holds a colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRevision:
    """The revision in force. A reload builds a new one; a call uses the one it began with."""

    digest: str
    profile: str
    channel: Channel
    book: Book
    bindings: Mapping[str, ServerBinding]
    definition_age_max_s: Mapping[str, float] = field(default_factory=dict)  # server -> seconds
    objectives: Mapping[str, Declared] = field(default_factory=dict)
    marks: tuple[str, ...] = ()  # `unsafe` settings in force; they stand in every record

    def binding(self, server: str) -> ServerBinding | None:
        """The binding of a configured server."""
        return self.bindings.get(server)


def revision_to_json(
    revision: Revision,
    pins: Mapping[str, tuple[str, str]],
    objectives: Iterable[ObjectivePin],
    *,
    activated_ns: int,
) -> bytes:
    """As stored: the files whole, and each pin with what it takes to return to it."""
    return canonical(
        {
            "files": {name: body.decode("utf-8") for name, body in revision.files.items()},
            "pins": {key: {"digest": digest, "state": state} for key, (digest, state) in pins.items()},
            "objectives": {pin.name: pin.as_json() for pin in objectives},
            "activated_ns": str(activated_ns),
        }
    )


def revision_from_json(value: Mapping[str, Any]) -> Revision:
    """Files and pins of a stored revision."""
    return Revision(
        files={name: body.encode() for name, body in value["files"].items()},
        pins={key: f"{pin['digest']} {pin['state']}" for key, pin in value["pins"].items()}
        | {f"{OBJECTIVE_PIN}{pin.name}": pin.composition.digest for pin in objectives_of(value)},
    )


def objectives_of(value: Mapping[str, Any]) -> list[ObjectivePin]:
    """The objectives that were approved under a stored revision; earlier versions knew none."""
    return [pin_from_json(pin) for pin in value.get("objectives", {}).values()]
