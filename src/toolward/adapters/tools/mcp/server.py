"""One configured server: the eras it speaks, and the links that are open to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from toolward.adapters.tools.mcp.bounds import MISSES_MAX, STABLE_S
from toolward.adapters.tools.mcp.link import Heard, Link
from toolward.adapters.tools.mcp.making import LinkMaker, Workshop
from toolward.adapters.tools.mcp.probing import PROBE_S, discovered, is_refusal, is_unreachable
from toolward.adapters.tools.mcp.stdio.processes import StdioLink
from toolward.adapters.tools.mcp.wire import Ended, declared, failed
from toolward.config.limits import LINK_QUIET_S, LINKS_MAX, RESTART_BACKOFF_MS
from toolward.errors import ReasonCode
from toolward.model.call import Era, Stopped
from toolward.model.capability import IsolationReport
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind

LOOK_S: Final = 0.05
"""Between two looks at whether a server that was changed still has calls."""
Key = tuple[str, Era, str]
"""Scope, era, and for links that several sessions share the capabilities declared in it."""

_MISSED: Final = frozenset({ReasonCode.TIMED_OUT.value, ReasonCode.BAD_OUTPUT.value})


@dataclass(slots=True)
class _Deaths:
    count: int = 0
    last_ns: int = 0


class Server:
    """Opens links when they are needed, one for each scope and era, and opens dead ones again."""

    def __init__(
        self,
        binding: ServerBinding,
        *,
        tools: Workshop,
        heard: Heard,
        restarted: Callable[[], None],
    ) -> None:
        self.binding = binding
        self.counts: Counter[str] = Counter()
        self.eras: tuple[Era, ...] = ()
        self._make = LinkMaker(binding, tools, heard=heard, counts=self.counts)
        self._secrets = tools.secrets
        self._clock = tools.clock
        self._restarted = restarted
        self._main: Link | None = None
        self._not_handshake = False
        self._links: dict[Key, Link] = {}
        self._locks: dict[Key, asyncio.Lock] = {}
        self._first = asyncio.Lock()
        self._deaths: dict[str, _Deaths] = {}
        self._old_stderr = ""
        self._retired = False  # nothing is opened any more
        self._closing: asyncio.Future[None] | None = None

    @property
    def lock_digest(self) -> str:
        """Of what was resolved for its package; "" before it was installed or when it has none."""
        return self._make.lock_digest

    async def prepare(self) -> None:
        """Install its package if it has one and that was not done. Raises `ToolFailed`, `WardError`.

        Not bounded by `start_timeout_ms`: installing has its own limit.
        """
        _ = await self._make.prepare()

    async def isolation(self) -> IsolationReport:
        """What holds its processes. Raises `SandboxUnavailable`."""
        return await self._make.isolation()

    # --- links

    async def main(self) -> Link:
        """The link that definitions are read over. The first one finds out which eras are spoken.

        Raises `Ended`, `ToolwardError`.
        """
        async with self._first:
            link = self._main
            if link is None or not link.alive:
                await self._buried("", link)
                link = await (self._meet_http() if self._is_http else self._meet_stdio())
                self._main = link
            link.listen()
            return link

    async def link(self, session_id: str, era: Era, capabilities: Mapping[str, Any]) -> Link:
        """The link for one session in the caller's era if the server speaks it, else in its own.

        Raises `Ended`, `ToolwardError`; nothing was sent for the caller then.
        """
        if not self.eras:
            _ = await self.main()
        return await self._open(self._scope(session_id), self._era_for(era), capabilities)

    def open_link(self, session_id: str, era: Era, capabilities: Mapping[str, Any]) -> Link | None:
        """What `link` would give, if it is open already."""
        if not self.eras:
            return None
        found = self._links.get(self._key(self._scope(session_id), self._era_for(era), capabilities))
        return found if found is not None and found.alive else None

    def missed(self, link: Link, outcome: Stopped) -> None:
        """A call had no answer that could be used: a process that goes on like that is replaced.

        Other processes of this server are let be. A pool of connections has no bad one to replace.
        """
        if outcome.reason not in _MISSED or not isinstance(link, StdioLink):
            return
        link.missed += 1
        if link.missed >= MISSES_MAX and link.alive:
            self.counts["ejected"] += 1
            link.kill(f"{MISSES_MAX} of its calls in a row had no answer")

    def _scope(self, session_id: str) -> str:
        return "" if self.binding.stateless else session_id

    def _key(self, scope: str, era: Era, capabilities: Mapping[str, Any]) -> Key:
        if scope or era is Era.STATELESS:
            return (scope, era, "")
        return (scope, era, repr(declared(capabilities, self.binding.accepts)))

    def _era_for(self, era: Era) -> Era:
        if era in self.eras:
            return era
        if era is Era.HANDSHAKE and not self._is_http and not self._not_handshake:
            return era  # not known yet: opening a process in this era tells
        return self.eras[0]

    async def _open(self, scope: str, era: Era, capabilities: Mapping[str, Any]) -> Link:
        key = self._key(scope, era, capabilities)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            link = self._links.get(key)
            if link is not None and link.alive:
                return link
            if self._retired:
                raise failed(
                    f"`{self.binding.server}` was changed or taken away", ReasonCode.TOOL_UNREACHABLE
                )
            await self._buried(scope, link)
            await self._make_room()
            try:
                link = await self._fresh(scope, era, declared(capabilities, self.binding.accepts))
            except Ended as ended:
                if era in self.eras or not is_refusal(ended):
                    raise
                self._not_handshake = True
                link = None
            if link is not None:
                self._links[key] = link
                if era not in self.eras:
                    self.eras = (*self.eras, era)
                return link
        return await self._open(scope, self.eras[0], capabilities)

    async def _make_room(self) -> None:
        """Where there are too many, end the session that was quiet longest: most clients never say goodbye.

        Raises `Ended` when none was quiet for `LINK_QUIET_S`.
        """
        alive = {key: link for key, link in self._links.items() if link.alive}
        if len(alive) < LINKS_MAX:
            return
        quietest = min(
            (key for key, link in alive.items() if not link.flights),
            key=lambda key: alive[key].quiet_since,
            default=None,
        )
        now = asyncio.get_running_loop().time()
        if quietest is None or now - alive[quietest].quiet_since < LINK_QUIET_S:
            text = f"`{self.binding.server}` serves {LINKS_MAX} sessions already"
            raise failed(text, ReasonCode.OVERLOADED)
        self.counts["made_room"] += 1
        self._locks.pop(quietest, None)
        await self._links.pop(quietest).close()

    async def _fresh(self, scope: str, era: Era, capabilities: Mapping[str, Any]) -> Link:
        main = self._main
        if (
            not scope
            and main is not None
            and main.alive
            and main.era is era
            and main.capabilities == capabilities
        ):
            return main  # nothing of one session's is in it, and it declared what this caller does
        if self._is_http:
            http = self._make.http_link(scope, era, capabilities)
            if era is Era.STATELESS and self._main is not None and self._main.era is era:
                http.adopt(self._main)
            else:
                await _opened(http, http.open())
            return http
        stdio = await self._make.stdio_link(scope, era, capabilities)
        await _opened(stdio, stdio.say_hello())
        return stdio

    async def _buried(self, scope: str, link: Link | None) -> None:
        """Clean up after a dead link; a process that keeps dying is not started again at once."""
        if link is not None and not link.mourned:
            link.mourned = True
            await link.close()
            if isinstance(link, StdioLink):
                self._old_stderr = link.stderr_tail()
                deaths = self._deaths.setdefault(scope, _Deaths())
                deaths.count = 1 if link.ended_s - link.started_s > STABLE_S else deaths.count + 1
                deaths.last_ns = self._clock.monotonic_ns()
                self._restarted()
        if (known := self._deaths.get(scope)) is not None:
            wait_ms = RESTART_BACKOFF_MS[min(known.count, len(RESTART_BACKOFF_MS)) - 1]
            passed_ms = (self._clock.monotonic_ns() - known.last_ns) / 1_000_000
            await asyncio.sleep(max(0.0, wait_ms - passed_ms) / 1000)

    # --- first contact

    async def _meet_http(self) -> Link:
        spoken: list[Era] = []
        link: Link | None = None
        why: Ended | None = None
        for era in (Era.STATELESS, Era.HANDSHAKE):
            tried = self._make.http_link("", era, self._accepted)
            try:
                async with asyncio.timeout(PROBE_S if era is Era.STATELESS else None):
                    await _opened(tried, tried.open())
            except TimeoutError:
                continue
            except Ended as ended:
                if is_unreachable(ended):
                    raise
                why = ended
                continue
            spoken.append(era)
            if link is None:
                link = tried
            else:
                await tried.close()
        if link is None:
            raise why or failed("the server speaks no known era")
        self.eras = tuple(spoken)
        return link

    async def _meet_stdio(self) -> Link:
        if self.eras:
            return await self._fresh("", self.eras[0], self._accepted)
        link = await self._make.stdio_link("", Era.STATELESS, self._accepted)
        try:
            await discovered(link)
        except (Ended, TimeoutError) as no:
            link = await self._older(link, no)
        except BaseException:
            await link.close()
            raise
        self.eras = (link.era,)
        return link

    async def _older(self, link: StdioLink, no: Ended | TimeoutError) -> StdioLink:
        """Fall back to the handshake: in the same process if it refused politely, else in a new one."""
        if link.alive and isinstance(no, Ended):
            link.era = Era.HANDSHAKE
            try:
                await link.say_hello()
            except Ended:
                await link.close()
            except BaseException:
                await link.close()
                raise
            else:
                return link
        else:
            await link.close()
        self._old_stderr = link.stderr_tail()
        second = await self._make.stdio_link("", Era.HANDSHAKE, self._accepted)
        await _opened(second, second.say_hello())
        return second

    # --- how they are made

    @property
    def _accepted(self) -> dict[str, Any]:
        """Declared where no caller is: some servers list the tools that need a capability only then."""
        return {name: {} for name in self.binding.accepts}

    @property
    def _is_http(self) -> bool:
        return self.binding.kind is BindingKind.HTTP

    # --- the end

    def stderr_tail(self) -> str:
        """The last words of its processes, secrets taken out."""
        links = [link for link in (self._main, *self._links.values()) if isinstance(link, StdioLink)]
        text = "\n".join(filter(None, [self._old_stderr, *(link.stderr_tail() for link in links)]))
        for value in self._secrets.known_values():
            text = text.replace(value, "***") if value else text
        return text

    async def close_scope(self, session_id: str) -> None:
        """Stop what runs for one session."""
        if not session_id:
            return
        mine = [key for key in self._links if key[0] == session_id]
        self._deaths.pop(session_id, None)
        for key in mine:
            self._locks.pop(key, None)
        _ = await asyncio.gather(*(self._links.pop(key).close() for key in mine))

    async def finish(self) -> None:
        """Open nothing more, and stop everything once the requests under way have ended.

        Not bounded here: each of them has its own time limit.
        """
        self._retired = True
        while self._busy():  # noqa: ASYNC110 -- nothing on the hot path says that a flight has ended
            await asyncio.sleep(LOOK_S)
        await self.close()

    def _busy(self) -> bool:
        opening = self._first.locked() or any(lock.locked() for lock in self._locks.values())
        calls = (flight.side for link in self._links.values() for flight in link.flights.values())
        return opening or any(side is not None for side in calls)

    async def close(self) -> None:
        """Stop everything, whole even if who asks is cancelled; asked again, it waits for the same."""
        self._retired = True
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        links = {*self._links.values(), *([self._main] if self._main is not None else [])}
        self._links.clear()
        self._main = None
        _ = await asyncio.gather(*(link.close() for link in links))
        await self._make.close()


async def _opened(link: Link, opening: Any) -> None:
    """Await `opening`; whatever goes wrong, nothing is left behind."""
    try:
        await opening
    except BaseException:
        await link.close()
        raise
