"""What servers say on their own initiative, and what the kernel makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolward.kernel.drift import DriftWatch
from toolward.kernel.notices import Notices

LIST_CHANGED = "notifications/tools/list_changed"


@dataclass(frozen=True, slots=True)
class UpstreamNews:
    """`ports.upstream.UpstreamEvents`: a change of definitions is compared before the next call."""

    drift: DriftWatch
    notices: Notices

    def definitions_changed(self, server: str) -> None:
        """The next call to this server waits for a comparison; clients are not told, as no pin changed."""
        self.drift.announce(server)

    def notification(self, server: str, session_id: str, method: str, params: Mapping[str, Any]) -> None:
        """Pass on what belongs to no call; a list change of tools is the gateway's own to announce."""
        if method == LIST_CHANGED:
            self.drift.announce(server)
            return
        self.notices.deliver(server, session_id, method, params)
