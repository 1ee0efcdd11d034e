"""Who asks: the user on whose behalf, and the agent that acts. Both must be allowed, both are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct


class CredentialKind(StrEnum):
    """How the caller proved who it is."""

    API_KEY = "api_key"
    PERSON = "person"
    HOST = "host"  # whoever runs an agent: opens, moves and ends its sessions, and makes no calls
    OS_USER = "os_user"
    IN_PROCESS = "in_process"
    WEBHOOK = "webhook"  # a person's answer, by the word of a webhook that the ward trusts for that person
    UNSAFE_ANONYMOUS = "unsafe_anonymous"


class Principal(Struct, frozen=True, kw_only=True):
    """An authenticated caller; `credential` names the credential, never its value."""

    user: str
    agent: str
    roles: tuple[str, ...] = ()
    credential: str
    kind: CredentialKind

    @property
    def is_person(self) -> bool:
        """Whether a person's own credential was shown, which is what approving needs."""
        return self.kind is CredentialKind.PERSON

    def as_json(self) -> dict[str, object]:
        """As recorded."""
        return {
            "user": self.user,
            "agent": self.agent,
            "roles": list(self.roles),
            "credential": self.credential,
            "kind": _KINDS[self.kind],
        }


_KINDS: Final = {each: each.value for each in CredentialKind}
"""Read off, since asking a member for its value is a call."""


def principal_from_json(value: Mapping[str, Any]) -> Principal:
    """The inverse of `Principal.as_json`. Raises `KeyError` or `ValueError`."""
    return Principal(
        user=value["user"],
        agent=value["agent"],
        roles=tuple(value["roles"]),
        credential=value["credential"],
        kind=CredentialKind(value["kind"]),
    )
