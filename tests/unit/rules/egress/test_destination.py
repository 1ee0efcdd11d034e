"""Every spelling of a destination is one destination for every reader, or none."""

from __future__ import annotations

import socket

import pytest

from toolward.errors import WardError
from toolward.model.egress import Destination, EgressCode, Grant, Refusal
from toolward.rules.egress.destination import (
    granted,
    judge_addresses,
    parse_destination,
    parse_grant,
    upstream_grant,
)

GRANTS = (
    parse_grant("api.good.example:443"),
    parse_grant("*.wild.example:443"),
    parse_grant("93.184.216.34:443"),
    parse_grant("[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443"),
    parse_grant("db.corp.example:5432", unsafe_private=True),
    parse_grant("localhost:8080", unsafe_private=True),
)
BAD, DENIED, OK = EgressCode.BAD_HOST, EgressCode.NOT_GRANTED, EgressCode.OK


def verdict(text: str) -> EgressCode:
    found = parse_destination(text)
    if isinstance(found, Refusal):
        return found.code
    grant = granted(found, GRANTS)
    return grant.code if isinstance(grant, Refusal) else EgressCode.OK


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # what is granted, in every spelling that is one
        ("api.good.example:443", OK),
        ("API.Good.EXAMPLE:443", OK),
        ("api.good.example.:443", OK),
        ("a.wild.example:443", OK),
        ("a.b.c.wild.example:443", OK),
        ("xn--bcher-kva.wild.example:443", OK),
        ("93.184.216.34:443", OK),
        ("[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443", OK),
        ("[2606:2800:021F:CB07:6820:80DA:AF6B:8B2C]:443", OK),
        ("db.corp.example:5432", OK),
        ("localhost:8080", OK),
        # names and ports that are not granted
        ("evil.example:443", DENIED),
        ("api.good.example:22", DENIED),
        ("api.good.example.evil.example:443", DENIED),
        ("evilapi.good.example:443", DENIED),
        ("good.example:443", DENIED),
        ("wild.example:443", DENIED),
        ("evilwild.example:443", DENIED),
        ("c2VjcmV0.evil.example:443", DENIED),
        ("localhost:443", DENIED),
        ("93.184.216.35:443", DENIED),
        # address literals that nobody granted
        ("127.0.0.1:8080", DENIED),
        ("169.254.169.254:80", DENIED),
        ("[::1]:8080", DENIED),
        ("[::ffff:169.254.169.254]:80", DENIED),
        ("[64:ff9b::a9fe:a9fe]:80", DENIED),
        ("[0:0:0:0:0:ffff:7f00:1]:80", DENIED),
        # numbers that readers take for addresses
        ("2852039166:80", BAD),
        ("0xa9fea9fe:80", BAD),
        ("0xa9.0xfe.0xa9.0xfe:80", BAD),
        ("0XA9.0xFE.0xa9.0xfe:80", BAD),
        ("0177.0.0.1:8080", BAD),
        ("0251.0376.0251.0376:80", BAD),
        ("127.1:80", BAD),
        ("127.0.1:80", BAD),
        ("0:80", BAD),
        ("0x:80", BAD),
        ("1.2.3.4.5:80", BAD),
        ("256.1.1.1:80", BAD),
        ("93.184.216.034:443", BAD),
        ("93.184.216.34.:443", BAD),
        ("93.184.216.0x22:443", BAD),
        ("api.good.example.1:443", BAD),
        # brackets and zones
        ("[::1%eth0]:80", BAD),
        ("[fe80::1%25eth0]:80", BAD),
        ("[::1:80", BAD),
        ("[::1]80", BAD),
        ("[::1]x:80", BAD),
        ("[]:80", BAD),
        ("[127.0.0.1]:80", BAD),
        ("[v1.x]:80", BAD),
        ("::1:80", BAD),
        ("[[::1]]:80", BAD),
        # user information, escapes, separators
        ("api.good.example@evil.example:443", BAD),
        ("api.good.example:443@evil.example:443", BAD),
        ("@api.good.example:443", BAD),
        ("api%2egood.example:443", BAD),
        ("api.good.example%00.evil.example:443", BAD),
        ("api.good.example\0.evil.example:443", BAD),
        ("api.good.example\r\n.evil.example:443", BAD),
        ("api.good.example\t:443", BAD),
        (" api.good.example:443", BAD),
        ("api.good.example\x7f:443", BAD),
        ("api.good.example\\.evil.example:443", BAD),
        ("api.good.example/x:443", BAD),
        ("api.good.example#x:443", BAD),
        ("api.good.example?x:443", BAD),
        ("*.wild.example:443", BAD),
        # beyond ASCII
        ("api。good。example:443", BAD),
        ("api\uff0egood\uff0eexample:443", BAD),
        ("\u0430pi.good.example:443", BAD),
        ("ⓐpi.good.example:443", BAD),
        ("\uff11\uff12\uff17.0.0.1:80", BAD),
        ("api.good.example\u200b:443", BAD),
        ("api.good.ex\xadample:443", BAD),
        ("\u017f.wild.example:443", BAD),
        # labels
        ("api..good.example:443", BAD),
        ("api.good.example..:443", BAD),
        (".api.good.example:443", BAD),
        (".:443", BAD),
        (":443", BAD),
        ("", BAD),
        ("-a.wild.example:443", BAD),
        ("a-.wild.example:443", BAD),
        ("a_b.wild.example:443", BAD),
        ("a" * 64 + ".wild.example:443", BAD),
        (".".join(["a" * 60] * 5) + ".wild.example:443", BAD),
        # ports
        ("api.good.example", BAD),
        ("api.good.example:", BAD),
        ("api.good.example:0", BAD),
        ("api.good.example:0443", BAD),
        ("api.good.example:+443", BAD),
        ("api.good.example:-1", BAD),
        ("api.good.example:65536", BAD),
        ("api.good.example:99999999999999999999", BAD),
        ("api.good.example:\uff14\uff14\uff13", BAD),
        ("api.good.example:443:443", BAD),
        ("api.good.example:https", BAD),
    ],
)
def test_a_spelling_is_judged_as_every_reader_reads_it(text: str, code: EgressCode) -> None:
    assert verdict(text) is code


