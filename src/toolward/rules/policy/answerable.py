"""Whether the people that a ward names could ever lift what its policies ask about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from toolward.model.approval import OWN_USER
from toolward.rules.policy.check import Finding, Severity
from toolward.rules.policy.policy_text import Policy


def unanswerable(policies: Sequence[Policy], roles: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """A warning for each askable forbid that too few people have a role for: it only looks askable."""
    for policy in policies:
        rule = policy.ask
        if rule is None:
            continue
        own = OWN_USER in rule.roles and not rule.four_eyes
        people = {user for role in rule.roles if role != OWN_USER for user in roles.get(role, ())}
        if (count := len(people) + own) >= rule.quorum:
            continue
        yield Finding(
            file=policy.file,
            line=policy.line,
            text=(
                f"policy `{policy.policy_id}` asks {rule.quorum} of {', '.join(rule.roles)}, "
                f"and that can be {count or 'nobody'}"
            ),
            remedy="name people for the role under `roles` in toolward.yaml",
            severity=Severity.WARNING,
        )
