"""One conversation partner: what both transports and both eras have in common.

A link belongs to one scope: a toolward session, or "" when the server is declared stateless and serves
all sessions. It speaks one era.
"""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from msgspec import Struct

from toolward.adapters.tools.mcp.bounds import (
    INTERIM_BURST_MAX,
    INTERIM_GAP_S,
    INTERIM_PER_S_MAX,
    INTERIM_TOGETHER_MAX,
    REQUESTS_OPEN_MAX,
    RESUME_ATTEMPTS_MAX,
    RETRY_DEFAULT_MS,
    STABLE_S,
)
from toolward.adapters.tools.mcp.caller import CallerSide, no_answer, refusal
from toolward.adapters.tools.mcp.flood import Bucket
from toolward.adapters.tools.mcp.tasks import Tasks
from toolward.adapters.tools.mcp.wire import (
    CLIENT_INFO,
    HANDSHAKE_VERSIONS,
    LATEST_HANDSHAKE,
    META_SERVER,
    META_SUBSCRIPTION,
    STATELESS_VERSION,
    Ended,
    envelope,
    failed,
    notification_json,
    outcome_of,
    params_of,
    result_json,
)
from toolward.config.limits import OUTPUT_BYTES_MAX
from toolward.errors import ReasonCode
from toolward.model.call import Era, Failed, RawOutcome, Returned

LINK_NOTIFICATIONS: Final = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
    }
)
"""What concerns the whole server, whichever stream it came on."""
_IGNORED: Final = frozenset({"notifications/subscriptions/acknowledged", "notifications/cancelled"})

Heard = Callable[[str, str, Mapping[str, Any]], None]
"""Scope, method, params of a notification that belongs to no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What the server said when the link was opened."""

    version: str
    info: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    instructions: str

    def offers(self, group: str, feature: str) -> bool:
        """Whether `capabilities[group][feature]` is true."""
        part = self.capabilities.get(group)
        return isinstance(part, Mapping) and part.get(feature) is True


class Request(Struct, eq=False, kw_only=True):
    """One request to an upstream."""

    request_id: int
    method: str
    params: bytes  # JSON
    output_max: int
    name: str = ""  # repeated in `Mcp-Name`
    mirrored: bytes = b""  # header lines
    side: CallerSide | None = None
    written: bool = False  # whether the upstream can have seen it


class Conversation(Protocol):
    """The messages that come back for one request: interim ones, then its answer."""

    async def next(self) -> tuple[dict[str, Any], int]:
        """The next message and its size in bytes. Raises `Ended`."""
        ...

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        ...


