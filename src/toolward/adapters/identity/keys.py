"""API keys for agents, person credentials, and the users of this machine."""

from __future__ import annotations

import hashlib
import pwd
from collections.abc import Mapping
from functools import lru_cache

import orjson

from toolward.errors import ReasonCode, Rejected
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.identity import Credentials
from toolward.ports.store import Store, Table
from toolward.rules.canonical import canonical

_PRINCIPALS_MAX = 1_024
"""Kept ready; the store is asked for the credential's row with every call all the same."""
LOCAL_AGENT = "local"
"""The agent's name where only the operating system's user is known."""


def credential_key(token: str) -> str:
    """Under which key a token's row stands: its SHA-256.

    Tokens hold 256 bits of chance, so no salt is needed, and a look-up by digest reveals nothing
    through its timing.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def credential_body(*, name: str, user: str, agent: str, kind: CredentialKind) -> bytes:
    """The row of a credential."""
    return canonical({"name": name, "user": user, "agent": agent, "kind": kind.value})


class KeyIdentity:
    """`ports.identity.Identity` on the ward's store."""

    def __init__(
        self, store: Store, *, roles: Mapping[str, tuple[str, ...]], unsafe_anonymous: bool = False
    ) -> None:
        self._store = store
        self._roles = roles
        self._unsafe_anonymous = unsafe_anonymous
        self._of_row = lru_cache(maxsize=_PRINCIPALS_MAX)(self._named_by)

    def authenticate(self, credentials: Credentials) -> Principal:
        """Raises `Rejected` with code `unauthenticated`; a wrong key is refused even where none is needed."""
        if credentials.bearer:
            return self._by_key(credentials.bearer)
        if credentials.os_uid is not None:
            return self._by_uid(credentials.os_uid)
        if credentials.in_process:
            raise Rejected("an in-process caller names its principal itself", code=ReasonCode.UNAUTHENTICATED)
        if self._unsafe_anonymous:
            return self._principal(
                "anonymous", "anonymous", name="anonymous", kind=CredentialKind.UNSAFE_ANONYMOUS
            )
        raise Rejected(
            "no credential was shown",
            code=ReasonCode.UNAUTHENTICATED,
            remedy="send `Authorization: Bearer KEY`; make a key with `toolward keys create AGENT`",
        )

    def _by_key(self, token: str) -> Principal:
        return self.of_credential(credential_key(token))

    def of_credential(self, key: str) -> Principal:
        """Raises `Rejected` with code `unauthenticated` when there is none, or none any more."""
        row = self._store.get(Table.CREDENTIAL, key)
        if row is None:
            raise Rejected(
                "the key is not known or was revoked",
                code=ReasonCode.UNAUTHENTICATED,
                remedy="an agent needs a key of `toolward keys create AGENT`; "
                "a person the credential that `toolward init` wrote, or --person-key",
            )
        return self._of_row(row.body)

    def named(self, name: str) -> Principal:
        """Who a credential of that name is, without its token. Raises `Rejected` when there is none."""
        for row in self._store.scan(Table.CREDENTIAL):
            if orjson.loads(row.body)["name"] == name:
                return self._of_row(row.body)
        raise Rejected(f"no key `{name[:100]}`", remedy="see `toolward keys list`")

    def _named_by(self, body: bytes) -> Principal:
        value = orjson.loads(body)
        return self._principal(
            value["user"], value["agent"], name=value["name"], kind=CredentialKind(value["kind"])
        )

    def _by_uid(self, uid: int) -> Principal:
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = f"uid-{uid}"
        return self._principal(user, LOCAL_AGENT, name=f"os:{user}", kind=CredentialKind.OS_USER)

    def _principal(self, user: str, agent: str, *, name: str, kind: CredentialKind) -> Principal:
        roles = tuple(sorted(role for role, users in self._roles.items() if user in users))
        return Principal(user=user, agent=agent, roles=roles, credential=name, kind=kind)
