"""Laws of what may leave: no way to a forbidden address, no input that breaks a reader, no second reading."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import example, given
from hypothesis import strategies as st

from egress_world import hello_of, in_records
from toolward.model.egress import Destination, Grant, Refusal
from toolward.rules.egress.addresses import AddressKind, kind_of, kind_of_text
from toolward.rules.egress.client_hello import Malformed, Named, NeedsMore, Unnamed, read_client_hello
from toolward.rules.egress.destination import granted, judge_addresses, parse_destination
from toolward.rules.egress.request import ForwardRequest, TunnelRequest, read_request

FORBIDDEN_4 = (
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("224.0.0.0", 4),
    ("240.0.0.0", 4),
    ("168.63.129.16", 32),
)


@st.composite
def forbidden_4(draw: st.DrawFn) -> IPv4Address:
    base, length = draw(st.sampled_from(FORBIDDEN_4))
    return IPv4Address(int(IPv4Address(base)) | draw(st.integers(0, (1 << (32 - length)) - 1)))


def embeddings(inner: IPv4Address, other: int) -> list[IPv6Address]:
    """Every way in which an IPv6 address is known to carry an IPv4 address; `other` fills what is free."""
    number, free_64 = int(inner), other & ((1 << 64) - 1)
    at = lambda prefix: int(IPv6Address(prefix))  # noqa: E731
    return [
        IPv6Address(at("::ffff:0:0") | number),
        IPv6Address(at("::ffff:0:0:0") | number),
        IPv6Address(at("64:ff9b::") | number),
        IPv6Address(at("64:ff9b:1::") | number),
        IPv6Address(at("2002::") | number << 80 | free_64),
        IPv6Address(at("2001::") | number << 64 | free_64),  # as the Teredo server
        IPv6Address(at("2001::") | (free_64 & ~0xFFFFFFFF) | (number ^ 0xFFFFFFFF)),  # as its client
        IPv6Address(at("2606::") | 0x5EFE << 32 | number),
        IPv6Address(at("2606::") | 0x2005EFE << 32 | number),
        *([IPv6Address(number)] if number > 1 else []),
    ]


@given(forbidden_4(), st.integers(0, (1 << 64) - 1))
def test_no_embedding_of_a_forbidden_address_is_public(inner: IPv4Address, other: int) -> None:
    assert kind_of(inner) is not AddressKind.PUBLIC
    place, grant = Destination("a.example", 443), Grant(host="a.example", port=443)
    for outer in embeddings(inner, other):
        assert kind_of(outer) is not AddressKind.PUBLIC, outer
        assert judge_addresses(place, grant, ["93.184.216.34", str(outer)]) is not None


@given(st.integers(0, (1 << 32) - 1).map(IPv4Address) | st.integers(0, (1 << 128) - 1).map(IPv6Address))
@example(IPv6Address("2606:2800::1"))
def test_what_is_public_here_is_global_in_the_standard_library_too(
    address: IPv4Address | IPv6Address,
) -> None:
    if kind_of(address) is AddressKind.PUBLIC:
        mapped = getattr(address, "ipv4_mapped", None)
        nat64 = address in _NAT64 if isinstance(address, IPv6Address) else False
        assert address.is_global or mapped is not None or nat64
        assert not address.is_multicast


class _Nat64:
    def __contains__(self, address: object) -> bool:
        return isinstance(address, IPv6Address) and int(address) >> 32 == 0x64FF9B << 64


_NAT64 = _Nat64()


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_text_breaks_the_parser_and_what_it_accepts_it_accepts_again(text: str) -> None:
    found = parse_destination(text, default_port=80)
    if isinstance(found, Destination):
        assert parse_destination(str(found)) == found
        assert found.host.isascii()
        assert not set(found.host) & set("@/\\%#? \t\r\n\0[]")
    assert kind_of_text(text) in AddressKind


HOSTS = st.text("abcdexn019.-:[]%@0xX\u3002", min_size=1, max_size=20)


@given(HOSTS, st.lists(HOSTS.map(lambda host: Grant(host=host, port=80)), max_size=4))
def test_what_is_granted_is_named_by_a_grant(host: str, grants: list[Grant]) -> None:
    found = parse_destination(host, default_port=80)
    if isinstance(found, Refusal):
        return
    grant = granted(found, grants)
    if isinstance(grant, Grant):
        assert grant.host == found.host or found.host.endswith(grant.host.removeprefix("*"))
        if found.literal:
            assert grant.host == found.host
            assert str(ip_address(found.host)) == found.host


# --- TLS ---------------------------------------------------------------------------------------------

HELLO = hello_of("api.good.example", alpn=["h2", "http/1.1"])
SIZES = st.lists(st.integers(1, 600), max_size=12)


@given(SIZES, st.binary(max_size=20))
def test_a_hello_says_the_same_however_it_is_split(sizes: list[int], more: bytes) -> None:
    whole = in_records(HELLO, sizes)
    assert read_client_hello(whole + more) == Named("api.good.example")


@given(SIZES, st.data())
def test_a_beginning_is_answered_like_the_whole_or_not_at_all(sizes: list[int], data: st.DataObject) -> None:
    whole = in_records(HELLO, sizes)
    at = data.draw(st.integers(0, len(whole) - 1))
    assert read_client_hello(whole[:at]) == NeedsMore()


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255), st.data())
def test_a_changed_hello_is_answered_alike_at_every_cut(place: int, value: int, data: st.DataObject) -> None:
    changed = HELLO[:place] + bytes([value]) + HELLO[place + 1 :]
    whole = read_client_hello(changed)
    part = read_client_hello(changed[: data.draw(st.integers(0, len(changed)))])
    assert part in (whole, NeedsMore())


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda raw: b"\x16\x03\x01" + raw))
def test_no_bytes_break_the_reader_of_hellos(data: bytes) -> None:
    assert isinstance(read_client_hello(data), (Named, Unnamed, NeedsMore, Malformed))


# --- requests ----------------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        b"GET http://api.good.example/x HTTP/1.1",
        b"CONNECT api.good.example:443 HTTP/1.1",
        b"Host: api.good.example",
        b"Host: evil.example",
        b"Content-Length: 4",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Connection: content-length",
        b"Connection: x-secret, close",
        b"X-Secret: 1",
        b" folded",
        b"Host : api.good.example",
        b"",
    ]
)


@given(st.lists(LINES | st.binary(max_size=30), max_size=6))
def test_a_request_that_is_sent_on_has_one_host_and_one_length(lines: list[bytes]) -> None:
    found = read_request(b"\r\n".join(lines) + b"\r\n\r\n")
    assert isinstance(found, (ForwardRequest, TunnelRequest, Refusal))
    if isinstance(found, ForwardRequest):
        head = found.head.lower()
        assert head.count(b"\r\nhost:") == 1
        assert head.count(b"\r\ncontent-length:") + head.count(b"\r\ntransfer-encoding:") <= 1
        assert head.count(b"\r\n\r\n") == 1
        assert head.endswith(b"connection: close\r\n\r\n")
        assert b"\n" not in head.replace(b"\r\n", b"")
        assert f"host: {found.destination.host}".encode() in head
