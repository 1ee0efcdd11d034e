"""What servers say on their own initiative, and what the kernel makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolward.kernel.registry.drift import DriftWatch
from toolward.kernel.upstream.notices import Notices
from toolward.model.server import server_of

LIST_CHANGED = "notifications/tools/list_changed"
_BARE = ("notifications/resources/list_changed", "notifications/prompts/list_changed")
_UPDATED = "notifications/resources/updated"


@dataclass(frozen=True, slots=True)
class UpstreamNews:
    """`ports.upstream.UpstreamEvents`: a change of definitions is compared before the next call."""

    drift: DriftWatch
    notices: Notices

    def definitions_changed(self, server: str) -> None:
        """The next call to this server waits for a comparison; clients are not told, as no pin changed."""
        self.drift.announce(server)

    def notification(self, server: str, session_id: str, method: str, params: Mapping[str, Any]) -> None:
        """Pass on that something changed, and nothing that a server could say to a model that way.

        A list change of tools is the gateway's own to announce. Texts (`notifications/message`) that belong
        to no call are dropped: no session has a record to label them with.
        """
        if method == LIST_CHANGED:
            self.drift.announce(server)
        elif method in _BARE:
            self.notices.deliver(server_of(server), session_id, method, {})
        elif method == _UPDATED and isinstance(params.get("uri"), str):
            kept = {key: params[key] for key in ("uri", "_meta") if key in params}
            self.notices.deliver(server_of(server), session_id, method, kept)
