"""Everything that decides, as one immutable value that is swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolward.model.server import ServerBinding
from toolward.model.tool import Channel
from toolward.rules.policy import PolicyBook


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRevision:
    """The revision in force. A reload builds a new one; a call uses the one it began with."""

    digest: str
    profile: str
    channel: Channel
    book: PolicyBook
    bindings: Mapping[str, ServerBinding]
    definition_age_max_s: Mapping[str, float] = field(default_factory=dict)  # server -> seconds
    marks: tuple[str, ...] = ()  # `unsafe` settings in force; they stand in every record

    def binding(self, server: str) -> ServerBinding | None:
        """The binding of a configured server."""
        return self.bindings.get(server)
