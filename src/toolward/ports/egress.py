"""Ways out: resolving a name, connecting to what was granted, and telling what left."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from toolward.model.egress import EgressCode, Grant, Refusal, Whose


class Resolver(Protocol):
    """Names to addresses. MUST NOT be asked for a destination that is not granted: a query is a way out."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Addresses in text form, in the order in which to try them. Raises `OSError`."""
        ...


class EgressRefused(Exception):
    """The destination is not granted, or leads to where nothing may connect. Nothing was sent."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence())
        self.refusal = refusal


class Connector(Protocol):
    """The gateway's own way out.

    MUST resolve once for each connection and dial only what it judged. MUST refuse if any address is
    forbidden. MUST NOT ask a resolver for what is not granted. MUST NOT dial before the decision is told
    of under `whose` and known to be durable.
    """

    async def connect(self, host: str, port: int, *, grants: Sequence[Grant], whose: Whose) -> socket.socket:
        """A connected, non-blocking TCP socket, the caller's to close.

        Raises `EgressRefused`, with `UNRECORDED` when the decision can not be written down; `OSError` when
        it could not be resolved or reached. Has no time limit of its own for the whole.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressEvent:
    """One connection of a cage, or of the gateway to a server.

    `host` is empty where the request named none that can be told.
    `bytes_out` went to the destination and `bytes_in` came from it: all of a tunnel's, and of a forwarded
    request its head and body as sent on, and the whole answer.
    """

    whose: Whose
    host: str
    port: int
    allowed: bool
    code: EgressCode
    bytes_out: int = 0
    bytes_in: int = 0
    duration_ms: int = 0
    encrypted_hello: bool = False  # the TLS name that was judged may hide another one

    @property
    def verdict(self) -> str:
        """`allowed` or `refused`."""
        return "allowed" if self.allowed else "refused"


class WayOut(Protocol):
    """The proxy of one cage."""

    async def close(self) -> None:
        """End every connection through it."""
        ...


class OpenWayOut(Protocol):
    """Makes the way out of one cage. MUST own the listener from the call on, also when it raises."""

    async def __call__(self, listener: socket.socket, grants: Sequence[Grant], whose: Whose) -> WayOut:
        """Serve what connects to `listener`, under `grants`; every connection is told of under `whose`."""
        ...


class EgressSignals(Protocol):
    """Who is told. `ended` MUST NOT block."""

    async def judged(self, event: EgressEvent) -> None:
        """A connection was decided on, and is not dialled before this returns.

        MUST NOT return before the record is durable. Raising refuses the connection. Cancelling does not
        undo a record under way.
        """
        ...

    def ended(self, event: EgressEvent) -> None:
        """A connection that was allowed has ended, with its figures, and `refused` if it was cut short.

        Told of for cages only: what goes through a connection of the gateway's own is its calls' records.
        """
        ...
