"""What kind of place an IP address is, whatever it is wrapped in.

An IPv6 address can carry an IPv4 address that some machine on the way unwraps (RFC 4291, 3056, 4380, 5214,
6052, 8215), so an address is as bad as the worst of what it can be read as. Only what IANA has given out as
globally reachable is `PUBLIC`: a range that nobody knows is `RESERVED`, not allowed by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class AddressKind(StrEnum):
    """Kinds in order: an address of several kinds has the first one of them."""

    METADATA = "metadata"  # where clouds hand out credentials
    LINK_LOCAL = "link-local"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"  # reaches loopback on most systems
    RESERVED = "reserved"  # documentation, benchmarks, future use, unassigned
    TUNNEL = "tunnel"  # leads to an IPv4 address through a relay that is not ours
    LOOPBACK = "loopback"
    PRIVATE = "private"
    SHARED = "shared"  # carrier-grade NAT, overlay networks
    PUBLIC = "public"


GRANTABLE: Final = frozenset({AddressKind.LOOPBACK, AddressKind.PRIVATE, AddressKind.SHARED})
"""What an operator can grant by name. The others have no use that is worth their danger."""

_TABLE: Final[tuple[tuple[AddressKind, str], ...]] = (
    # AWS, Azure and others; Azure's wire server; Alibaba; Oracle; AWS, Google and Oracle over IPv6
    (
        AddressKind.METADATA,
        "169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 168.63.129.16/32 100.100.100.200/32",
    ),
    (AddressKind.METADATA, "192.0.0.192/32 fd00:ec2::/32 fd20:ce::/32 fd00:c1::/32"),
    (AddressKind.LINK_LOCAL, "169.254.0.0/16 fe80::/10 fec0::/10"),
    (AddressKind.MULTICAST, "224.0.0.0/4 ff00::/8"),
    (AddressKind.UNSPECIFIED, "0.0.0.0/8 ::/128"),
    (AddressKind.LOOPBACK, "127.0.0.0/8 ::1/128"),
    (AddressKind.PRIVATE, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"),
    (AddressKind.SHARED, "100.64.0.0/10"),
    (AddressKind.TUNNEL, "192.88.99.0/24 2002::/16 2001::/32 64:ff9b:1::/48"),
    # RFC 6890 and its registry: protocol assignments, documentation, benchmarks, AS112, AMT, ORCHID, future
    (AddressKind.RESERVED, "192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24"),
    (AddressKind.RESERVED, "198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4"),
    (AddressKind.RESERVED, "2001::/23 2001:db8::/32 2620:4f:8000::/48 3fff::/20"),
)
_NETWORKS: Final[tuple[tuple[AddressKind, Network], ...]] = tuple(
    (kind, ip_network(each)) for kind, text in _TABLE for each in text.split()
)
_GLOBAL_6: Final = IPv6Network("2000::/3")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_ISATAP: Final = 0x5EFE
_LOW_32: Final = 0xFFFF_FFFF
_ORDER: Final = {kind: place for place, kind in enumerate(AddressKind)}


def kind_of(address: Address) -> AddressKind:
    """The worst of what `address` can be read as."""
    return min((_plain_kind(each) for each in _readings(address)), key=_ORDER.__getitem__)


def kind_of_text(text: str) -> AddressKind:
    """The same for an address as resolvers write it. What is no address, or has a zone, is `RESERVED`."""
    if "%" in text:  # a zone belongs to link-local addresses
        return AddressKind.LINK_LOCAL
    try:
        return kind_of(ip_address(text))
    except ValueError:
        return AddressKind.RESERVED


def _readings(address: Address) -> Iterator[Address]:
    """The address itself, unless it stands for nothing but another, and every address inside it."""
    if isinstance(address, IPv4Address):
        yield address
        return
    number = int(address)
    if address in _MAPPED or address in _NAT64:  # the kernel, or the network's own translator, unwraps these
        yield IPv4Address(number & _LOW_32)
        return
    yield address
    if address in _COMPATIBLE or address in _TRANSLATED:
        if number > 1:  # `::` and `::1` are themselves
            yield IPv4Address(number & _LOW_32)
    elif address in _SIX_TO_FOUR:
        yield IPv4Address((number >> 80) & _LOW_32)
    elif address in _TEREDO:
        yield IPv4Address((number >> 64) & _LOW_32)
        yield IPv4Address((number & _LOW_32) ^ _LOW_32)
    elif address in _NAT64_LOCAL:
        yield IPv4Address(number & _LOW_32)
    if (number >> 32) & 0xFCFF_FFFF == _ISATAP:  # with or without the bits for global and group
        yield IPv4Address(number & _LOW_32)


def _plain_kind(address: Address) -> AddressKind:
    found = [kind for kind, network in _NETWORKS if address.version == network.version and address in network]
    if found:
        return min(found, key=_ORDER.__getitem__)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_6:
        return AddressKind.RESERVED
    return AddressKind.PUBLIC
