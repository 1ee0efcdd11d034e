"""One link over stdio: a child process that reads and writes one JSON-RPC message per line."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from typing_extensions import override

from toolward.adapters.tools.mcp.bounds import (
    INTERIM_MESSAGES_MAX,
    INTERIM_WAITING_MAX,
    LINE_BYTES_MIN,
    NOISE_LINES_MAX,
    PING_TIMEOUT_S,
    UNSOLICITED_BURST_MAX,
    UNSOLICITED_PER_S_MAX,
)
from toolward.adapters.tools.mcp.flood import Bucket, weight_of
from toolward.adapters.tools.mcp.link import LINK_NOTIFICATIONS, Heard, Link, Request
from toolward.adapters.tools.mcp.stdio.child import STDOUT, Child
from toolward.adapters.tools.mcp.stdio.lines import Overlong
from toolward.adapters.tools.mcp.wire import (
    Ended,
    failed,
    is_answer,
    notification_json,
    params_of,
    parse,
    request_json,
    stopped,
)
from toolward.errors import ReasonCode
from toolward.model.call import Era

Starter = Callable[[Child], Awaitable[None]]
"""Starts the process of a link, in a cage or not. Raises `OSError`, `ValueError`, `ToolwardError`."""
_LINE_SLACK: Final = 64 * 1024
_ID_AT_HEAD: Final = re.compile(rb'"id"\s*:\s*(\d{1,16})[,\s}]')


class StdioLink(Link):
    """One process. Its requests are told apart by ids that it can not have seen before."""

    def __init__(  # noqa: PLR0913 -- what a link is, and how its process is started
        self,
        *,
        program: str,
        starter: Starter,
        era: Era,
        scope: str,
        capabilities: Mapping[str, Any],
        heard: Heard,
        counts: Counter[str],
    ) -> None:
        super().__init__(era=era, scope=scope, capabilities=capabilities, heard=heard, counts=counts)
        self._program = program
        self._starter = starter
        self._child = Child(self._line, self._ended)
        self._mail: dict[int, Mailbox] = {}
        self._unsolicited = Bucket(UNSOLICITED_BURST_MAX, UNSOLICITED_PER_S_MAX)
        self._noise = 0
        self._checking = False
        self.started_s = asyncio.get_running_loop().time()
        self.ended_s = 0.0
        self._why_dead = "the server was stopped"

    async def start(self) -> None:
        """Start the process. Raises `Ended`."""
        try:
            await self._starter(self._child)
        except (OSError, ValueError) as wrong:
            self.alive = False
            self.ended_s = asyncio.get_running_loop().time()
            why = wrong.strerror if isinstance(wrong, OSError) else "not a command line"
            raise failed(f"`{self._program}` could not be started: {why}") from wrong

    def stderr_tail(self) -> str:
        """What the child last wrote to stderr; may hold secrets."""
        return self._child.stderr_tail()

    # --- Link

    @override
    async def begin(self, request: Request) -> Mailbox:
        if not self._child.alive:
            raise failed(self._why_dead)
        if self._child.congested:
            raise failed("the server does not read its input", ReasonCode.OVERLOADED)
        mailbox = Mailbox(self, request)
        self._mail[request.request_id] = mailbox
        wanted = request.output_max + _LINE_SLACK
        self._child.lines.line_max = max(self._child.lines.line_max, wanted)
        request.written = True
        self._child.write(request_json(request.request_id, request.method, request.params))
        return mailbox

    @override
    async def send(self, body: bytes) -> None:
        if self._child.alive and not self._child.congested:
            self._child.write(body)
        else:
            self.counts["undelivered"] += 1

    @override
    def cancel(self, request: Request) -> None:
        if not self._child.alive or self._child.congested:
            return
        params = {"requestId": request.request_id, "reason": "the caller waits no longer"}
        self._child.write(notification_json("notifications/cancelled", params))
        if not self._checking and request.method != "subscriptions/listen":
            self._checking = True
            self.tasks.spawn(self._check(), "see whether a server still lives")

    async def _check(self) -> None:
        """Stop a process that does not even answer a ping."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self.ask("ping" if self.era is Era.HANDSHAKE else "server/discover", {})
        except TimeoutError:
            self.kill("the server hung")
        except Ended:
            pass  # an error is an answer too
        finally:
            self._checking = False

    @override
    def settled(self) -> None:
        """The version is not repeated on this transport."""

    @override
    async def close(self) -> None:
        self._ended("the server was stopped", killed=False)
        await self.tasks.close()
        await self._child.close()

    def kill(self, why: str) -> None:
        """Stop the process for what it did; its calls end as killed, other servers notice nothing."""
        self._child.kill()
        self._ended(why, killed=True)

    # --- what the child says

    def _ended(self, why: str, killed: bool) -> None:  # noqa: FBT001 -- a callback's shape
        if not self.alive:
            return
        self.alive = False
        self.ended_s = asyncio.get_running_loop().time()
        self._why_dead = why
        code = ReasonCode.KILLED if killed else ReasonCode.UNKNOWN_OUTCOME
        self.counts["killed" if killed else "ended"] += 1
        for mailbox in tuple(self._mail.values()):
            mailbox.fail(stopped(why, code))

    def _line(self, line: bytes | Overlong) -> None:
        if not self.alive:
            return
        if isinstance(line, Overlong):
            self._overlong(line)
            return
        if not line.strip():
            return
        message = parse(line)
        if message is None:
            self._noise += 1
            self.counts["noise"] += 1
            if self._noise > NOISE_LINES_MAX:
                self.kill("the server writes too much that is no JSON-RPC to its output")
            self._tolerate("malformed", len(line))
        elif is_answer(message):
            self._answer(message, len(line))
        elif "id" in message:
            self._pace(len(line))
            side = self.only_side()
            if side is None:
                self._tolerate("unsolicited", len(line))
            if isinstance(message["method"], str):
                self.question(message, side)
        else:
            self._pace(len(line))
            self._notification(message, len(line))

    def _pace(self, size: int) -> None:
        """One more message that is no answer: who sends them faster than they are worth has to wait."""
        debt_s = self.pace.debt_s(weight_of(size))
        if debt_s:
            self.counts["paced"] += 1
            self._child.pause(STDOUT, debt_s)

    def _answer(self, message: dict[str, Any], size: int) -> None:
        given = message.get("id")
        mailbox = self._mail.pop(given, None) if type(given) is int else None
        if mailbox is None:
            self._tolerate("unknown_id", size)
        elif size > mailbox.request.output_max:
            mailbox.fail(_too_large(mailbox.request))
        else:
            mailbox.put(message, size)

    def _notification(self, message: dict[str, Any], size: int) -> None:
        method, params = message["method"], params_of(message)
        if not isinstance(method, str):
            self._tolerate("malformed", size)
            return
        if method in LINK_NOTIFICATIONS:
            self._tolerate("heard", size)
            if self.alive:
                self.overheard(method, params)
            return
        mailbox = self._addressee(method, params)
        if mailbox is None:
            self._tolerate("unsolicited", size)
            if self.alive and not self._mail:
                self.overheard(method, params)
        elif not mailbox.take(message, size):
            self.kill("the server sent too many messages before its answer")

    def _addressee(self, method: str, params: Mapping[str, Any]) -> Mailbox | None:
        """Progress names its request; other notifications belong to the newest call, if that is plain."""
        if method == "notifications/progress":
            token = params.get("progressToken")
            return self._mail.get(token) if type(token) is int else None
        side = self.only_side()
        if side is None:
            return None
        return next((box for box in self._mail.values() if box.request.side is side), None)

    def _overlong(self, line: Overlong) -> None:
        """Find out whose answer a line was that is longer than any may be."""
        named = _ID_AT_HEAD.search(line.head)
        mailbox = self._mail.pop(int(named[1]), None) if named else None
        if mailbox is None and len(self._mail) == 1:
            _, mailbox = self._mail.popitem()
        if mailbox is None:
            self.kill("the server wrote a line longer than any answer may be")
        else:
            mailbox.fail(_too_large(mailbox.request))

    def _tolerate(self, what: str, size: int) -> None:
        self.counts[what] += 1
        if self.alive and not self._unsolicited.take(weight_of(size)):
            self.counts["flooded"] += 1
            self.kill("the server floods its output")

    def forget(self, request: Request) -> None:
        """A conversation is over."""
        self._mail.pop(request.request_id, None)
        if not self._mail:
            self._child.lines.line_max = LINE_BYTES_MIN


