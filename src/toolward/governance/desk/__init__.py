"""What people do with a ward: one verb, one function, the same for the CLI, the daemon and the console.

Each verb takes JSON-able parameters and the principal who asks, and returns JSON-able data. The command
line calls it in process or over the daemon's socket; it never has a second implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import ReasonCode, Rejected
from toolward.governance.desk import (
    approvals,
    audit,
    calls,
    conduct,
    discovery,
    evidence,
    grants,
    keys,
    labels,
    lineage,
    links,
    objectives,
    paths,
    promotion,
    resilience,
    revisions,
    safeguards,
    sessions,
    signatures,
    sources,
    status,
    tools,
    versions,
    watching,
)
from toolward.governance.desk.context import Desk, Verb
from toolward.model.principal import CredentialKind, Principal

VERBS: Mapping[str, Verb] = {
    **status.VERBS,
    **tools.VERBS,
    **labels.VERBS,
    **versions.VERBS,
    **promotion.VERBS,
    **paths.VERBS,
    **evidence.VERBS,
    **signatures.VERBS,
    **calls.VERBS,
    **discovery.VERBS,
    **audit.VERBS,
    **revisions.VERBS,
    **keys.VERBS,
    **links.VERBS,
    **approvals.VERBS,
    **grants.VERBS,
    **sources.VERBS,
    **safeguards.VERBS,
    **sessions.VERBS,
    **lineage.VERBS,
    **conduct.VERBS,
    **objectives.VERBS,
    **resilience.VERBS,
    **watching.VERBS,
}


async def invoke(desk: Desk, verb: str, parameters: Mapping[str, Any], by: Principal) -> Any:
    """Run a verb. Raises `Rejected` for an unknown verb or one that needs a person's credential."""
    found = VERBS.get(verb)
    if found is None:
        raise Rejected(
            f"no verb `{verb[:100]}`", code=ReasonCode.UNKNOWN_METHOD, remedy="see `toolward --help`"
        )
    if by.kind is CredentialKind.HOST and not found.by_host:
        raise Rejected(
            f"`{verb}` is not for a host's key",
            code=ReasonCode.UNAUTHENTICATED,
            remedy="it opens sessions of its agent, moves them and ends them; use a person's credential",
        )
    by_host = found.by_host and by.kind is CredentialKind.HOST
    by_webhook = found.by_webhook and by.kind is CredentialKind.WEBHOOK
    if found.needs_person and not by.is_person and not by_webhook and not by_host:
        raise Rejected(
            f"`{verb}` needs a person's credential",
            code=ReasonCode.UNAUTHENTICATED,
            remedy="`toolward init` made one for you; TOOLWARD_PERSON or --person-key names another",
        )
    return await found.run(desk, parameters, by)


__all__ = ["VERBS", "Desk", "Verb", "invoke"]
