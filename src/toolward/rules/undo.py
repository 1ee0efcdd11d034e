"""Declarations of undo, read back from their canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.model.undo import Compensation, Conflicts, Escrow, Snapshot, ToolUse, Undo


def undo_from_json(value: Mapping[str, Any]) -> Undo:
    """The inverse of `Undo.as_json`. Raises `KeyError` or `ValueError` for anything unknown."""
    snapshot, compensate, escrow = (value.get(name) for name in ("snapshot", "compensate", "escrow"))
    return Undo(
        snapshot=Snapshot(
            use=_use(snapshot["use"]), paths=tuple(snapshot["paths"]), bytes_max=snapshot["bytes_max"]
        )
        if snapshot
        else None,
        compensate=Compensation(
            use=_use(compensate["use"]),
            precondition=_use(compensate["precondition"]),
            window_s=compensate["window_s"],
            attempts_max=compensate["attempts_max"],
            deadline_s=compensate["deadline_s"],
            otherwise=_use(compensate["otherwise"]),
        )
        if compensate
        else None,
        probe=_use(value.get("probe")),
        verify=_use(value.get("verify")),
        preview=_use(value.get("preview")),
        escrow=Escrow(delay_s=escrow["delay_s"], until_seal=escrow["until_seal"]) if escrow else None,
        resources=tuple(value["resources"]),
        conflicts=Conflicts(value["conflicts"]),
    )


def _use(value: Mapping[str, Any] | None) -> ToolUse | None:
    return ToolUse(tool=value["tool"], arguments=value["arguments"]) if value else None
