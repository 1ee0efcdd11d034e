"""The address of one HTTP server."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from toolward.errors import WardError
from toolward.model.egress import Grant, Whose
from toolward.ports.egress import Connector


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one server listens, taken apart once."""

    host: str
    port: int
    secure: bool
    target: bytes  # path and query
    authority: bytes  # as in the Host header


@dataclass(frozen=True, slots=True)
class WayOut:
    """How an endpoint is connected to: through the egress control, with what its server was granted."""

    connector: Connector
    grants: tuple[Grant, ...]
    whose: Whose  # connections are on record

    async def to(self, endpoint: Endpoint) -> socket.socket:
        """A connected socket. Raises `EgressRefused`, `OSError`."""
        return await self.connector.connect(
            endpoint.host, endpoint.port, grants=self.grants, whose=self.whose
        )


def endpoint_of(url: str) -> Endpoint:
    """Take `url` apart. Raises `WardError` unless it is plain http or https without credentials."""
    remedy = "write `http://host[:port]/path` or `https://…`; credentials belong into `headers`"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise WardError(f"`{url}` is not a URL", remedy=remedy) from wrong
    printable = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not printable:
        raise WardError(f"`{url}` is not an http or https URL", remedy=remedy)
    if parts.username is not None or parts.password is not None:
        raise WardError("the URL of a server holds credentials", remedy=remedy)
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(
        host=parts.hostname,
        port=port or (443 if secure else 80),
        secure=secure,
        target=target.encode("ascii"),
        authority=parts.netloc.encode("ascii"),
    )
