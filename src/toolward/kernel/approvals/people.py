"""Persons as the ward knows them now: votes are counted by the present, not by the day they were cast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson

from toolward.config.approving import WebhookConfig
from toolward.model.approval import OWN_USER, Voter
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.store import Store, Table


class People:
    """Roles from the ward in force, credentials from the store."""

    def __init__(
        self,
        store: Store,
        roles: Callable[[], Mapping[str, Sequence[str]]],
        webhooks: Callable[[], Mapping[str, WebhookConfig]] = dict,
    ) -> None:
        self._store = store
        self._roles = roles
        self._webhooks = webhooks

    def voter(self, user: str) -> Voter:
        """The person with the roles of now. The role `user` is nobody's by the ward's word."""
        held = (role for role, users in self._roles().items() if user in users and role != OWN_USER)
        return Voter(user=user, roles=frozenset(held))

    def has_credential(self, user: str, credential: str) -> bool:
        """Whether that person's credential of that name was not revoked.

        A webhook's word is one for as long as the ward says that it speaks for that person, who has any.
        """
        held = {
            row["name"]
            for row in (orjson.loads(each.body) for each in self._store.scan(Table.CREDENTIAL))
            if (row["user"], row["kind"]) == (user, CredentialKind.PERSON.value)
        }
        kind, _, name = credential.partition(":")
        if kind == CredentialKind.WEBHOOK.value:
            hook = self._webhooks().get(name)
            return bool(held) and hook is not None and user in hook.people.values()
        return credential in held

    def stands(self, caller: Principal) -> bool:
        """Whether a caller of then is let in now: its key is in force, and the user's roles are the same.

        Of callers that the host itself names, only the host knows.
        """
        if caller.kind not in (CredentialKind.API_KEY, CredentialKind.PERSON):
            return True
        rows = (orjson.loads(each.body) for each in self._store.scan(Table.CREDENTIAL))
        known = any((row["name"], row["user"]) == (caller.credential, caller.user) for row in rows)
        roles = sorted(role for role, users in self._roles().items() if caller.user in users)
        return known and roles == sorted(caller.roles)

    def is_present(self, by: Principal) -> bool:
        """Whether a person stands here with a credential that is in force."""
        kinds = (CredentialKind.PERSON, CredentialKind.WEBHOOK)
        return by.kind in kinds and self.has_credential(by.user, by.credential)