class Link(ABC):
    """Owns the requests under way on one connection, session or process."""

    def __init__(
        self, *, era: Era, scope: str, capabilities: Mapping[str, Any], heard: Heard, counts: Counter[str]
    ) -> None:
        self.era = era
        self.scope = scope
        self.capabilities = capabilities  # what our own requests declare, `initialize` among them
        self.alive = True
        self.mourned = False  # whether its death was taken note of
        self.hello = Hello(version="", info={}, capabilities={}, instructions="")
        self.flights: dict[int, Request] = {}
        self.quiet_since = 0.0  # the loop's time when the last request ended
        self.log_level = ""
        self.missed = 0  # calls in a row that had no answer
        self.pace = Bucket(INTERIM_BURST_MAX, INTERIM_PER_S_MAX)
        self.counts = counts
        self.tasks = Tasks()
        self._heard = heard
        self._questions = 0
        self._uris: frozenset[str] = frozenset()
        self._listener: asyncio.Task[None] | None = None
        self._last_id = secrets.randbelow(2**40)

    # --- what a transport does

    @abstractmethod
    async def begin(self, request: Request) -> Conversation:
        """Send the request. Raises `Ended`."""

    @abstractmethod
    async def send(self, body: bytes) -> None:
        """Send a notification or an answer. What can not be delivered is dropped."""

    @abstractmethod
    def cancel(self, request: Request) -> None:
        """Tell the server that nobody waits any more for a request that was sent."""

    @abstractmethod
    async def close(self) -> None:
        """Release everything; the link is dead afterwards."""

    @abstractmethod
    def settled(self) -> None:
        """Called when the version is known, before anything else is sent."""

    # --- what they share

    def next_id(self) -> int:
        """An id that this link never used; the first one can't be guessed."""
        self._last_id += 1
        return self._last_id

    def request(
        self, method: str, params: Mapping[str, Any], *, output_max: int = OUTPUT_BYTES_MAX
    ) -> Request:
        """A request of our own, for no caller."""
        meta = envelope(self.era, {}, self.capabilities)
        body = orjson.dumps({**params, "_meta": meta} if meta else params)
        return Request(request_id=self.next_id(), method=method, params=body, output_max=output_max)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request of our own and return its result. Raises `Ended`."""
        outcome = await self.converse(self.request(method, params))
        if isinstance(outcome, Returned):
            return outcome.result
        raise Ended(outcome)

    async def converse(self, request: Request) -> RawOutcome:
        """Send a request, serve what the server says meanwhile, return how it ended. Raises `Ended`."""
        self.flights[request.request_id] = request
        passed_on = 0
        try:
            conversation = await self.begin(request)
            try:
                while True:
                    message, size = await conversation.next()
                    if "method" not in message:
                        return outcome_of(message, size)
                    await self.interim(message, request.side)
                    passed_on += 1  # what one call is told must not hold all the others
                    await asyncio.sleep(0 if passed_on % INTERIM_TOGETHER_MAX else INTERIM_GAP_S)
            finally:
                conversation.close()
        except asyncio.CancelledError:
            if request.written and self.alive:
                self.cancel(request)
            raise
        finally:
            del self.flights[request.request_id]
            self.quiet_since = asyncio.get_running_loop().time()

    async def interim(self, message: Mapping[str, Any], side: CallerSide | None) -> None:
        """Serve one request or notification from the server."""
        method = message["method"]
        if not isinstance(method, str):
            self.counts["malformed"] += 1
        elif "id" in message:
            self.question(message, side)
        elif side is None or method in LINK_NOTIFICATIONS or method in _IGNORED:
            self.overheard(method, params_of(message))
        else:
            await side.notify(method, params_of(message))

    def overheard(self, method: str, params: Mapping[str, Any]) -> None:
        """A notification that belongs to no call."""
        if method in _IGNORED:
            return
        meta = params.get("_meta")
        if isinstance(meta, Mapping) and META_SUBSCRIPTION in meta:
            rest = {key: value for key, value in meta.items() if key != META_SUBSCRIPTION}
            params = {key: value for key, value in params.items() if key != "_meta"}
            params = {**params, "_meta": rest} if rest else params
        self._heard(self.scope, method, params)

    def question(self, message: Mapping[str, Any], side: CallerSide | None) -> None:
        """Have a server's request answered beside everything else."""
        request_id, method = message["id"], message["method"]
        if method == "ping":
            self.tasks.spawn(self.send(result_json(request_id, {})), "answer a ping")
        elif side is None or self._questions >= REQUESTS_OPEN_MAX:
            self.counts["refused"] += 1
            self.tasks.spawn(self.send(refusal(request_id, method)), "refuse a request")
        else:
            self._questions += 1
            self.tasks.spawn(self._reply(message, side), f"answer {method[:64]}")

    async def _reply(self, message: Mapping[str, Any], side: CallerSide) -> None:
        body = no_answer(message["id"])
        try:
            body = await side.answer(message)
        finally:
            self._questions -= 1
            await self.send(body)

    def only_side(self) -> CallerSide | None:
        """Whose message it is when the wire does not say: the newest call, if all are of one session."""
        sides = [flight.side for flight in self.flights.values() if flight.side is not None]
        if len({side.session_id for side in sides}) != 1:
            return None
        return sides[-1]

    async def say_hello(self) -> None:
        """Open the conversation in this link's era. Raises `Ended`."""
        if self.era is Era.STATELESS:
            self.hello = read_discovery(await self.ask("server/discover", {}))
            return
        result = await self.ask(
            "initialize",
            {
                "protocolVersion": LATEST_HANDSHAKE,
                "capabilities": self.capabilities,
                "clientInfo": CLIENT_INFO,
            },
        )
        self.hello = _read_initialization(result)
        self.settled()
        await self.send(notification_json("notifications/initialized", {}))

    # --- what a server says on its own initiative, stateless era (`subscriptions/listen`)

    async def subscribe(self, uri: str, *, wanted: bool) -> None:
        """Take up, or drop, updates of one resource."""
        uris = self._uris | {uri} if wanted else self._uris - {uri}
        if uris != self._uris:
            self._uris = uris
            if self._listener is not None:
                self._listener.cancel()
                self._listener = None
        self.listen()

    def listen(self) -> None:
        """Have changes told to us, if the era has a request for it and it is not open already."""
        if self.era is Era.STATELESS and (self._listener is None or self._listener.done()):
            self._listener = self.tasks.start(self._listen_for_changes(), "listen for changes")

    async def _listen_for_changes(self) -> None:
        notifications = _wanted(self.hello, self._uris)
        fruitless = 0
        while notifications and self.alive and fruitless < RESUME_ATTEMPTS_MAX:
            began = asyncio.get_running_loop().time()
            try:
                outcome = await self.converse(
                    self.request("subscriptions/listen", {"notifications": notifications})
                )
            except Ended as ended:
                outcome = ended.outcome
            if isinstance(outcome, Failed) and outcome.reason == ReasonCode.TOOL_FAILED.value:
                return  # the server does not serve this
            lasted = asyncio.get_running_loop().time() - began
            fruitless = 0 if lasted > STABLE_S else fruitless + 1
            await asyncio.sleep(RETRY_DEFAULT_MS / 1000)


def _wanted(hello: Hello, uris: frozenset[str]) -> dict[str, Any]:
    """The filter of `subscriptions/listen`: what the server offers, and these resources."""
    out: dict[str, Any] = {}
    for group in ("tools", "prompts", "resources"):
        if hello.offers(group, "listChanged"):
            out[f"{group}ListChanged"] = True
    if uris:
        out["resourceSubscriptions"] = sorted(uris)
    return out


def read_discovery(result: Mapping[str, Any]) -> Hello:
    """What `server/discover` said. Raises `Ended` when the server does not speak our stateless version."""
    versions = result.get("supportedVersions")
    if not isinstance(versions, list) or STATELESS_VERSION not in versions:
        raise failed("the server does not speak the stateless era")
    meta = _mapping(result, "_meta")
    return Hello(
        version=STATELESS_VERSION,
        info=_mapping(meta, META_SERVER),
        capabilities=_mapping(result, "capabilities"),
        instructions=_text(result, "instructions"),
    )


def _read_initialization(result: Mapping[str, Any]) -> Hello:
    version = _text(result, "protocolVersion")
    if version not in HANDSHAKE_VERSIONS:
        raise failed(f"the server wants protocol version `{version[:32]}`, which is not supported")
    return Hello(
        version=version,
        info=_mapping(result, "serverInfo"),
        capabilities=_mapping(result, "capabilities"),
        instructions=_text(result, "instructions"),
    )


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
