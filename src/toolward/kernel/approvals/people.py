"""Persons as the ward knows them now: votes are counted by the present, not by the day they were cast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson

from toolward.model.approval import OWN_USER, Voter
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.store import Store, Table


class People:
    """Roles from the ward in force, credentials from the store."""

    def __init__(self, store: Store, roles: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        self._store = store
        self._roles = roles

    def voter(self, user: str) -> Voter:
        """The person with the roles of now. The role `user` is nobody's by the ward's word."""
        held = (role for role, users in self._roles().items() if user in users and role != OWN_USER)
        return Voter(user=user, roles=frozenset(held))

    def has_credential(self, user: str, credential: str) -> bool:
        """Whether that person's credential of that name was not revoked."""
        return any(
            (row["name"], row["user"], row["kind"]) == (credential, user, CredentialKind.PERSON.value)
            for row in (orjson.loads(each.body) for each in self._store.scan(Table.CREDENTIAL))
        )

    def is_present(self, by: Principal) -> bool:
        """Whether a person stands here with a credential that is in force."""
        return by.is_person and self.has_credential(by.user, by.credential)