@pytest.mark.parametrize(
    "text", ["2852039166", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518"]
)
def test_control_the_systems_own_resolver_takes_these_numbers_for_the_metadata_address(text: str) -> None:
    answers = socket.getaddrinfo(text, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    assert answers[0][4][0] == "169.254.169.254"
    assert isinstance(parse_destination(f"{text}:80"), Refusal)


def test_control_idna_makes_a_granted_name_of_a_foreign_one() -> None:
    assert "api。good。example".encode("idna") == b"api.good.example"


def test_names_lose_their_case_and_one_dot_and_addresses_are_written_in_one_way() -> None:
    assert parse_destination("A.Example.:80") == Destination("a.example", 80)
    assert parse_destination("[0:0::1]:80") == Destination("::1", 80, literal=True)
    assert str(Destination("::1", 80, literal=True)) == "[::1]:80"
    assert parse_destination("a.example", default_port=80) == Destination("a.example", 80)


@pytest.mark.parametrize(
    ("text", "unsafe_private"),
    [
        ("*.com:443", False),
        ("*:443", False),
        ("*.*.example.org:443", False),
        ("a.*.example.org:443", False),
        ("*.1.2.3.4:443", False),
        ("*.corp.example:443", True),
        ("10.0.0.5:8080", False),
        ("127.0.0.1:8080", False),
        ("169.254.169.254:80", False),
        ("169.254.169.254:80", True),
        ("[fe80::1]:80", True),
        ("0.0.0.0:80", True),
        ("224.0.0.1:80", True),
        ("example.org", False),
        ("https://example.org:443", False),
        ("0x7f.1:80", True),
    ],
)
def test_a_grant_that_says_too_much_is_refused_with_a_remedy(text: str, unsafe_private: bool) -> None:
    with pytest.raises(WardError) as refused:
        parse_grant(text, unsafe_private=unsafe_private)
    assert refused.value.reason.remedy


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        (["93.184.216.34"], None),
        (["93.184.216.34", "2606:2800::1"], None),
        (["64:ff9b::5db8:d822"], None),
        (["8.8.8.8", "10.0.0.1"], EgressCode.FORBIDDEN_ADDRESS),
        (["10.0.0.1"], EgressCode.FORBIDDEN_ADDRESS),
        (["169.254.169.254"], EgressCode.FORBIDDEN_ADDRESS),
        (["::ffff:10.0.0.5"], EgressCode.FORBIDDEN_ADDRESS),
        (["64:ff9b::a9fe:a9fe"], EgressCode.FORBIDDEN_ADDRESS),
        (["fe80::1%eth0"], EgressCode.FORBIDDEN_ADDRESS),
        (["not an address"], EgressCode.FORBIDDEN_ADDRESS),
        ([""], EgressCode.FORBIDDEN_ADDRESS),
        ([], EgressCode.UNRESOLVED),
    ],
)
def test_one_forbidden_answer_refuses_them_all(answers: list[str], code: EgressCode | None) -> None:
    no = judge_addresses(Destination("a.example", 443), Grant(host="a.example", port=443), answers)
    assert (no.code if no else None) is code


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        ("10.0.0.5", True),
        ("127.0.0.1", True),
        ("100.64.0.9", True),
        ("fd12::1", True),
        ("93.184.216.34", True),
        ("169.254.169.254", False),
        ("169.254.1.1", False),
        ("100.100.100.200", False),
        ("fd00:ec2::254", False),
        ("0.0.0.0", False),
        ("2002:a00:5::", False),
        ("255.255.255.255", False),
    ],
)
def test_a_private_grant_never_reaches_metadata_or_link_local_addresses(answer: str, allowed: bool) -> None:
    grant = parse_grant("db.corp.example:5432", unsafe_private=True)
    no = judge_addresses(Destination("db.corp.example", 5432), grant, [answer])
    assert (no is None) is allowed


