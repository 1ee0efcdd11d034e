"""The server name in a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3), read strictly.

`read_client_hello` is given everything that has arrived so far, again and again, until it knows. Its answer
about a beginning is the answer about the whole, or `NeedsMore`. With Encrypted ClientHello (0xfe0d) the name
found is the outer one: what it hides can not be seen here, and clients send the extension as a decoy too,
so that it is told and not refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HELLO_BYTES_MAX: Final = 32 * 1024
"""A hello with post-quantum shares and a session ticket has 2 to 4 KiB; more than this is no hello."""
HELLO_RECORDS_MAX: Final = 16
"""Records that one hello may be split into; real clients use one or two, evasion tools up to a handful."""
RECORD_BYTES_MAX: Final = 16 * 1024
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_RECORD_HEAD: Final = 5
_MESSAGE_HEAD: Final = 4
_MAJOR: Final = 3
_MINORS: Final = range(5)  # of records and hellos alike; later versions are said in an extension
_RANDOM: Final = 32
_SESSION_ID_MAX: Final = 32
_SERVER_NAME: Final = 0
_ENCRYPTED_HELLO: Final = 0xFE0D
_NAME: Final = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class NeedsMore:
    """The hello is not complete."""


@dataclass(frozen=True, slots=True)
class Named:
    """A complete hello with one server name, in lower case. `encrypted`: it may hide another one."""

    name: str
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A complete hello without a server name."""

    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a ClientHello, or one that readers could read differently."""

    why: str


Hello = NeedsMore | Named | Unnamed | Malformed


class _Wrong(Exception):
    """What is wrong with the bytes."""


class _Cursor:
    """Takes bytes off a block that is known to be complete."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes, all of them."""
        if self.at + size > len(self.data):
            raise _Wrong("a length leads past its block")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        """The next `size` bytes as a number."""
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> bytes:
        """A vector whose length is written in `size` bytes."""
        return self.take(self.number(size))

    @property
    def left(self) -> bool:
        """Whether anything is left."""
        return self.at < len(self.data)


def read_client_hello(data: bytes) -> Hello:
    """What a connection that began with `data` asks for. Never raises; looks at `HELLO_BYTES_MAX` at most."""
    try:
        message = _message(data)
        if message is not None:
            return _hello(_Cursor(message))
    except _Wrong as wrong:
        return Malformed(str(wrong))
    return NeedsMore()


def _message(data: bytes) -> bytes | None:
    """The body of the handshake message that `data` begins with, put together from its records."""
    at, message = 0, b""
    for _ in range(HELLO_RECORDS_MAX):
        _check_head(data[at : at + _RECORD_HEAD])
        if at + _RECORD_HEAD > len(data):
            return None
        size = int.from_bytes(data[at + 3 : at + _RECORD_HEAD], "big")
        message += data[at + _RECORD_HEAD : at + _RECORD_HEAD + size]
        at += _RECORD_HEAD + size
        if message and message[0] != _CLIENT_HELLO:
            raise _Wrong("the first message is no client hello")
        if len(message) >= _MESSAGE_HEAD:
            wanted = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD], "big")
            if wanted > HELLO_BYTES_MAX:
                raise _Wrong("the hello is too long")
            if len(message) > wanted:
                raise _Wrong("a second message in the hello's record")
            if len(message) == wanted and at <= len(data):
                return message[_MESSAGE_HEAD:]
        if at > len(data):
            return None
    raise _Wrong("the hello is split into too many records")


def _check_head(head: bytes) -> None:
    """Whatever of a record's head is there must be right."""
    if head and head[0] != _HANDSHAKE:
        raise _Wrong("not a tls handshake")
    if len(head) > 1 and head[1] != _MAJOR:
        raise _Wrong("not a known version of tls")
    if len(head) > 2 and head[2] not in _MINORS:  # noqa: PLR2004 -- the place of that byte
        raise _Wrong("not a known version of tls")
    if len(head) == _RECORD_HEAD and not 0 < int.from_bytes(head[3:], "big") <= RECORD_BYTES_MAX:
        raise _Wrong("a record of a length that is not allowed")


def _hello(body: _Cursor) -> Named | Unnamed:
    if body.number(1) != _MAJOR or body.number(1) not in _MINORS:
        raise _Wrong("not a known version of tls")
    _ = body.take(_RANDOM)
    if len(body.block(1)) > _SESSION_ID_MAX:
        raise _Wrong("the session id is too long")
    suites = body.block(2)
    if not suites or len(suites) % 2:
        raise _Wrong("the cipher suites are not a list")
    if not body.block(1):
        raise _Wrong("no compression method")
    extensions = _extensions(_Cursor(body.block(2))) if body.left else {}
    if body.left:
        raise _Wrong("bytes after the extensions")
    encrypted = _ENCRYPTED_HELLO in extensions
    if _SERVER_NAME not in extensions:
        return Unnamed(encrypted=encrypted)
    return Named(_server_name(_Cursor(extensions[_SERVER_NAME])), encrypted=encrypted)


def _extensions(cursor: _Cursor) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while cursor.left:
        kind = cursor.number(2)
        if kind in found:
            raise _Wrong("an extension stands there twice")
        found[kind] = cursor.block(2)
    return found


def _server_name(cursor: _Cursor) -> str:
    """The one name of the list. Servers differ on which of several they take."""
    names = _Cursor(cursor.block(2))
    if names.number(1) != 0:
        raise _Wrong("a server name of an unknown kind")
    name = names.block(2)
    if names.left or cursor.left:
        raise _Wrong("more than one server name")
    if not _NAME.fullmatch(name):
        raise _Wrong("the server name is no host name")
    return name.decode("ascii").lower()
