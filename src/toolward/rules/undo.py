"""Declarations of undo, read back from their canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.model.tool import Effect, Manifest
from toolward.model.undo import Compensation, Conflicts, Escrow, Snapshot, ToolUse, Undo


def undo_from_json(value: Mapping[str, Any]) -> Undo:
    """The inverse of `Undo.as_json`. Raises `KeyError` or `ValueError` for anything unknown."""
    snapshot, compensate, escrow = (value.get(name) for name in ("snapshot", "compensate", "escrow"))
    return Undo(
        snapshot=Snapshot(
            use=_use(snapshot["use"]),
            paths=tuple(snapshot["paths"]),
            volatile=tuple(snapshot["volatile"]),
            bytes_max=snapshot["bytes_max"],
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


def undo_in_words(manifest: Manifest) -> str:
    """How what the tool does is taken back, for people; '' for a tool that only reads."""
    if manifest.effect is Effect.READ_ONLY:
        return ""
    undo = manifest.undo
    compensate = undo.compensate if undo is not None else None
    if undo is None or compensate is None:
        return "nothing is promised: a rollback leaves what it did, and names it"
    days = compensate.window_s // 86_400
    within = f" within {days} days" if days else f" within {compensate.window_s} s"
    if compensate.use is not None:
        return f"the tool `{compensate.use.tool}` undoes it{within}"
    paths = ", ".join(f"`{path}`" for path in undo.snapshot.paths) if undo.snapshot is not None else ""
    return f"what lay at {paths} is put back{within}"


def _use(value: Mapping[str, Any] | None) -> ToolUse | None:
    return ToolUse(tool=value["tool"], arguments=value["arguments"]) if value else None
