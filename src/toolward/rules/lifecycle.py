"""What a new look at a server's definitions means for its pins: a table, not a feeling."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from toolward.model.tool import ToolState, ToolVersion


class Change(StrEnum):
    """What one comparison found for one tool."""

    SAME = "same"
    NEW = "new"  # never seen under this name: proposed, never served before approval (a rename lands here)
    DRIFTED = "drifted"  # the server changed it: quarantined at once
    REDESCRIBED = "redescribed"  # the operator changed the manifest: proposed, the pin goes on serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What a channel serves for one tool. `candidate` is the newest other version that was seen."""

    server: str
    name: str
    digest: str
    state: ToolState
    candidate: str = ""
    approved_by: str = ""
    since_ns: int = 0

    @property
    def key(self) -> str:
        """`server/name`."""
        return f"{self.server}/{self.name}"


def compare(pin: Pin | None, pinned: ToolVersion | None, seen: ToolVersion) -> Change:
    """Which change it is. Definition and binding belong to the server, the manifest to the operator."""
    if pin is None or pinned is None:
        return Change.NEW
    if pinned.definition == seen.definition and pinned.binding == seen.binding:
        return Change.SAME if pinned.digest == seen.digest else Change.REDESCRIBED
    return Change.DRIFTED


NEXT_STATE: dict[tuple[ToolState, Change], ToolState] = {
    (ToolState.DISCOVERED, Change.SAME): ToolState.DISCOVERED,
    (ToolState.DISCOVERED, Change.DRIFTED): ToolState.DISCOVERED,
    (ToolState.DISCOVERED, Change.REDESCRIBED): ToolState.DISCOVERED,
    (ToolState.PROPOSED, Change.SAME): ToolState.PROPOSED,
    (ToolState.PROPOSED, Change.DRIFTED): ToolState.PROPOSED,
    (ToolState.PROPOSED, Change.REDESCRIBED): ToolState.PROPOSED,
    (ToolState.APPROVED, Change.SAME): ToolState.APPROVED,
    (ToolState.APPROVED, Change.DRIFTED): ToolState.QUARANTINED,
    (ToolState.APPROVED, Change.REDESCRIBED): ToolState.APPROVED,
    (ToolState.QUARANTINED, Change.SAME): ToolState.QUARANTINED,
    (ToolState.QUARANTINED, Change.DRIFTED): ToolState.QUARANTINED,
    (ToolState.QUARANTINED, Change.REDESCRIBED): ToolState.QUARANTINED,
    (ToolState.REVOKED, Change.SAME): ToolState.REVOKED,
    (ToolState.REVOKED, Change.DRIFTED): ToolState.REVOKED,
    (ToolState.REVOKED, Change.REDESCRIBED): ToolState.REVOKED,
}
"""Only a person leads out of quarantine or revocation; a server that changes back does not."""
