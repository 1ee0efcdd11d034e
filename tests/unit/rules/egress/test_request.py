"""Requests to the proxy: what is sent on can be read in one way only."""

from __future__ import annotations

import pytest

from toolward.model.egress import Destination, EgressCode, Refusal
from toolward.rules.egress.request import CHUNKED, ForwardRequest, TunnelRequest, read_request

HOST = "Host: api.good.example"
GET = "GET http://api.good.example/x HTTP/1.1"
POST = "POST http://api.good.example/x HTTP/1.1"
CONNECT = "CONNECT api.good.example:443 HTTP/1.1"


def read(*lines: str) -> TunnelRequest | ForwardRequest | Refusal:
    return read_request("\r\n".join([*lines, "", ""]).encode("latin-1"))


def test_a_tunnel_names_its_destination() -> None:
    place = TunnelRequest(Destination("api.good.example", 443))
    assert read(CONNECT) == place
    assert read(CONNECT, "Host: API.good.example:443", "Proxy-Connection: keep-alive") == place
    assert read(CONNECT, HOST) == place
    assert read("CONNECT api.good.example:443 HTTP/1.0") == place


def test_a_request_is_written_anew_without_what_belongs_to_this_hop() -> None:
    found = read(
        "POST HTTP://API.good.example:8080?q=1 HTTP/1.1",
        "Host: api.good.example:8080",
        "Content-Length: 4",
        "Proxy-Authorization: Basic c2VjcmV0",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "Keep-Alive: 5",
        "TE: trailers",
        "Upgrade: h2c",
        "Accept:\t*/* ",
    )
    assert found == ForwardRequest(
        Destination("api.good.example", 8080),
        b"POST /?q=1 HTTP/1.1\r\nhost: api.good.example:8080\r\naccept: */*\r\n"
        b"content-length: 4\r\nconnection: close\r\n\r\n",
        4,
    )
    plain = read(GET, HOST)
    assert isinstance(plain, ForwardRequest)
    assert plain.head == b"GET /x HTTP/1.1\r\nhost: api.good.example\r\nconnection: close\r\n\r\n"
    chunked = read(POST, HOST, "Transfer-Encoding: Chunked")
    assert isinstance(chunked, ForwardRequest)
    assert chunked.length == CHUNKED


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1", HOST),
        ("GET https://api.good.example/ HTTP/1.1", HOST),
        ("GET ftp://api.good.example/ HTTP/1.1", HOST),
        ("GET http:api.good.example/ HTTP/1.1", HOST),
        ("GET http://api.good.example/#x HTTP/1.1", HOST),
        ("OPTIONS * HTTP/1.1", HOST),
        ("GET http://api.good.example/x HTTP/2.0", HOST),
        ("GET http://api.good.example/x HTTP/1.1 ", HOST),
        ("GET  http://api.good.example/x HTTP/1.1", HOST),
        ("GET\thttp://api.good.example/x HTTP/1.1", HOST),
        ("GET http://api.good.example/ x HTTP/1.1", HOST),
        ("GET http://api.good.example/\0 HTTP/1.1", HOST),
        ("GET http://api.good.example/\xe4 HTTP/1.1", HOST),
        ("G(T http://api.good.example/x HTTP/1.1", HOST),
        ("GET http://api.good.example/x", HOST),
        ("", GET, HOST),
        (GET,),
        (GET, HOST, HOST),
        (GET, "Host: evil.example"),
        (GET, "Host: api.good.example:8080"),
        (GET, "Host: api.good.example, evil.example"),
        (GET, "Host:"),
        (GET, HOST + " evil.example"),
        (GET, "Host : api.good.example"),
        (GET, " " + HOST),
        (GET, HOST, "X: 1", " folded"),
        (GET, HOST, "X: 1\r2"),
        (GET, HOST, "X: 1\nY: 2"),
        (GET, HOST, "X: \x00"),
        (GET, HOST, "no colon"),
        (GET, HOST, ": empty"),
        (GET, HOST, *["X: 1"] * 100),
        (POST, HOST, "Content-Length: 4", "Transfer-Encoding: chunked"),
        (POST, HOST, "Content-Length: 4", "Content-Length: 5"),
        (POST, HOST, "Content-Length: 4", "content-length: 4"),
        (POST, HOST, "Content-Length: 4, 4"),
        (POST, HOST, "Content-Length: +4"),
        (POST, HOST, "Content-Length: 0x4"),
        (POST, HOST, "Content-Length: "),
        (POST, HOST, "Content-Length: -1"),
        (POST, HOST, "Content-Length: " + "9" * 40),
        (POST, HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        (POST, HOST, "Transfer-Encoding: gzip, chunked"),
        (POST, HOST, "Transfer-Encoding: chunked;x"),
        (POST, HOST, "Transfer-Encoding: xchunked"),
        ("POST http://api.good.example/x HTTP/1.0", "Transfer-Encoding: chunked"),
        (POST, HOST, "Content-Length: 4", "Connection: close, Content-Length"),
        (POST, HOST, "Connection: host"),
        (CONNECT, "Host: evil.example:443"),
        (CONNECT, "Host: api.good.example:80"),
        (CONNECT, HOST, "Content-Length: 4"),
        (CONNECT, HOST, "Transfer-Encoding: chunked"),
    ],
)
def test_what_two_readers_could_read_differently_is_malformed(lines: tuple[str, ...]) -> None:
    found = read(*lines)
    assert isinstance(found, Refusal)
    assert found.code is EgressCode.MALFORMED
    assert found.remedy


@pytest.mark.parametrize(
    "lines",
    [
        ("GET http://user@api.good.example/x HTTP/1.1", HOST),
        ("GET http://api.good.example\\@evil.example/ HTTP/1.1", HOST),
        ("GET http:///x HTTP/1.1", HOST),
        ("GET http://2130706433/x HTTP/1.1", "Host: 2130706433"),
        ("CONNECT api.good.example HTTP/1.1", HOST),
        ("CONNECT http://api.good.example:443 HTTP/1.1", HOST),
    ],
)
def test_a_host_that_readers_spell_differently_is_refused(lines: tuple[str, ...]) -> None:
    found = read(*lines)
    assert isinstance(found, Refusal)
    assert found.code is EgressCode.BAD_HOST


def test_a_long_field_is_read_in_linear_time() -> None:
    found = read(GET, HOST, "X: " + " " * 16_000 + "\x01")
    assert isinstance(found, Refusal)
