"""A connection whose request does not arrive is closed; a slow answer is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from toolward.doors.uvicorn_protocol import DoorProtocol

Message = dict[str, Any]
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"


class Impatient(DoorProtocol):
    request_within_s = 0.2


async def answer(_: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0.5)  # longer than a request may take to arrive
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def at_once(_: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def serving(
    protocol: type[DoorProtocol], app: Any = answer, keep_alive_s: int = 5
) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app,
        http=protocol,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=keep_alive_s,
    )
    server = uvicorn.Server(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        await server.shutdown(sockets=[listener])


@pytest.mark.parametrize("sent", [b"", REQUEST[:20], REQUEST[:-1]])
async def test_who_does_not_finish_a_request_is_dropped(sent: bytes) -> None:
    async with serving(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_dribble_does_not_buy_time() -> None:
    async with serving(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        closed = asyncio.ensure_future(reader.read())
        for byte in REQUEST[:-1] * 2:
            writer.write(bytes([byte]))
            await asyncio.wait([closed], timeout=0.02)
            if closed.done():
                break
        assert closed.done()
        assert await closed == b""
        writer.close()


async def test_answers_take_as_long_as_they_do_and_the_connection_is_kept() -> None:
    async with serving(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(REQUEST)
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_without_the_deadline_a_dawdler_is_kept() -> None:
    """The control: uvicorn alone waits for ever."""
    async with serving(DoorProtocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST[:-1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.5)
        writer.close()


async def test_a_connection_that_rests_too_long_is_closed() -> None:
    async with serving(Impatient, at_once, keep_alive_s=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        loop = asyncio.get_running_loop()
        for _ in range(3):  # each request begins its rest anew
            writer.write(REQUEST)
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
            answered = loop.time()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.5)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert loop.time() - answered >= 1
        writer.close()


async def late(_: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
    await asyncio.sleep(0.5)
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def refuse(_: Message, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    ("app", "first", "later"), [(refuse, REQUEST[:-2], b"ok"), (at_once, REQUEST, b"\r\n")]
)
async def test_bytes_that_begin_no_request_do_not_keep_a_connection(
    app: Any, first: bytes, later: bytes
) -> None:
    """A body that comes after its answer, and an empty line between requests."""
    async with serving(Impatient, app, keep_alive_s=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.write(later)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_request_that_the_server_does_not_read_on_is_not_the_callers_fault() -> None:
    """The second one is cut: reading stops at its head until the first is answered, which takes its time."""
    async with serving(Impatient, late) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST + REQUEST[:-1])
        await asyncio.sleep(0.05)
        writer.write(REQUEST[-1:])
        for _ in range(2):
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_request_that_began_before_the_answer_to_the_one_before_is_no_rest() -> None:
    """Its answer takes longer than a connection may rest, counted from the answer before it."""
    waits = iter((0.3, 1.8))

    async def slower(_: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        await receive()
        await asyncio.sleep(next(waits))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with serving(Impatient, slower, keep_alive_s=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await asyncio.sleep(0.2)
        writer.write(REQUEST[:3])
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.write(REQUEST[3:])
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
        writer.close()
