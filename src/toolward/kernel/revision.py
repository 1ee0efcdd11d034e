"""Everything that decides, as one immutable value that is swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolward.model.face import Face
from toolward.model.found import Source
from toolward.model.revision import Revision
from toolward.model.server import ServerBinding
from toolward.model.tool import Channel
from toolward.rules.canonical import canonical
from toolward.rules.policy.profile import Book


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRevision:
    """The revision in force. A reload builds a new one; a call uses the one it began with."""

    digest: str
    profile: str
    channel: Channel
    book: Book
    bindings: Mapping[str, ServerBinding]
    definition_age_max_s: Mapping[str, float] = field(default_factory=dict)  # server -> seconds
    sources: Mapping[str, Source] = field(default_factory=dict)  # of found servers, by name
    shown_as: Face = Face.LIST  # what agents see at the aggregated endpoint
    shown_to: Mapping[str, Face] = field(default_factory=dict)  # agent -> what that one sees instead
    marks: tuple[str, ...] = ()  # `unsafe` settings in force; they stand in every record

    def binding(self, server: str) -> ServerBinding | None:
        """The binding of a configured server."""
        return self.bindings.get(server)

    def declared(self) -> tuple[str, ...]:
        """The servers that were not found: all that is asked for more than tools."""
        return tuple(name for name, binding in self.bindings.items() if not binding.found_by)

    def face(self, agent: str) -> Face:
        """What that agent is shown."""
        return self.shown_to.get(agent, self.shown_as)


def revision_to_json(revision: Revision, pins: Mapping[str, tuple[str, str]], *, activated_ns: int) -> bytes:
    """As stored: the files whole, and each pin's digest and state, so that it can be returned to."""
    return canonical(
        {
            "files": {name: body.decode("utf-8") for name, body in revision.files.items()},
            "pins": {key: {"digest": digest, "state": state} for key, (digest, state) in pins.items()},
            "activated_ns": str(activated_ns),
        }
    )


def revision_from_json(value: Mapping[str, Any]) -> Revision:
    """Files and pins of a stored revision."""
    return Revision(
        files={name: body.encode() for name, body in value["files"].items()},
        pins={key: f"{pin['digest']} {pin['state']}" for key, pin in value["pins"].items()},
    )
