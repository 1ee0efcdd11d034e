"""Who is it."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from toolward.model.principal import Principal


class Credentials(Struct, frozen=True, kw_only=True):
    """What the door saw. `os_uid` is the peer of a Unix socket or the owner of a stdio pipe."""

    bearer: str = ""
    os_uid: int | None = None
    in_process: bool = False


class Identity(Protocol):
    """Turns credentials into a principal. MUST refuse the unknown and compare in constant time."""

    def authenticate(self, credentials: Credentials) -> Principal:
        """Raises `Rejected` with code `unauthenticated`."""
        ...

    def of_credential(self, key: str) -> Principal:
        """Whose credential stands in that row of `Table.CREDENTIAL`, with the roles of now.

        Raises `Rejected` with code `unauthenticated` when it was revoked.
        """
        ...
