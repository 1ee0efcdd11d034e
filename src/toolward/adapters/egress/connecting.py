"""Connections to granted destinations only: resolve once, judge every answer, dial what was judged."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import override

from toolward.adapters.egress.bounds import (
    ADDRESSES_MAX,
    ATTEMPT_TIMEOUT_S,
    RECORD_TIMEOUT_S,
    RESOLVE_TIMEOUT_S,
)
from toolward.config.processors import use_all
from toolward.model.egress import Destination, EgressCode, Grant, Refusal, Whose
from toolward.ports.egress import Connector, EgressEvent, EgressRefused, EgressSignals, Resolver
from toolward.rules.egress.destination import granted, judge_addresses, parse_destination

GRANT_TOOL = "grant it in the manifest under capabilities.network"
GRANT_TOOL_PRIVATE = (
    "grant it in the manifest under capabilities.network with `unsafe_private`, if that is meant"
)
GRANT_UPSTREAM = "write it as the server's `url` in toolward.yaml"
GRANT_UPSTREAM_PRIVATE = (
    "if this server is in your own network, set `private_network: true` for it in toolward.yaml"
)
UNRECORDED = Refusal(
    EgressCode.UNRECORDED, "the gateway can not write down what leaves", "call the operator of the gateway"
)


class SystemResolver(Resolver):
    """What the operating system's resolver says."""

    @override
    async def resolve(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        use_all()  # the loop's resolver has threads of its own, which the first look-up starts
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return tuple(dict.fromkeys(str(each[4][0]) for each in found))


async def vet(destination: Destination, grant: Grant, *, resolver: Resolver, remedy: str) -> tuple[str, ...]:
    """The addresses to dial. A literal address is itself. Raises `EgressRefused`.

    `remedy` is for a private address that was not granted as one.
    """
    if destination.literal:
        addresses: tuple[str, ...] = (destination.host,)
    else:
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                addresses = tuple(await resolver.resolve(destination.host, destination.port))
        except (OSError, UnicodeError) as wrong:  # a TimeoutError is an OSError
            text = f"{destination} could not be resolved"
            refusal = Refusal(EgressCode.UNRESOLVED, text, "look at the name's spelling and at the resolver")
            raise EgressRefused(refusal) from wrong
    no = judge_addresses(destination, grant, addresses, remedy=remedy)
    if no is not None:
        raise EgressRefused(no)
    return addresses[:ADDRESSES_MAX]


async def dial(addresses: Sequence[str], port: int) -> socket.socket:
    """Connect to the first address that answers. Nothing is resolved here. Raises `OSError`."""
    last: OSError = OSError("no address")
    for place, address in enumerate(addresses):
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S if place + 1 < len(addresses) else None):
                return await _dial_one(address, port)
        except OSError as wrong:
            last = wrong
    raise last


async def _dial_one(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.ExitStack() as undo:
        undo.callback(made.close)
        made.setblocking(False)  # noqa: FBT003 -- the library's signature
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, (address, port))
        undo.pop_all()
    return made


class VettedConnector(Connector):
    """The gateway's own way out, for upstreams that an operator named."""

    def __init__(self, signals: EgressSignals, resolver: Resolver | None = None) -> None:
        self._signals = signals
        self._resolver = resolver or SystemResolver()

    @override
    async def connect(self, host: str, port: int, *, grants: Sequence[Grant], whose: Whose) -> socket.socket:
        asked = EgressEvent(whose=whose, host=host, port=port, allowed=True, code=EgressCode.OK)
        try:
            addresses = await self._vetted(host, port, grants)
        except EgressRefused as no:
            await self._record(replace(asked, allowed=False, code=no.refusal.code))
            if no.refusal.code is EgressCode.UNRESOLVED:  # an outage, not a judgement
                raise OSError(no.refusal.text) from no
            raise
        await self._record(asked)
        return await dial(addresses, port)

    async def _vetted(self, host: str, port: int, grants: Sequence[Grant]) -> tuple[str, ...]:
        """The addresses that may be dialled. Raises `EgressRefused`."""
        destination = parse_destination(f"[{host}]" if ":" in host else host, default_port=port)
        if isinstance(destination, Refusal):
            raise EgressRefused(destination)
        grant = granted(destination, grants, remedy=GRANT_UPSTREAM)
        if isinstance(grant, Refusal):
            raise EgressRefused(grant)
        return await vet(destination, grant, resolver=self._resolver, remedy=GRANT_UPSTREAM_PRIVATE)

    async def _record(self, event: EgressEvent) -> None:
        """What was decided is durable at return. Raises `EgressRefused` where it can not be written down."""
        try:
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                await self._signals.judged(event)
        except Exception as wrong:
            raise EgressRefused(UNRECORDED) from wrong
