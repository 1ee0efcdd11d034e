"""Which destination a text names, whether it is granted, and whether what it resolved to may be dialled.

A host is taken only in the one spelling on which every reader agrees: letters, digits and hyphens, or an IP
address in its canonical form. The order is fixed: spelling, grant, only then a resolver is asked, and one
forbidden answer refuses them all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

from toolward.errors import WardError
from toolward.model.egress import Destination, EgressCode, Grant, Refusal
from toolward.rules.egress.addresses import GRANTABLE, AddressKind, kind_of, kind_of_text

HOST_LENGTH_MAX: Final = 253
"""Of a name in text form (RFC 1035 has 255 octets on the wire)."""
PORT_MAX: Final = 65_535
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes `inet_aton`, and so most clients, read the whole host as an IPv4 address."""
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_SHOWN_MAX: Final = 80

_SPELL_IT: Final = "write a host name in plain ascii letters, digits and hyphens, as in `host:port`"


def parse_destination(text: str, *, default_port: int | None = None) -> Destination | Refusal:
    """`host:port`, or `host` alone where there is a default. Names lose their case and one trailing dot.

    Refused: user information, escapes, zones, control characters, anything beyond ASCII, numbers that are
    no canonical IPv4 address (`0x7f.1`, `2130706433`, `0177.0.0.1`, `127.1`), names that are too long.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        return _bad("a host holds only printable ascii", _SPELL_IT)
    if "@" in text:
        return _bad("a destination holds no user information", "leave out what stands before the `@`")
    host, port_text = _split(text)
    if port_text is None:
        if default_port is None:
            return _bad("a destination needs a port", _SPELL_IT)
        port = default_port
    elif not _PORT.fullmatch(port_text) or int(port_text) > PORT_MAX:
        return _bad("a port is a number from 1 to 65535", _SPELL_IT)
    else:
        port = int(port_text)
    return _literal_6(host, port) if host.startswith("[") else _name(host, port)


def _split(text: str) -> tuple[str, str | None]:
    """The host with its brackets, and the port's text if there is a colon for it."""
    if text.startswith("["):
        inside, closing, rest = text.partition("]")
        return inside + closing, rest[1:] if rest.startswith(":") else None if not rest else ""
    host, colon, port = text.partition(":")  # a second colon makes the port no number
    return host, port if colon else None


def _literal_6(host: str, port: int) -> Destination | Refusal:
    try:
        address = IPv6Address(host[1:-1] if host.endswith("]") and "%" not in host else "")
    except AddressValueError:
        return _bad("this is no ipv6 address", _SPELL_IT)
    return Destination(str(address), port, literal=True)


def _name(host: str, port: int) -> Destination | Refusal:
    name = host.lower().removesuffix(".")
    if len(name) > HOST_LENGTH_MAX or not _NAME.fullmatch(name):
        return _bad("a host name is labels of letters, digits and hyphens, 253 characters at most", _SPELL_IT)
    if not _NUMBER.fullmatch(name.rpartition(".")[2]):
        return Destination(name, port)
    try:
        canonical = str(IPv4Address(name))
    except AddressValueError:
        canonical = ""
    if canonical != name or host != name:
        return _bad(
            "an ip address that is not in its canonical form", "write four decimal numbers, or a name"
        )
    return Destination(name, port, literal=True)


def _bad(text: str, remedy: str) -> Refusal:
    return Refusal(EgressCode.BAD_HOST, text, remedy)


# --- grants ------------------------------------------------------------------------------------------


def parse_grant(text: str, *, unsafe_private: bool = False) -> Grant:
    """A grant as an operator writes it: `host:port`, `*.host:port`, `address:port`. Raises `WardError`."""
    wildcard = text.startswith("*.")
    found = parse_destination(text[2:] if wildcard else text)
    if isinstance(found, Refusal):
        raise WardError(f"`{text[:_SHOWN_MAX]}` can not be granted: {found.text}", remedy=found.remedy)
    if wildcard and (found.literal or "." not in found.host):
        raise WardError(
            f"`{text}` grants too much", remedy="put `*.` before a name of at least two labels, or name hosts"
        )
    if wildcard and unsafe_private:
        raise WardError(
            f"`{text}` can not be granted with private addresses", remedy="name each private host by itself"
        )
    grant = Grant(
        host=f"*.{found.host}" if wildcard else found.host, port=found.port, unsafe_private=unsafe_private
    )
    if found.literal and (no := judge_addresses(found, grant, (found.host,))):
        raise WardError(f"`{text}` can not be granted: {no.text}", remedy=no.remedy)
    return grant


def upstream_grant(host: str, port: int, *, private_network: bool) -> Grant | Refusal:
    """What an operator grants by writing a server's URL.

    A private or loopback address, or `localhost`, says itself that it is one. Any other name must lead to
    public addresses unless `private_network` is stated: whoever owns the name chooses what it resolves to.
    """
    found = parse_destination(f"[{host}]" if ":" in host else host, default_port=port)
    if isinstance(found, Refusal):
        return found
    private = private_network or is_localhost(found.host)
    if found.literal:
        private = kind_of(ip_address(found.host)) in GRANTABLE
    grant = Grant(host=found.host, port=found.port, unsafe_private=private)
    if found.literal and (no := judge_addresses(found, grant, (found.host,))):
        return no
    return grant


def is_localhost(host: str) -> bool:
    """Whether RFC 6761 has this name mean loopback."""
    return host == "localhost" or host.endswith(".localhost")


# --- judgement ---------------------------------------------------------------------------------------


def granted(
    destination: Destination, grants: Sequence[Grant], *, remedy: str = "grant it"
) -> Grant | Refusal:
    """The grant that covers `destination`; of several the one that allows most. No resolver was asked."""
    found = [grant for grant in grants if _covers(grant, destination)]
    if not found:
        return Refusal(EgressCode.NOT_GRANTED, f"{destination} is not granted to this tool", remedy)
    return max(found, key=lambda grant: grant.unsafe_private)


def _covers(grant: Grant, destination: Destination) -> bool:
    if grant.port != destination.port:
        return False
    if not grant.host.startswith("*."):
        return grant.host == destination.host
    return not destination.literal and destination.host.endswith(grant.host[1:])


def judge_addresses(
    destination: Destination,
    grant: Grant,
    addresses: Sequence[str],
    *,
    remedy: str = "grant this host with private addresses, if that is meant",
) -> Refusal | None:
    """None if every one of `addresses` may be dialled under `grant`. There must be at least one."""
    if not addresses:
        return Refusal(EgressCode.UNRESOLVED, f"{destination} has no address", "look at the name's spelling")
    allowed = _allowed(destination, grant)
    for kind in map(kind_of_text, addresses):
        if kind not in allowed:
            return Refusal(
                EgressCode.FORBIDDEN_ADDRESS,
                f"{destination} leads to a {kind} address",
                remedy if kind in GRANTABLE else "no grant can allow this; use another host",
            )
    return None


def _allowed(destination: Destination, grant: Grant) -> frozenset[AddressKind]:
    if not grant.unsafe_private or grant.host.startswith("*."):
        return frozenset({AddressKind.PUBLIC})
    if is_localhost(destination.host):  # a resolver that says otherwise is not believed
        return frozenset({AddressKind.LOOPBACK})
    return GRANTABLE | {AddressKind.PUBLIC}
