"""Servers that are found at run time, the sources that name them, and what their tools may use up."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from toolward.model.label import Confidentiality
from toolward.model.tool import Effect


class SourceKind(StrEnum):
    """Where a source reads."""

    REGISTRY = "registry"  # the shape of the MCP registry's API
    DIRECTORY = "directory"  # files with descriptions of servers
    PROPOSALS = "proposals"  # what agents propose


class Admission(StrEnum):
    """Who lets a found server in."""

    BY_HAND = "by_hand"  # a person, one by one
    AUTOMATICALLY = "automatically"  # the operator, with the source


class FoundState(StrEnum):
    """Where a found server stands."""

    LISTED = "listed"  # waits for a person
    ADMITTED = "admitted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What calls of found tools may use up."""

    calls: int
    bytes_out: int  # of arguments
    destinations: int  # different hosts and addresses, for what runs elsewhere
    time_s: int  # of running


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source that the operator admitted, and under which terms."""

    name: str
    kind: SourceKind
    place: str = ""  # the registry's URL, or the directory's absolute path
    private_network: bool = False  # what it names may lead to private addresses
    ceiling: Effect = Effect.READ_ONLY
    admission: Admission = Admission.BY_HAND
    confidentiality: Confidentiality = Confidentiality.INTERNAL  # of results
    servers_max: int = 50
    every_s: int = 3600
    session: Budget
    day: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundServer:
    """A server as its source describes it: exactly one of `url`, `package` and `command`, or `unfit`."""

    source: str
    name: str  # as the source names it
    description: str = ""
    version: str = ""
    url: str = ""
    package: str = ""
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    unfit: str = ""  # why it can not run on the open path, in words

    def as_json(self) -> dict[str, Any]:
        """Canonical content for the store and the digest."""
        return {
            "source": self.source,
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "url": self.url,
            "package": self.package,
            "command": list(self.command),
            "arguments": list(self.arguments),
            "unfit": self.unfit,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow:
    """What is known of a found server; `candidate` is what its source says now, where that is another one."""

    server: FoundServer
    state: FoundState
    by: str = ""  # who decided, or proposed it
    since_ns: int = 0
    candidate: FoundServer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one look at a source gave. `refused` are (what, why), bounded like everything else here."""

    servers: tuple[FoundServer, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    left_out: int = 0  # beyond the bounds


@dataclass(slots=True, kw_only=True)
class Spent:
    """What was used up of a budget."""

    calls: int = 0
    bytes_out: int = 0
    time_ms: int = 0
    destinations: set[str] = field(default_factory=set)
