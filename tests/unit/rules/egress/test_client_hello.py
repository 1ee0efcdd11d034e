"""The server name in a hello: of real clients, of split ones, and of those that were made to deceive."""

from __future__ import annotations

import pytest

from egress_world import hello_of, in_records
from toolward.rules.egress.client_hello import (
    HELLO_BYTES_MAX,
    HELLO_RECORDS_MAX,
    Malformed,
    Named,
    NeedsMore,
    Unnamed,
    read_client_hello,
)


def block(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "big") + data


def server_names(*names: bytes, kind: int = 0) -> bytes:
    return block(b"".join(bytes([kind]) + block(name, 2) for name in names), 2)


def made(*extensions: tuple[int, bytes], tail: bytes = b"", version: bytes = b"\x03\x03") -> bytes:
    """A hello with these extensions."""
    body = version + b"r" * 32 + block(b"s" * 32, 1) + block(b"\x13\x01", 2) + block(b"\0", 1)
    body += block(b"".join(kind.to_bytes(2, "big") + block(data, 2) for kind, data in extensions), 2) + tail
    message = b"\x01" + block(body, 3)
    return b"\x16\x03\x01" + block(message, 2)


NAME = (0, server_names(b"api.good.example"))


def test_what_real_clients_send_is_understood() -> None:
    assert read_client_hello(hello_of("api.good.example")) == Named("api.good.example")
    assert read_client_hello(hello_of("API.good.example")) == Named("api.good.example")
    assert read_client_hello(hello_of(None)) == Unnamed()
    assert read_client_hello(made(NAME)) == Named("api.good.example")


def test_a_hello_that_may_hide_another_name_is_told_of() -> None:
    assert read_client_hello(made(NAME, (0xFE0D, b"\0" * 40))) == Named("api.good.example", encrypted=True)
    assert read_client_hello(made((0xFE0D, b"\0" * 40))) == Unnamed(encrypted=True)


def test_a_hello_is_read_when_it_is_complete_and_not_before() -> None:
    hello = hello_of("api.good.example")
    assert [read_client_hello(hello[:size]) for size in range(len(hello))] == [NeedsMore()] * len(hello)
    assert read_client_hello(hello + b"\x17\x03\x03\x00\x01x") == Named("api.good.example")  # early data


def test_a_hello_in_several_records_is_put_together() -> None:
    assert read_client_hello(in_records(made(NAME), [1, 1, 1, 1, 40])) == Named("api.good.example")
    assert read_client_hello(in_records(made(NAME), [1] * HELLO_RECORDS_MAX)) == Malformed(
        "the hello is split into too many records"
    )


def test_control_a_reader_of_the_first_record_alone_misses_the_name() -> None:
    first = in_records(made(NAME), [20])[:25]
    assert b"api.good.example" not in first
    assert read_client_hello(first) == NeedsMore()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\x01\x03\x01",  # SSL 2
        b"\x15\x03\x03\x00\x02\x02\x28",  # an alert
        b"\x16\x02",
        b"\x16\x03\x09",
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x03\x01\xff\xff",  # a record that is too long
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a server's hello
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",  # a hello of 16 MiB
        in_records(made(NAME), [])[:9] + b"\x16\x03\x01",
        made(NAME, NAME),  # twice
        made((0, server_names(b"api.good.example", b"evil.example"))),
        made((0, server_names(b"api.good.example") + b"x")),
        made((0, server_names(b"api.good.example", kind=1))),
        made((0, server_names(b""))),
        made((0, server_names(b"api.good.example\0.evil.example"))),
        made((0, server_names(b"api.good.example."))),
        made((0, server_names("bücher.example".encode()))),
        made((0, b"\0\0")),
        made((0, b"")),
        made(NAME, tail=b"x"),
        made(NAME, version=b"\x02\x00"),
        made((10, b"\0" * HELLO_BYTES_MAX)),
    ],
    ids=lambda data: data[:24].hex(),
)
def test_what_readers_could_read_differently_is_no_hello(data: bytes) -> None:
    found = read_client_hello(data)
    assert isinstance(found, Malformed) or (found == NeedsMore() and len(data) < 20)


def test_a_second_message_behind_the_hello_in_its_record_is_refused() -> None:
    message = made(NAME)[5:]
    assert isinstance(read_client_hello(b"\x16\x03\x01" + block(message + b"\x01", 2)), Malformed)
