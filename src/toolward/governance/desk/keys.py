"""Credentials: keys that name an agent and its user, and people's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.model.contract import PROBE_AGENT
from toolward.model.event import EventKind
from toolward.model.principal import CredentialKind, Principal
from toolward.model.rollback import UNDO_AGENT
from toolward.ports.store import Delete, Put, Table
from toolward.rules.canonical import canonical

_MADE = (CredentialKind.API_KEY, CredentialKind.HOST, CredentialKind.PERSON)
ADMIN_ROLE = "admin"
"""Who has it makes and revokes other people's credentials; nobody has it unless the ward says so."""


async def create(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """A new key, shown once. Parameters: `agent`, `user`, `kind` (api_key, host or person)."""
    kind = text(parameters, "kind", CredentialKind.API_KEY.value)
    if kind not in _MADE:
        raise Rejected(f"a key is of kind {', '.join(_MADE)}")
    kind = CredentialKind(kind)
    token = f"tw_{desk.parts.ids.token()}"
    user = text(parameters, "user", by.user)
    agent = text(parameters, "agent", "cli" if kind is CredentialKind.PERSON else "")
    if not agent:
        raise Rejected(
            "a key needs the name of the agent that will use it", remedy="toolward keys create AGENT"
        )
    if kind is CredentialKind.PERSON and user != by.user:
        _check_admin(desk, by)
    if agent in (UNDO_AGENT, PROBE_AGENT):
        raise Rejected(f"`{agent}` is the gateway's own name", remedy="choose another name")
    key = hashlib.sha256(token.encode()).hexdigest()
    name = f"{kind.value}:{agent}:{key[:8]}"
    body = canonical({"name": name, "user": user, "agent": agent, "kind": kind.value})
    said = {"by": by.as_json(), "name": name, "user": user, "agent": agent, "of_kind": kind.value}
    event = desk.parts.auditor.event(EventKind.CREDENTIAL_CREATED, body=said)
    await desk.parts.store.commit([event], [Put(Table.CREDENTIAL, key, body, expect=0)])
    return {"name": name, "user": user, "agent": agent, "kind": kind.value, "token": token}


def _check_admin(desk: Desk, by: Principal) -> None:
    """Raise `Denied` for who may not make or revoke other people's credentials: one could vote as two."""
    roles = desk.parts.approvals.ground.people.voter(by.user).roles
    if ADMIN_ROLE not in roles:
        raise Denied(
            f"another person's credential takes the role `{ADMIN_ROLE}`, which {by.user} does not have",
            code=ReasonCode.NOT_AN_APPROVER,
            remedy=f"name who has it in toolward.yaml (`roles: {{{ADMIN_ROLE}: [{by.user}]}}`) and reload",
        )


async def list_keys(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every credential; never a token."""
    del parameters, by
    return [orjson.loads(row.body) for row in desk.parts.store.scan(Table.CREDENTIAL)]


async def revoke(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Revoke by `name`."""
    name = text(parameters, "name")
    for row in list(desk.parts.store.scan(Table.CREDENTIAL)):
        found = orjson.loads(row.body)
        if found["name"] == name:
            if found["kind"] == CredentialKind.PERSON.value and found["user"] != by.user:
                _check_admin(desk, by)
            event = desk.parts.auditor.event(
                EventKind.CREDENTIAL_REVOKED, body={"by": by.as_json(), "name": name}
            )
            await desk.parts.store.commit([event], [Delete(Table.CREDENTIAL, row.key)])
            return {"revoked": name}
    raise Rejected(f"no key `{name[:100]}`", remedy="see `toolward keys list`")


VERBS = {
    "keys.create": Verb(create),
    "keys.list": Verb(list_keys),
    "keys.revoke": Verb(revoke),
}
