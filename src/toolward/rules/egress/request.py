"""One request to the egress proxy, read so that no server behind it can read another one (RFC 9112).

Two forms are taken: `CONNECT host:port`, and `GET http://host/…` with every method. What a forwarded request
is sent on as is written anew: origin form, one Host, the framing that was judged, no hop-by-hop fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from toolward.model.egress import Destination, EgressCode, Refusal
from toolward.rules.egress.destination import parse_destination

FIELDS_MAX: Final = 100
"""Header fields of one request; browsers send about 20, common servers refuse past 100."""
HTTP_PORT: Final = 80
CHUNKED: Final = -1
"""The length of a body that comes in chunks."""
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/1\.([01])" % _TOKEN)
_FIELD: Final = re.compile(rb"(%b):([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_ABSOLUTE: Final = re.compile(r"http://([^/?#]*)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_FRAMING: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings", *_FRAMING}
)
Fields = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class TunnelRequest:
    """`CONNECT`: bytes are passed on as they are, once the destination is judged."""

    destination: Destination


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """One HTTP request. `head` is what is sent on; the body is `length` bytes, or `CHUNKED`."""

    destination: Destination
    head: bytes
    length: int


def read_request(head: bytes) -> TunnelRequest | ForwardRequest | Refusal:
    """What `head` asks for; it ends with the blank line. Never raises."""
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(lines[0])
    if found is None:
        return _malformed("the request line is not `METHOD TARGET HTTP/1.1`")
    method, target, minor = found[1], found[2].decode("ascii"), found[3]
    fields = _fields(lines[1:])
    if isinstance(fields, Refusal):
        return fields
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (minor == b"1" and method != b"CONNECT" and not hosts):
        return _malformed("a request has exactly one host field")
    length = _length(fields, minor)
    if isinstance(length, Refusal):
        return length
    if method == b"CONNECT":
        return _tunnel(target, hosts, fields)
    return _forward(method, target, hosts, (fields, length))


def _fields(lines: list[bytes]) -> Fields | Refusal:
    """Names in lower case. Folded lines, spaces before the colon and lone line ends do not pass."""
    if len(lines) > FIELDS_MAX:
        return _malformed(f"more than {FIELDS_MAX} header fields")
    found: Fields = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            return _malformed("a header field is not `name: value` on one line")
        found.append((field[1].lower(), field[2].strip(b" \t")))
    return found


def _length(fields: Fields, minor: bytes) -> int | Refusal:
    """How the body is framed, if there is only one way to read it."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        return _malformed("the length of the body is said more than once")
    if codings:
        return (
            CHUNKED if codings == [b"chunked"] and minor == b"1" else _malformed("an unknown transfer coding")
        )
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        return _malformed("the content length is not a number")
    return int(lengths[0]) if lengths else 0


def _tunnel(target: str, hosts: list[bytes], fields: Fields) -> TunnelRequest | Refusal:
    if any(name in (b"content-length", b"transfer-encoding") for name, _ in fields):
        return _malformed("`CONNECT` has no body")
    destination = parse_destination(target)
    if isinstance(destination, Refusal):
        return destination
    if hosts and not _same(hosts[0], destination, default_port=destination.port):
        return _malformed("the host field names another destination than the request line")
    return TunnelRequest(destination)


def _forward(
    method: bytes, target: str, hosts: list[bytes], framed: tuple[Fields, int]
) -> ForwardRequest | Refusal:
    fields, length = framed
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return Refusal(
            EgressCode.MALFORMED,
            "the target is neither `http://host/…` nor that of a `CONNECT`",
            "send the whole url for http, and `CONNECT host:port` for everything else",
        )
    destination = parse_destination(found[1], default_port=HTTP_PORT)
    if isinstance(destination, Refusal):
        return destination
    if hosts and not _same(hosts[0], destination, default_port=HTTP_PORT):
        return _malformed("the host field names another destination than the request line")
    named = {
        each.strip().lower() for name, value in fields if name == b"connection" for each in value.split(b",")
    }
    if named & _FRAMING:
        return _malformed("the connection field names what frames the request")
    lines = [b"%b %b HTTP/1.1" % (method, ((found[2] or "/") + (found[3] or "")).encode("ascii"))]
    authority = str(destination)
    lines.append(b"host: %b" % authority.removesuffix(f":{HTTP_PORT}").encode("ascii"))
    lines += [
        b"%b: %b" % (name, value)
        for name, value in fields
        if name not in _HOP_BY_HOP and name not in named and not name.startswith(b"proxy-")
    ]
    if length == CHUNKED:
        lines.append(b"transfer-encoding: chunked")
    elif any(name == b"content-length" for name, _ in fields):
        lines.append(b"content-length: %d" % length)
    lines.append(b"connection: close\r\n\r\n")
    return ForwardRequest(destination, b"\r\n".join(lines), length)


def _same(host: bytes, destination: Destination, *, default_port: int) -> bool:
    said = parse_destination(host.decode("latin-1"), default_port=default_port)
    return said == destination


def _malformed(text: str) -> Refusal:
    return Refusal(EgressCode.MALFORMED, text, "send one plain HTTP/1.1 request")
