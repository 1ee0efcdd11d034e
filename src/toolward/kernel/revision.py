"""Everything that decides, as one immutable value that is swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolward.model.revision import Revision
from toolward.model.server import ServerBinding, server_of
from toolward.model.tool import Channel, ToolVersion
from toolward.rules.canonical import canonical
from toolward.rules.policy.profile import Book
from toolward.rules.version import is_bound


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
    review_by: Mapping[str, str] = field(default_factory=dict)  # "server/tool" -> ISO date
    definition_age_max_s: Mapping[str, float] = field(default_factory=dict)  # server -> seconds
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


def revision_to_json(revision: Revision, pins: Mapping[str, tuple[str, str]], *, activated_ns: int) -> bytes:
    """As stored: the files whole, and each pin's digest and state, so that it can be returned to.

    Pins are named `channel/server/name`.
    """
    return canonical(
        {
            "v": 2,
            "files": {name: body.decode("utf-8") for name, body in revision.files.items()},
            "pins": {key: {"digest": digest, "state": state} for key, (digest, state) in pins.items()},
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
        pins={key: f"{pin['digest']} {pin['state']}" for key, pin in value["pins"].items()},
    )
