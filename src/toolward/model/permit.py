"""The one object that execution accepts. Only `kernel.mint` makes one."""

from __future__ import annotations

from msgspec import Struct

from toolward.model.call import LabelledCall


class Permit(Struct, frozen=True, kw_only=True):
    """Bound to call, tool version, decision and approvals; good for one execution."""

    permit_id: str
    labelled: LabelledCall
    args_digest: str
    version_digest: str  # "" for actions that name no tool
    policy_digest: str
    policies: tuple[str, ...]
    approvals: tuple[str, ...] = ()
    would: str = ""  # profile `observe`: the reason code that `guarded` would have answered with
