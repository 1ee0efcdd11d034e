"""One connection to the proxy: one request, judged, recorded, and only then served."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from toolward.adapters.egress.bounds import CHUNK_BYTES, DIAL_TIMEOUT_S
from toolward.adapters.egress.connecting import UNRECORDED, dial
from toolward.adapters.egress.passage import Passage
from toolward.adapters.egress.terms import Terms
from toolward.model.egress import Destination, EgressCode, Refusal
from toolward.ports.egress import EgressEvent, EgressRefused
from toolward.rules.egress.request import ForwardRequest, TunnelRequest, read_request

LINGER_S: Final = 1.0
"""How long a refused client is listened to, so that closing does not destroy the answer it is to read."""
LINGER_READS_MAX: Final = 16
"""And for how many reads of up to `CHUNK_BYTES`."""
_STATUS: Final = {
    EgressCode.MALFORMED: HTTPStatus.BAD_REQUEST,
    EgressCode.TIMED_OUT: HTTPStatus.REQUEST_TIMEOUT,
    EgressCode.UNRESOLVED: HTTPStatus.BAD_GATEWAY,
    EgressCode.UNREACHABLE: HTTPStatus.BAD_GATEWAY,
    EgressCode.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    EgressCode.UNRECORDED: HTTPStatus.SERVICE_UNAVAILABLE,
    EgressCode.BROKEN: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Everything else is 403: the request was understood, and is not allowed."""
_NOT_OURS: Final = frozenset({EgressCode.OK, EgressCode.CLOSED, EgressCode.UNREACHABLE})
"""Ends of an allowed connection that the proxy did not bring about."""
_BROKEN: Final = Refusal(EgressCode.BROKEN, "a fault of the gateway", "call the operator of the gateway")