def _too_large(request: Request) -> Ended:
    return stopped(f"the answer is longer than {request.output_max} bytes", ReasonCode.OUTPUT_TOO_LARGE)


class Mailbox:
    """What came for one request and was not taken yet."""

    __slots__ = ("_count", "_failure", "_link", "_messages", "_waiter", "request")

    def __init__(self, link: StdioLink, request: Request) -> None:
        self.request = request
        self._link = link
        self._messages: deque[tuple[dict[str, Any], int]] = deque()
        self._failure: Ended | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._count = 0

    def put(self, message: dict[str, Any], size: int) -> None:
        """One more message."""
        self._messages.append((message, size))
        self._wake()

    def take(self, message: dict[str, Any], size: int) -> bool:
        """One more interim message; False when there are too many, and those that wait are forgotten."""
        self._count += 1
        if self._count > INTERIM_MESSAGES_MAX or len(self._messages) >= INTERIM_WAITING_MAX:
            self._messages.clear()  # or the caller would hear all of them before it hears of the end
            return False
        self.put(message, size)
        return True

    def fail(self, why: Ended) -> None:
        """No answer will come."""
        self._failure = self._failure or why
        self._wake()

    async def next(self) -> tuple[dict[str, Any], int]:
        """The next message. Raises `Ended`."""
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._messages.popleft()

    def close(self) -> None:
        """Later answers are unknown."""
        self._link.forget(self.request)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
