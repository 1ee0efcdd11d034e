"""Heads and bodies leave together, in order, and nothing waits for what never comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from toolward.doors.one_write import OneWrite


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 7


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def made() -> tuple[Wire, OneWrite]:
    wire = Wire()
    return wire, OneWrite(wire, asyncio.get_running_loop())


async def after_this_turn() -> None:
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


async def test_a_head_and_its_body_are_one_write() -> None:
    wire, transport = made()
    transport.write(HEAD)
    transport.write(b"body")
    assert wire.sent == [HEAD + b"body"]
    await after_this_turn()
    assert wire.sent == [HEAD + b"body"]


async def test_a_head_without_a_body_leaves_by_itself() -> None:
    wire, transport = made()
    transport.write(HEAD)
    assert wire.sent == []
    await after_this_turn()
    assert wire.sent == [HEAD]
    transport.write(b"event")
    assert wire.sent == [HEAD, b"event"]


async def test_closing_sends_what_waits_before_it() -> None:
    wire, transport = made()
    transport.write(HEAD)
    transport.close()
    assert (wire.sent, wire.closed) == ([HEAD], True)
    await after_this_turn()
    assert wire.sent == [HEAD]


async def test_two_responses_stay_in_order() -> None:
    wire, transport = made()
    steps: list[Callable[[], None]] = [
        lambda: transport.write(HEAD),
        lambda: transport.write(b"1"),
        lambda: transport.write(HEAD),
        lambda: transport.write(HEAD + b"interim then final"),
        lambda: transport.write(b"2"),
    ]
    for step in steps:
        step()
    await after_this_turn()
    assert b"".join(wire.sent) == HEAD + b"1" + HEAD + HEAD + b"interim then final" + b"2"


async def test_everything_else_is_the_real_transports() -> None:
    wire, transport = made()
    assert transport.get_write_buffer_size() == 7
    assert transport.is_closing() is False
    wire.close()
    assert transport.is_closing() is True
