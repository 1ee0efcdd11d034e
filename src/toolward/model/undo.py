"""What the operator says of a tool's effect: how it is known, undone, held back, and what it touches.

Arguments of other tools are given as a map from their name to a JSON pointer (RFC 6901) into recorded data:
`/input/…` the call's arguments, `/output/…` its result, `/snapshot/…` the before-image, `/key` the key of the
step. A literal stands as `{"value": …}`. No model is ever asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SNAPSHOT_BYTES_LIMIT = 32 * 1024 * 1024
"""The largest that a manifest may ask for: it is held in memory for a moment, by the gateway too."""
SNAPSHOT_BYTES_MAX = 16 * 1024 * 1024
"""A before-image, where the manifest says nothing: it is kept, encrypted, with the call's record."""
UNDO_WINDOW_S = 30 * 86_400
UNDO_ATTEMPTS_MAX = 5
UNDO_DEADLINE_S = 300


class Conflicts(StrEnum):
    """What becomes of a call whose resource another live session has changed and not sealed."""

    SERIALIZE = "serialize"  # it waits, for a bounded time
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool of the same server and the arguments that recorded data gives it."""

    tool: str
    arguments: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {"tool": self.tool, "arguments": dict(self.arguments)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The before-image: what a tool says, or what lies at paths (argument templates as in capabilities)."""

    use: ToolUse | None = None
    paths: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()  # of these, what merely looking may change: put back, not compared
    bytes_max: int = SNAPSHOT_BYTES_MAX

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {
            "use": self.use.as_json() if self.use else None,
            "paths": list(self.paths),
            "volatile": list(self.volatile),
            "bytes_max": self.bytes_max,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How the effect is undone: by a tool, or (`use` is None) by putting the paths of the snapshot back.

    Before it runs, the resource must be as the call left it: for paths their digest, for tools what
    `precondition` answered after the call.
    """

    use: ToolUse | None = None
    precondition: ToolUse | None = None
    window_s: int = UNDO_WINDOW_S
    attempts_max: int = UNDO_ATTEMPTS_MAX
    deadline_s: int = UNDO_DEADLINE_S
    otherwise: ToolUse | None = None  # tried once when `use` is stuck

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {
            "use": self.use.as_json() if self.use else None,
            "precondition": self.precondition.as_json() if self.precondition else None,
            "window_s": self.window_s,
            "attempts_max": self.attempts_max,
            "deadline_s": self.deadline_s,
            "otherwise": self.otherwise.as_json() if self.otherwise else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Escrow:
    """An irreversible effect waits `delay_s`, or for its session's seal; till then it can be cancelled."""

    delay_s: int = 0
    until_seal: bool = False

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        return {"delay_s": self.delay_s, "until_seal": self.until_seal}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """All of it. Empty means: nothing is known, so nothing is promised."""

    snapshot: Snapshot | None = None
    compensate: Compensation | None = None
    probe: ToolUse | None = None  # read-only: did the effect happen?
    verify: ToolUse | None = None  # read-only: asked after the effect and after its compensation
    preview: ToolUse | None = None  # free of effects: what would happen, for the approver
    escrow: Escrow | None = None
    resources: tuple[str, ...] = ()  # templates of what is touched: `file:{arg:path}`, `db:orders`
    conflicts: Conflicts = Conflicts.REFUSE

    def as_json(self) -> dict[str, Any]:
        """Canonical content."""
        parts = (self.snapshot, self.compensate, self.probe, self.verify, self.preview, self.escrow)
        names = ("snapshot", "compensate", "probe", "verify", "preview", "escrow")
        out: dict[str, Any] = {
            name: part.as_json() for name, part in zip(names, parts, strict=True) if part is not None
        }
        return {**out, "resources": list(self.resources), "conflicts": self.conflicts.value}
