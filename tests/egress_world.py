"""Names, client hellos and listeners for tests of the egress rules and the proxy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from toolward.ports.egress import EgressEvent


def hello_of(name: str | None, *, alpn: Sequence[str] = ()) -> bytes:
    """What OpenSSL sends first when it wants to speak to `name`."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without a server")


def in_records(hello: bytes, sizes: Sequence[int]) -> bytes:
    """The same hello with its handshake message cut into records of `sizes`, and the rest in a last one."""
    message, out = hello[5:], b""
    for size in sizes:
        part, message = message[:size], message[size:]
        if part:
            out += b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
    return out + (b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message if message else b"")


class Names:
    """A resolver that says what it was told to, and remembers what it was asked."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers: dict[str, list[Sequence[str]]] = {
            name.replace("_", "."): [said] for name, said in answers.items()
        }
        self.asked: list[str] = []

    def turns(self, name: str, *answers: Sequence[str]) -> None:
        """Each answer once, the last one for ever."""
        self.answers[name] = list(answers)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such name")
        said = self.answers[host]
        return said.pop(0) if len(said) > 1 else said[0]


class Heard:
    """Signals as they came."""

    def __init__(self) -> None:
        self.judgements: list[EgressEvent] = []
        self.ends: list[EgressEvent] = []
        self.broken = False
        self.asked = asyncio.Event()
        self.durable = asyncio.Event()  # cleared by a test: a disk that takes its time
        self.durable.set()
        self._changed = asyncio.Event()

    async def judged(self, event: EgressEvent) -> None:
        self.asked.set()
        await self.durable.wait()
        if self.broken:
            raise OSError("the disk is full")
        self.judgements.append(event)

    def ended(self, event: EgressEvent) -> None:
        if self.broken:
            raise OSError("the disk is full")
        self.ends.append(event)
        self._changed.set()

    async def until_ended(self, count: int = 1) -> EgressEvent:
        """The event of the connection that ended as number `count`."""
        while len(self.ends) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.ends[count - 1]


class NoSecrets:
    """A ward without secrets."""

    def get(self, name: str) -> str:
        raise KeyError(name)

    def known_values(self) -> tuple[str, ...]:
        return ()