def test_a_wildcard_never_leads_to_private_addresses_whoever_made_it() -> None:
    grant = Grant(host="*.corp.example", port=443, unsafe_private=True)
    assert judge_addresses(Destination("a.corp.example", 443), grant, ["10.0.0.1"]) is not None


def test_localhost_is_loopback_and_nothing_else() -> None:
    grant = parse_grant("localhost:8080", unsafe_private=True)
    place = Destination("localhost", 8080)
    assert judge_addresses(place, grant, ["::1", "127.0.0.1"]) is None
    assert judge_addresses(place, grant, ["10.0.0.1"]) is not None
    assert judge_addresses(place, grant, ["93.184.216.34"]) is not None


@pytest.mark.parametrize(
    ("host", "private_network", "unsafe_private"),
    [
        ("mcp.example.org", False, False),
        ("mcp.example.org", True, True),
        ("localhost", False, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.0.0.5", False, True),
        ("93.184.216.34", False, False),
        ("93.184.216.34", True, False),
    ],
)
def test_a_url_grants_what_it_names(host: str, private_network: bool, unsafe_private: bool) -> None:
    grant = upstream_grant(host, 443, private_network=private_network)
    assert grant == Grant(host=host, port=443, unsafe_private=unsafe_private)


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "0.0.0.0", "0x7f.1", "2130706433", "a_b", ""])
def test_a_url_does_not_grant_what_nobody_may_reach(host: str) -> None:
    assert isinstance(upstream_grant(host, 443, private_network=True), Refusal)
