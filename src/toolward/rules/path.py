"""Which of the two paths a call takes, and why: computed here and nowhere else.

A call is secure if what it serves is decision-critical, an argument is confidential, or an approved tool does
more than read. A reason can only be added: nothing moves a call to the open path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from toolward.errors import Reason, ReasonCode
from toolward.model.tool import Effect, Path, ToolState


@dataclass(frozen=True, slots=True)
class Choice:
    """A path, and in words why it is that one."""

    path: Path
    why: str


_CONFIDENTIAL: Final = Choice(Path.SECURE, "an argument is confidential")
_DOES_MORE: Final = Choice(Path.SECURE, "an approved tool that does more than read")
_FOUND: Final = Choice(Path.OPEN, "a tool that was found and nobody approved yet")
_READS: Final = Choice(Path.OPEN, "an approved tool that only reads")
_NO_TOOL: Final = Choice(Path.OPEN, "no tool is called")
WISHED: Final = "the caller's host moved it there"


def choose_path(
    *, critical: str, confidential: bool, state: ToolState | None, effect: Effect | None
) -> Choice:
    """The path of a call. `critical` says why what it serves is decision-critical, "" if it is not.

    `effect` and `state` are the tool's; None where no tool is called.
    """
    if critical:
        return Choice(Path.SECURE, critical)
    if confidential:
        return _CONFIDENTIAL
    if effect is None:
        return _NO_TOOL
    if is_discovered(state):
        return _FOUND
    return _READS if effect is Effect.READ_ONLY else _DOES_MORE


def critical_step(objective: str, step: str) -> str:
    """Why a call in such a step is decision-critical, in words."""
    return f"the step `{step}` of `{objective}` is decision-critical"


def moved_by(policy: str) -> str:
    """Why a call that a policy moved is decision-critical, in words."""
    return f"policy `{policy}` moves it there"


def is_discovered(state: ToolState | None) -> bool:
    """Whether a tool was merely found: nobody approved it, so it is always on the open path."""
    return state is ToolState.DISCOVERED


def unapproved_on_secure(key: str, why: str) -> Reason:
    """Why a tool that nobody approved does not go the secure path, and what would help."""
    return Reason(
        code=ReasonCode.SECURE_PATH,
        text=f"this call goes the secure path ({why}), and {key} is not approved for it",
        remedy=f"use an approved tool, or have {key} promoted: its record so far is the evidence",
        details=(("path", Path.SECURE.value), ("why", why)),
    )
