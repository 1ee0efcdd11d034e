"""What a manifest says of undoing a tool's effect: the shape, and what it means."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from toolward.config.section import Section
from toolward.model import undo
from toolward.model.undo import Compensation, Conflicts, Escrow, Snapshot, ToolUse, Undo

Arguments = Annotated[
    dict[str, Any],
    Meta(
        description="Name -> JSON pointer into `/input`, `/output`, `/snapshot` or `/key`; "
        "a literal is written `{value: …}`."
    ),
]


class ToolUseConfig(Section, frozen=True):
    """A tool of the same server, and what its arguments are taken from."""

    tool: Annotated[str, Meta(pattern=r"^[^/\s]{1,128}$")]
    arguments: Arguments = msgspec.field(default_factory=dict)


class SnapshotConfig(Section, frozen=True):
    """The before-image: what a tool answers, or what lies at these paths."""

    tool: str = ""
    arguments: Arguments = msgspec.field(default_factory=dict)
    paths: Annotated[
        tuple[str, ...],
        Meta(
            description="Absolute paths, `{arg:NAME}`, `{dir:NAME}`, `{env:NAME}`, `{option:--NAME}` or "
            "`{roots}`; inside the server's roots."
        ),
    ] = ()
    volatile: Annotated[
        tuple[str, ...],
        Meta(
            description="Of these paths, what merely looking at them may change: put back, and not compared "
            "before.",
            examples=["{arg:repo_path}/.git/index"],
        ),
    ] = ()
    bytes_max: Annotated[int, Meta(ge=1, le=undo.SNAPSHOT_BYTES_LIMIT)] = undo.SNAPSHOT_BYTES_MAX


class CompensateConfig(Section, frozen=True):
    """How it is undone: by a tool, or by `restore: true`, which puts the snapshot's paths back."""

    tool: str = ""
    arguments: Arguments = msgspec.field(default_factory=dict)
    restore: bool = False
    precondition: Annotated[
        ToolUseConfig | None,
        Meta(
            description="A reading tool: it must answer as it did right after the call, or nothing is undone."
        ),
    ] = None
    otherwise: Annotated[
        ToolUseConfig | None, Meta(description="Tried once when the first way is stuck.")
    ] = None
    window_s: Annotated[int, Meta(ge=1, le=366 * 86_400)] = undo.UNDO_WINDOW_S
    attempts_max: Annotated[int, Meta(ge=1, le=100)] = undo.UNDO_ATTEMPTS_MAX
    deadline_s: Annotated[int, Meta(ge=1, le=86_400)] = undo.UNDO_DEADLINE_S


class EscrowConfig(Section, frozen=True):
    """How long an irreversible effect is held, so that it can be cancelled."""

    delay_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 0
    until_seal: Annotated[bool, Meta(description="Until the session is sealed.")] = False


class UndoConfig(Section, frozen=True):
    """All that is said of one tool; each part is optional."""

    snapshot: SnapshotConfig | None = None
    compensate: CompensateConfig | None = None
    probe: Annotated[ToolUseConfig | None, Meta(description="A reading tool: did the effect happen?")] = None
    verify: ToolUseConfig | None = None
    preview: Annotated[ToolUseConfig | None, Meta(description="Shown to the approver; free of effects.")] = (
        None
    )
    escrow: EscrowConfig | None = None
    resources: Annotated[
        tuple[str, ...],
        Meta(description="What is touched: text with `{arg:NAME}`.", examples=["file:{arg:path}"]),
    ] = ()
    conflicts: Conflicts = Conflicts.REFUSE


def to_undo(config: UndoConfig) -> Undo:
    """What is declared; what only its shape can not tell is checked by `checks`."""
    snapshot, compensate, escrow = config.snapshot, config.compensate, config.escrow
    return Undo(
        snapshot=Snapshot(
            use=ToolUse(tool=snapshot.tool, arguments=snapshot.arguments) if snapshot.tool else None,
            paths=snapshot.paths,
            volatile=snapshot.volatile,
            bytes_max=snapshot.bytes_max,
        )
        if snapshot
        else None,
        compensate=Compensation(
            use=ToolUse(tool=compensate.tool, arguments=compensate.arguments) if compensate.tool else None,
            precondition=_use(compensate.precondition),
            window_s=compensate.window_s,
            attempts_max=compensate.attempts_max,
            deadline_s=compensate.deadline_s,
            otherwise=_use(compensate.otherwise),
        )
        if compensate
        else None,
        probe=_use(config.probe),
        verify=_use(config.verify),
        preview=_use(config.preview),
        escrow=Escrow(delay_s=escrow.delay_s, until_seal=escrow.until_seal) if escrow else None,
        resources=config.resources,
        conflicts=config.conflicts,
    )


def from_undo(declared: Undo) -> UndoConfig:
    """The inverse of `to_undo`, for writing a manifest."""
    snapshot, compensate, escrow = declared.snapshot, declared.compensate, declared.escrow
    return UndoConfig(
        snapshot=SnapshotConfig(
            tool=snapshot.use.tool if snapshot.use else "",
            arguments=dict(snapshot.use.arguments) if snapshot.use else {},
            paths=snapshot.paths,
            volatile=snapshot.volatile,
            bytes_max=snapshot.bytes_max,
        )
        if snapshot
        else None,
        compensate=CompensateConfig(
            tool=compensate.use.tool if compensate.use else "",
            arguments=dict(compensate.use.arguments) if compensate.use else {},
            restore=compensate.use is None,
            precondition=_said(compensate.precondition),
            otherwise=_said(compensate.otherwise),
            window_s=compensate.window_s,
            attempts_max=compensate.attempts_max,
            deadline_s=compensate.deadline_s,
        )
        if compensate
        else None,
        probe=_said(declared.probe),
        verify=_said(declared.verify),
        preview=_said(declared.preview),
        escrow=EscrowConfig(delay_s=escrow.delay_s, until_seal=escrow.until_seal) if escrow else None,
        resources=declared.resources,
        conflicts=declared.conflicts,
    )


def _use(config: ToolUseConfig | None) -> ToolUse | None:
    return ToolUse(tool=config.tool, arguments=config.arguments) if config else None


def _said(use: ToolUse | None) -> ToolUseConfig | None:
    return ToolUseConfig(tool=use.tool, arguments=dict(use.arguments)) if use else None
