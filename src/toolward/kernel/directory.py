"""The aggregated endpoint: one face for all servers, and yet every server is asked through the corridor.

Lists are asked of each server and put together. Prompt names carry their server as tool names do. A resource
keeps its URI; which server it belongs to is remembered from the lists, and asked for when it is not known.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from toolward.errors import UnknownTool
from toolward.kernel.attempt import Attempt
from toolward.kernel.registry.drift import DriftWatch
from toolward.model.call import Action, Reply
from toolward.model.tool import SEPARATOR
from toolward.ports.upstream import Exchange

Perform = Callable[[Attempt, Exchange], Awaitable[Reply]]

_LISTS: Mapping[Action, tuple[str, str]] = {
    Action.LIST_RESOURCES: ("resources", "resources"),
    Action.LIST_TEMPLATES: ("resources", "resourceTemplates"),
    Action.LIST_PROMPTS: ("prompts", "prompts"),
}
"""Action -> (the capability a server needs, the member of its result)."""
_BY_URI = frozenset({Action.READ_RESOURCE, Action.SUBSCRIBE, Action.UNSUBSCRIBE})
EVERYWHERE = frozenset({*_LISTS, *_BY_URI, Action.GET_PROMPT, Action.COMPLETE, Action.SET_LOG_LEVEL})
"""What needs routing at the aggregated endpoint; tools are routed by the corridor itself."""
URIS_MAX = 20_000
"""Resource URIs of one server that are remembered as its own."""
PAGES_MAX = 100
"""Pages of one server's list."""
SERVER_SHARE_S = 5.0
"""How long one server may take for its part of a list: a caller waits for all of it."""
SERVERS_AT_ONCE = 16
"""Servers that are asked at the same time; each takes a place of its caller's."""
T = TypeVar("T")


class Directory:
    """Routes what the aggregated endpoint is asked; makes no decision of its own."""

    def __init__(self, servers: Callable[[], tuple[str, ...]], drift: DriftWatch) -> None:
        self._servers = servers
        self._drift = drift
        self._uris: dict[str, str] = {}
        self._listed: Counter[str] = Counter()

    async def perform(self, attempt: Attempt, exchange: Exchange, perform: Perform) -> Reply:
        """The reply for an aggregated action; each server's part is a call of its own in the record.

        Raises `UnknownTool` when no server is known for it.
        """
        if attempt.action in _LISTS:
            return await self._list(attempt, exchange, perform)
        if attempt.action is Action.SET_LOG_LEVEL:
            return await self._tell_all(attempt, exchange, perform)
        routed = await self._route(attempt, exchange, perform)
        if routed is None:
            raise UnknownTool(
                f"no server is known for this {attempt.action.value.partition('/')[0].rstrip('s')}",
                remedy="list first, or use the endpoint of its server: /servers/NAME/mcp",
            )
        return await perform(routed, exchange)

    async def _list(self, attempt: Attempt, exchange: Exchange, perform: Perform) -> Reply:
        capability, member = _LISTS[attempt.action]
        servers = self._with(capability)
        lists = await self._of_each(servers, lambda server: _pages(attempt, server, exchange, perform))
        found: list[Any] = []
        last = Reply(call_id="", result={member: []})
        for server, replies in zip(servers, lists, strict=True):  # in order: who lists a URI first keeps it
            for reply in replies or ():
                items = (reply.result or {}).get(member)
                found += self._noted(server, member, items if isinstance(items, list) else [])
                last = reply
        return Reply(call_id=last.call_id, result={member: found}, receipt=last.receipt)

    async def _tell_all(self, attempt: Attempt, exchange: Exchange, perform: Perform) -> Reply:
        replies = await self._of_each(
            self._with("logging"), lambda server: perform(replace(attempt, server=server), exchange)
        )
        told = [reply for reply in replies if reply is not None]
        return replace(told[-1] if told else Reply(call_id=""), result={}, error=None)

    @staticmethod
    async def _of_each(servers: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> list[T | None]:
        """What each server's part came to, in order; None for one that took longer than its share of time."""
        places = asyncio.Semaphore(SERVERS_AT_ONCE)

        async def one(server: str) -> T | None:
            async with places:
                try:
                    async with asyncio.timeout(SERVER_SHARE_S):
                        return await ask(server)
                except TimeoutError:
                    return None  # that it was given up is in the record; the others' lists are still good

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(server)) for server in servers]
        return [task.result() for task in tasks]

    async def _route(self, attempt: Attempt, exchange: Exchange, perform: Perform) -> Attempt | None:
        params = attempt.params
        if attempt.action in _BY_URI:
            return await self._by_uri(attempt, str(params.get("uri", "")), exchange, perform)
        if attempt.action is Action.GET_PROMPT:
            server, name = self._split(params.get("name"))
            return replace(attempt, server=server, params={**params, "name": name}) if server else None
        reference = params.get("ref")
        if not isinstance(reference, Mapping):
            return None
        if "uri" in reference:
            return await self._by_uri(attempt, str(reference["uri"]), exchange, perform)
        server, name = self._split(reference.get("name"))
        changed = {**params, "ref": {**reference, "name": name}}
        return replace(attempt, server=server, params=changed) if server else None

    async def _by_uri(
        self, attempt: Attempt, uri: str, exchange: Exchange, perform: Perform
    ) -> Attempt | None:
        if uri not in self._uris:
            for action in (Action.LIST_RESOURCES, Action.LIST_TEMPLATES):
                await self._list(replace(attempt, action=action, params={}), exchange, perform)
        server = self._uris.get(uri) or self._by_template(uri)
        return replace(attempt, server=server) if server else None

    def _by_template(self, uri: str) -> str:
        """The server with the longest template whose fixed beginning the URI has."""
        fits = [
            (len(fixed), server)
            for template, server in self._uris.items()
            if "{" in template and len(fixed := template.partition("{")[0]) and uri.startswith(fixed)
        ]
        return max(fits)[1] if fits else ""

    def _noted(self, server: str, member: str, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            if not isinstance(item, Mapping):
                continue
            if member == "prompts":
                out.append({**item, "name": f"{server}{SEPARATOR}{item.get('name', '')}"})
                continue
            uri = str(item.get("uri") or item.get("uriTemplate") or "")
            # The first server to list a URI keeps it: a later one can not take it over, nor push
            # it out of memory by listing a great many.
            if uri not in self._uris and self._listed[server] < URIS_MAX:
                self._uris[uri] = server
                self._listed[server] += 1
            out.append(item)
        return out

    def _with(self, capability: str) -> list[str]:
        found = []
        for server in self._servers():
            description = self._drift.description(server)
            if description is not None and capability in description.capabilities:
                found.append(server)
        return found

    def _split(self, name: object) -> tuple[str, str]:
        server, separator, rest = str(name).partition(SEPARATOR)
        return (server, rest) if separator and server in self._servers() else ("", "")


async def _pages(attempt: Attempt, server: str, exchange: Exchange, perform: Perform) -> list[Reply]:
    """The pages of one server's list, until the last, or until it refuses: that refusal is in the record."""
    pages: list[Reply] = []
    cursor = ""
    for _ in range(PAGES_MAX):  # a server that always names one more page does not hold the caller
        params = {"cursor": cursor} if cursor else {}
        reply = await perform(replace(attempt, server=server, params=params), exchange)
        if reply.result is None:
            break
        pages.append(reply)
        cursor = str(reply.result.get("nextCursor") or "")
        if not cursor:
            break
    return pages
