"""Decisions put into words: reasons, remedies and the digest of what determined them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from toolward.errors import Reason, ReasonCode
from toolward.model.decision import ApprovalNeed, Ask, Deny
from toolward.rules.policy.hints import hint
from toolward.rules.policy.policy_text import AskRule, Policy


def combined(digests: Sequence[bytes], *texts: str) -> str:
    """Hex SHA-256 of policies in any order, and of further texts in this order."""
    whole = hashlib.sha256(b"".join(sorted(digests)))
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()


def policy_digest(determining: Sequence[Policy]) -> str:
    """`sha256:<hex>` of ids and texts of the policies that determined a decision; "" when none did."""
    return f"sha256:{combined([p.digest for p in determining])}" if determining else ""


def not_in_book() -> Deny:
    """The tool version was registered after the policies were compiled."""
    return Deny(
        reason=Reason(
            code=ReasonCode.RULE_ERROR,
            text="the policies do not know this tool version yet",
            remedy="have the operator reload the ward",
        )
    )


def failed(considered: Sequence[Policy], errors: Sequence[str]) -> Deny:
    """A policy could not be evaluated. The engine's own words may hold arguments, so only ids are told."""
    ids = tuple(p.policy_id for p in considered if any(f"`{p.policy_id}`" in e for e in errors))
    which = f"policy `{ids[0]}`" if ids else "the policies"
    determining = [p for p in considered if p.policy_id in ids]
    return Deny(
        reason=Reason(
            code=ReasonCode.RULE_ERROR,
            text=f"{which} could not be evaluated for this call",
            remedy="have the operator run `toolward explain` on it",
        ),
        policies=ids,
        policy_digest=policy_digest(determining),
    )


def not_permitted() -> Deny:
    """No permit applies."""
    return Deny(
        reason=Reason(
            code=ReasonCode.DENIED,
            text="no policy permits this call",
            remedy="use a tool that is listed for you, or ask the operator for a permit",
        )
    )


def forbidden(determining: Sequence[Policy]) -> Deny:
    """At least one plain forbid applies; those are the ones named."""
    plain = tuple(p for p in determining if p.ask is None)
    first = plain[0]
    ordered = tuple(p.policy_id for p in plain if p.rolls_back)
    return Deny(
        reason=Reason(
            code=ReasonCode.DENIED,
            text=_text(first),
            remedy=_remedy(first, "ask the operator whether the rule fits"),
            details=(("policy", first.policy_id), *((("rollback", "ordered"),) if ordered else ())),
        ),
        policies=tuple(p.policy_id for p in plain),
        policy_digest=policy_digest(plain),
        rolls_back=ordered,
    )


def asked(determining: Sequence[Policy]) -> Ask:
    """Only askable forbids stand against the call. The strictest of their demands is what is needed."""
    first = determining[0]
    need = approval_need([part_of(p, p.ask) for p in determining if p.ask is not None])
    return Ask(
        need=need,
        reason=Reason(
            code=ReasonCode.APPROVAL_REQUIRED,
            text=_text(first),
            remedy=_remedy(
                first, f"have {(' and ' if need.every_role else ' or ').join(need.roles)} approve it"
            ),
            details=(("policy", first.policy_id), ("roles", ", ".join(need.roles))),
        ),
        policies=need.policies,
        policy_digest=policy_digest(determining),
    )


def part_of(policy: Policy, rule: AskRule) -> ApprovalNeed:
    """What one askable forbid demands by itself."""
    return ApprovalNeed(
        policies=(policy.policy_id,),
        roles=rule.roles,
        quorum=rule.quorum,
        four_eyes=rule.four_eyes,
        expires_s=rule.expires_s,
        at_once=rule.at_once,
        digest=policy_digest([policy]),
        reason=_text(policy),
    )


def approval_need(parts: Sequence[ApprovalNeed]) -> ApprovalNeed:
    """Join what several forbids demand: only roles that may lift each of them, if there are such."""
    common = [r for r in parts[0].roles if all(r in part.roles for part in parts)]
    every = [r for part in parts for r in part.roles]
    return ApprovalNeed(
        policies=tuple(policy for part in parts for policy in part.policies),
        roles=tuple(common) or tuple(dict.fromkeys(every)),
        every_role=not common,
        quorum=max(part.quorum for part in parts),
        four_eyes=any(part.four_eyes for part in parts),
        expires_s=min(part.expires_s for part in parts),
        at_once=all(part.at_once for part in parts),
        parts=tuple(parts),
    )


def _text(policy: Policy) -> str:
    return policy.annotations.get("reason") or f"forbidden by policy `{policy.policy_id}`"


def _remedy(policy: Policy, otherwise: str) -> str:
    if "remedy" in policy.annotations:
        return policy.annotations["remedy"]
    return hint(policy.tree) or otherwise
