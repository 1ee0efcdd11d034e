"""Kinds of addresses: an address is as bad as the worst of what it can be read as."""

from __future__ import annotations

import pytest

from toolward.rules.egress.addresses import AddressKind, kind_of_text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("93.184.216.34", AddressKind.PUBLIC),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", AddressKind.PUBLIC),
        ("::ffff:93.184.216.34", AddressKind.PUBLIC),
        ("64:ff9b::5db8:d822", AddressKind.PUBLIC),
        ("169.254.169.254", AddressKind.METADATA),
        ("168.63.129.16", AddressKind.METADATA),
        ("100.100.100.200", AddressKind.METADATA),
        ("fd00:ec2::254", AddressKind.METADATA),
        ("::ffff:169.254.169.254", AddressKind.METADATA),
        ("::169.254.169.254", AddressKind.METADATA),
        ("64:ff9b::a9fe:a9fe", AddressKind.METADATA),
        ("64:ff9b:1::a9fe:a9fe", AddressKind.METADATA),
        ("2002:a9fe:a9fe::", AddressKind.METADATA),
        ("2001:0:a9fe:a9fe::", AddressKind.METADATA),
        ("2001::5601:5601", AddressKind.METADATA),  # 169.254.169.254, as Teredo hides a client
        ("2606::5efe:a9fe:a9fe", AddressKind.METADATA),
        ("169.254.1.1", AddressKind.LINK_LOCAL),
        ("fe80::1", AddressKind.LINK_LOCAL),
        ("fe80::1%eth0", AddressKind.LINK_LOCAL),
        ("93.184.216.34%eth0", AddressKind.LINK_LOCAL),
        ("224.0.0.251", AddressKind.MULTICAST),
        ("ff02::fb", AddressKind.MULTICAST),
        ("0.0.0.0", AddressKind.UNSPECIFIED),
        ("0.1.2.3", AddressKind.UNSPECIFIED),
        ("::", AddressKind.UNSPECIFIED),
        ("127.0.0.1", AddressKind.LOOPBACK),
        ("127.255.255.254", AddressKind.LOOPBACK),
        ("::1", AddressKind.LOOPBACK),
        ("::ffff:127.0.0.1", AddressKind.LOOPBACK),
        ("10.1.2.3", AddressKind.PRIVATE),
        ("172.31.255.255", AddressKind.PRIVATE),
        ("172.32.0.0", AddressKind.PUBLIC),
        ("192.168.0.1", AddressKind.PRIVATE),
        ("fd12:3456::1", AddressKind.PRIVATE),
        ("100.64.0.1", AddressKind.SHARED),
        ("100.128.0.1", AddressKind.PUBLIC),
        ("198.18.0.1", AddressKind.RESERVED),
        ("198.51.100.1", AddressKind.RESERVED),
        ("255.255.255.255", AddressKind.RESERVED),
        ("2001:db8::1", AddressKind.RESERVED),
        ("4000::1", AddressKind.RESERVED),
        ("::2:0:0:0", AddressKind.RESERVED),
        ("64:ff9b:2::1", AddressKind.RESERVED),
        ("100::1", AddressKind.RESERVED),
        ("2002:5db8:d822::", AddressKind.TUNNEL),
        ("64:ff9b:1::5db8:d822", AddressKind.TUNNEL),
        ("1.2.3", AddressKind.RESERVED),
        ("", AddressKind.RESERVED),
    ],
)
def test_an_address_has_its_worst_kind(text: str, kind: AddressKind) -> None:
    assert kind_of_text(text) is kind
