"""Who may let a version into a channel, and what still stands against it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from toolward.errors import Denied, ReasonCode
from toolward.model.gate import Check, Signoff, Verdict
from toolward.model.principal import Principal


def check_signer(signoff: Signoff, by: Principal, roles: Sequence[str], *, proposer: str, owner: str) -> None:
    """Raise `Denied` for who may not agree to it: its proposer, the tool's owner, who lacks the role."""
    if by.user in (proposer, owner):
        whose = "proposed it" if by.user == proposer else "owns the tool"
        raise Denied(
            f"{by.user} {whose}, and a promotion takes another person's agreement",
            code=ReasonCode.NOT_AN_APPROVER,
            remedy="ask a colleague to look at it and promote it",
        )
    if signoff.role and signoff.role not in roles:
        raise Denied(
            f"{by.user} does not have the role `{signoff.role}`, which this gate asks for",
            code=ReasonCode.NOT_AN_APPROVER,
            remedy=f"ask somebody who has it (`roles.{signoff.role}` in toolward.yaml)",
        )


def standing_against(checks: Sequence[Check]) -> str:
    """In words what does not hold; "" when all does."""
    wrong = [
        f"{each.what} {each.verdict}: {each.text}" for each in checks if each.verdict is not Verdict.HOLDS
    ]
    return "; ".join(wrong)
