"""Everything that decides, as one immutable value that is swapped whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolward.model.face import Face
from toolward.model.found import Source
from toolward.model.label import Confidentiality
from toolward.model.revision import Revision
from toolward.model.server import ServerBinding, server_of
from toolward.model.tool import Channel, ToolVersion
from toolward.rules.canonical import canonical
from toolward.rules.objective import ObjectivePin, pin_from_json
from toolward.rules.policy.profile import Book
from toolward.rules.standing import Declared
from toolward.rules.version import is_bound

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
    identities: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # server with variants -> who may run its tools -> identity
    channels: Mapping[str, Channel] = field(default_factory=dict)  # agent -> its own, where it has one
    clearances: Mapping[str, Confidentiality] = field(default_factory=dict)  # agent -> less than everything
    review_by: Mapping[str, str] = field(default_factory=dict)  # "server/tool" -> ISO date
    definition_age_max_s: Mapping[str, float] = field(default_factory=dict)  # server -> seconds
    sources: Mapping[str, Source] = field(default_factory=dict)  # of found servers, by name
    shown_as: Face = Face.LIST  # what agents see at the aggregated endpoint
    shown_to: Mapping[str, Face] = field(default_factory=dict)  # agent -> what that one sees instead
    objectives: Mapping[str, Declared] = field(default_factory=dict)
    marks: tuple[str, ...] = ()  # `unsafe` settings in force; they stand in every record

    def binding(self, server: str) -> ServerBinding | None:
        """The binding of a configured server."""
        return self.bindings.get(server)

    def upstream(self, name: str) -> ServerBinding | None:
        """The binding of a configured server or of one of its variants."""
        binding = self.bindings.get(server_of(name))
        return binding if binding is None or binding.server == name else binding.variants.get(name)

    def runner(self, version: ToolVersion) -> str | None:
        """The upstream that runs a version: its server, or a variant of it; None when none does any more."""
        known = self.identities.get(version.server)
        if known is None:
            return version.server
        return next((name for name, identity in known.items() if is_bound(version, identity)), None)

    def channel_of(self, agent: str) -> Channel:
        """The channel that an agent is served from."""
        return self.channels.get(agent, self.channel)

    def clearance_of(self, agent: str) -> Confidentiality:
        """The most confidential that an agent may be told; everything, if nobody said otherwise."""
        return self.clearances.get(agent, Confidentiality.CONFIDENTIAL)

    def declared(self) -> tuple[str, ...]:
        """The servers that were not found: all that is asked for more than tools."""
        return tuple(name for name, binding in self.bindings.items() if not binding.found_by)

    def face(self, agent: str) -> Face:
        """What that agent is shown."""
        return self.shown_to.get(agent, self.shown_as)


def revision_to_json(
    revision: Revision,
    pins: Mapping[str, tuple[str, str]],
    objectives: Iterable[ObjectivePin],
    *,
    activated_ns: int,
) -> bytes:
    """As stored: the files whole, and each pin with what it takes to return to it.

    Pins are named `channel/server/name`.
    """
    return canonical(
        {
            "v": 2,
            "files": {name: body.decode("utf-8") for name, body in revision.files.items()},
            "pins": {key: {"digest": digest, "state": state} for key, (digest, state) in pins.items()},
            "objectives": {pin.name: pin.as_json() for pin in objectives},
            "activated_ns": str(activated_ns),
        }
    )


def pins_of(value: Mapping[str, Any], channel: Channel) -> dict[str, tuple[str, str]]:
    """The pins of a stored revision; those of the first format are of `channel`, the only one there was."""
    before = "" if value.get("v", 1) > 1 else f"{channel}/"
    return {f"{before}{key}": (pin["digest"], pin["state"]) for key, pin in value["pins"].items()}


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
