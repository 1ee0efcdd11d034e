"""The stream on which a handshake-era server speaks on its own initiative: the session's GET stream."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from toolward.adapters.tools.mcp.bounds import (
    LINE_BYTES_MIN,
    RESUME_ATTEMPTS_MAX,
    RETRY_DEFAULT_MS,
    RETRY_MAX_MS,
    UNSOLICITED_BURST_MAX,
    UNSOLICITED_PER_S_MAX,
)
from toolward.adapters.tools.mcp.caller import CallerSide
from toolward.adapters.tools.mcp.flood import Bucket, weight_of
from toolward.adapters.tools.mcp.http.sse import EventTooLarge, SseReader
from toolward.adapters.tools.mcp.http.stream import BodyStream, Unanswered
from toolward.adapters.tools.mcp.wire import Ended, is_answer, parse


class Listener(Protocol):
    """What the stream needs of its link."""

    alive: bool
    counts: Counter[str]

    async def get_stream(self, last_event_id: str) -> BodyStream | None:
        """Open it. Raises `Ended`."""
        ...

    async def interim(self, message: Mapping[str, Any], side: CallerSide | None) -> None:
        """Serve a message."""
        ...

    def only_side(self) -> CallerSide | None:
        """Whose question it is."""
        ...


async def listen_to_session(link: Listener) -> None:
    """Keep the GET stream open until the link is closed, the server has none, or it floods."""
    last_id, retry_ms, fruitless = "", RETRY_DEFAULT_MS, 0
    bucket = Bucket(UNSOLICITED_BURST_MAX, UNSOLICITED_PER_S_MAX)
    while link.alive and fruitless < RESUME_ATTEMPTS_MAX:
        try:
            stream = await link.get_stream(last_id)
        except Ended:
            stream = None
            fruitless += 1
        else:
            if stream is None:
                return
        if stream is not None:
            try:
                heard, last_id, retry_ms = await _drain(link, stream, bucket, last_id=last_id, retry=retry_ms)
            finally:
                stream.close()
            fruitless = 0 if heard else fruitless + 1
        await asyncio.sleep(min(retry_ms, RETRY_MAX_MS) / 1000)


async def _drain(
    link: Listener, stream: BodyStream, bucket: Bucket, *, last_id: str, retry: int
) -> tuple[bool, str, int]:
    reader, heard = SseReader(LINE_BYTES_MIN), False
    while True:
        try:
            chunk = await stream.read()
            events = reader.feed(chunk) if chunk else []
        except (Unanswered, EventTooLarge):
            return heard, last_id, retry
        if not chunk:
            return heard, last_id, retry
        weights = [weight_of(len(event.data)) for event in events]
        if not bucket.take(sum(weights) + reader.noise()):
            link.counts["flooded"] += 1
            link.alive = False
            return heard, last_id, retry
        for event in events:
            heard = True
            last_id = last_id if event.event_id is None else event.event_id
            retry = retry if event.retry_ms is None else event.retry_ms
            message = parse(event.data) if event.data else None
            if message is None or is_answer(message):
                link.counts["unsolicited"] += bool(event.data)
                continue
            await link.interim(message, link.only_side() if "id" in message else None)