class Visit:
    """Serves one accepted connection and closes it."""

    def __init__(self, terms: Terms, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._terms = terms
        self._reader = reader
        self._writer = writer
        self._started_s = asyncio.get_running_loop().time()
        self._destination: Destination | None = None

    async def run(self) -> None:
        """From the first byte to the last. Raises nothing but `CancelledError`."""
        try:
            asked = await self._judged()
            if asked is not None:
                await self._serve(*asked)
        finally:
            await self._leave()

    async def refuse(self, refusal: Refusal) -> None:
        """Record it, say it, close."""
        try:
            await self._refused(refusal)
        finally:
            await self._leave()

    # --- before anything leaves

    async def _judged(self) -> tuple[TunnelRequest | ForwardRequest, tuple[str, ...]] | None:
        """What is to be served and where, recorded as allowed; None once it was refused."""
        try:
            request = await self._request()
            if request is None:
                return None
            self._destination = request.destination
            addresses = await self._terms.admit(request.destination)
            await self._terms.judged(self._event(allowed=True, code=EgressCode.OK))
        except EgressRefused as no:
            await self._refused(no.refusal)
        except Exception:  # noqa: BLE001 -- whatever went wrong, nothing leaves
            await self._refused(_BROKEN)
        else:
            return request, addresses
        return None

    async def _refused(self, refusal: Refusal) -> None:
        await self._terms.judged(self._event(allowed=False, code=refusal.code))
        await self._say(refusal)

    async def _request(self) -> TunnelRequest | ForwardRequest | None:
        """What is asked, or None if nothing is. Raises `EgressRefused`."""
        if self._terms.deaf:
            raise EgressRefused(UNRECORDED)
        try:
            async with asyncio.timeout(self._terms.limits.header_timeout_s):
                head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as ended:
            if not ended.partial:
                return None
            raise EgressRefused(_malformed("the request ends within its head")) from ended
        except asyncio.LimitOverrunError as wrong:
            raise EgressRefused(_malformed("the head of the request is too long")) from wrong
        except TimeoutError as late:
            refusal = Refusal(EgressCode.TIMED_OUT, "the request did not come in time", "send it at once")
            raise EgressRefused(refusal) from late
        except OSError:
            return None
        request = read_request(head)
        if isinstance(request, Refusal):
            raise EgressRefused(request)
        return request

    # --- while it is served

    async def _serve(self, request: TunnelRequest | ForwardRequest, addresses: tuple[str, ...]) -> None:
        passage: Passage | None = None
        code, refusal = EgressCode.BROKEN, _BROKEN
        try:
            passage = await self._opened(request.destination, addresses)
            code, refusal = await _passed(passage, request)
        except EgressRefused as no:
            code, refusal = no.refusal.code, no.refusal
        except asyncio.CancelledError:
            code = EgressCode.CLOSED
            raise
        except Exception:  # noqa: BLE001 -- whatever went wrong, nothing more leaves; the record says `broken`
            self._writer.transport.abort()
        finally:
            event = self._event(allowed=code in _NOT_OURS, code=code)
            if passage is not None:
                event = replace(
                    event,
                    bytes_out=passage.bytes_out,
                    bytes_in=passage.bytes_in,
                    encrypted_hello=passage.encrypted_hello,
                )
            self._terms.ended(event)
            if passage is not None:
                await passage.close()
        if code is not EgressCode.OK and (passage is None or not passage.answered):
            await self._say(refusal)

    async def _opened(self, destination: Destination, addresses: tuple[str, ...]) -> Passage:
        """Dial. Raises `EgressRefused` when nobody answers."""
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                connected = await dial(addresses, destination.port)
        except OSError as wrong:  # a TimeoutError is one
            text = f"{destination} could not be reached: {wrong.strerror or type(wrong).__name__}"
            raise EgressRefused(
                Refusal(EgressCode.UNREACHABLE, text.lower(), "see that it is up, or try again later")
            ) from wrong
        server = await asyncio.open_connection(sock=connected, limit=CHUNK_BYTES)
        return Passage(self._terms, destination, client=(self._reader, self._writer), server=server)

    # --- words

    def _event(self, *, allowed: bool, code: EgressCode) -> EgressEvent:
        destination = self._destination
        return EgressEvent(
            whose=self._terms.whose,
            host=destination.host if destination is not None else "",
            port=destination.port if destination is not None else 0,
            allowed=allowed,
            code=code,
            duration_ms=round((asyncio.get_running_loop().time() - self._started_s) * 1000),
        )

    async def _say(self, refusal: Refusal) -> None:
        """Answer, and listen a little longer, since closing over unread bytes would destroy the answer."""
        status = _STATUS.get(refusal.code, HTTPStatus.FORBIDDEN)
        body = refusal.sentence().encode() + b"\n"
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        with contextlib.suppress(OSError):  # a TimeoutError is one
            async with asyncio.timeout(LINGER_S):
                self._writer.write(head.encode("ascii") + body)
                self._writer.write_eof()
                for _ in range(LINGER_READS_MAX):
                    if not await self._reader.read(CHUNK_BYTES):
                        break

    async def _leave(self) -> None:
        """Close once what was written has left, or at once when the task is being cancelled."""
        transport = self._writer.transport
        try:
            self._writer.close()
            async with asyncio.timeout(self._terms.limits.idle_timeout_s):
                await self._writer.wait_closed()
        except OSError:
            pass
        finally:
            transport.abort()


def _malformed(text: str) -> Refusal:
    return Refusal(EgressCode.MALFORMED, text, "send one plain HTTP/1.1 request")


async def _passed(passage: Passage, request: TunnelRequest | ForwardRequest) -> tuple[EgressCode, Refusal]:
    """How it ended, and what to say if nothing was said to the client yet. Raises `EgressRefused`."""
    try:
        await (passage.tunnel() if isinstance(request, TunnelRequest) else passage.forward(request))
    except OSError as wrong:  # either side went away, which is theirs to do
        text = f"{request.destination} closed the connection: {wrong.strerror or type(wrong).__name__}"
        refusal = Refusal(EgressCode.UNREACHABLE, text.lower(), "see that it is up, or try again later")
        return EgressCode.OK if passage.answered else refusal.code, refusal
    return EgressCode.OK, _BROKEN
