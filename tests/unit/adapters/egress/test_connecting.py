"""The gateway's own connections: to what the operator named, at the address that was judged."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from builders import INTENT, FakeExchange, a_permit
from egress_world import Heard, Names, NoSecrets
from toolward.adapters.egress.connecting import SystemResolver, VettedConnector
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.errors import ReasonCode, ToolFailed
from toolward.model.call import Failed
from toolward.model.capability import IsolationReport, Scope
from toolward.model.egress import EgressCode, Grant, Whose
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.egress import EgressRefused
from toolward.ports.sandbox import CagedProcess, CommandJob, Ended, Job
from toolward.ports.upstream import UpstreamHooks
from toolward.rules.egress.destination import upstream_grant


class Listener:
    """Counts who came."""

    def __init__(self) -> None:
        self.came = 0
        self._changed = asyncio.Event()

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> int:
        self._server = await asyncio.start_server(self._talk, address, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self._changed.set()
        with contextlib.suppress(OSError):
            while await reader.read(1_000):
                writer.write(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async def until(self, came: int) -> None:
        while self.came < came:
            self._changed.clear()
            await self._changed.wait()

    def stop(self) -> None:
        self._server.close()


@pytest.fixture
async def inside() -> AsyncIterator[tuple[Listener, int]]:
    listener = Listener()
    port = await listener.start()
    async with asyncio.timeout(30):
        yield listener, port
    listener.stop()


def granted(host: str, port: int, *, private_network: bool = False) -> list[Grant]:
    grant = upstream_grant(host, port, private_network=private_network)
    assert isinstance(grant, Grant)
    return [grant]


async def reached(
    names: Names, host: str, port: int, *, private_network: bool = False, heard: Heard | None = None
) -> str:
    """The address that was connected to."""
    connector = VettedConnector(heard or Heard(), names)
    grants = granted(host, port, private_network=private_network)
    with contextlib.closing(
        await connector.connect(host, port, grants=grants, whose=Whose("srv"))
    ) as connected:
        assert connected.getblocking() is False
        return str(connected.getpeername()[0])


async def test_a_stated_private_network_is_reached(inside: tuple[Listener, int]) -> None:
    names = Names(mcp_corp_example=["127.0.0.1"])
    assert await reached(names, "mcp.corp.example", inside[1], private_network=True) == "127.0.0.1"
    assert names.asked == ["mcp.corp.example"]


async def test_a_literal_and_localhost_say_themselves_that_they_are_private(
    inside: tuple[Listener, int],
) -> None:
    names = Names(localhost=["::1", "127.0.0.1"])
    assert await reached(names, "127.0.0.1", inside[1]) == "127.0.0.1"
    assert names.asked == []
    assert await reached(names, "localhost", inside[1]) == "127.0.0.1"  # ::1 does not listen: the next one
    assert names.asked == ["localhost"]


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["169.254.169.254"], ["93.184.216.34", "10.0.0.1"], ["::1"]]
)
async def test_a_public_name_that_leads_inside_is_refused(
    inside: tuple[Listener, int], answers: list[str]
) -> None:
    names = Names(mcp_example=answers)
    with pytest.raises(EgressRefused) as refused:
        await reached(names, "mcp.example", inside[1])
    assert refused.value.refusal.code is EgressCode.FORBIDDEN_ADDRESS
    if answers != ["169.254.169.254"]:
        assert "private_network: true" in refused.value.refusal.remedy
    assert inside[0].came == 0


async def test_control_a_plain_connection_goes_where_the_name_leads(inside: tuple[Listener, int]) -> None:
    (address,) = await Names(mcp_example=["127.0.0.1"]).resolve("mcp.example", inside[1])
    _, writer = await asyncio.open_connection(address, inside[1])
    writer.close()
    await writer.wait_closed()


async def test_a_name_that_turns_is_dialled_as_it_was_judged(inside: tuple[Listener, int]) -> None:
    names = Names()
    names.turns("mcp.corp.example", ["127.0.0.1"], ["169.254.169.254"])
    assert await reached(names, "mcp.corp.example", inside[1], private_network=True) == "127.0.0.1"
    with pytest.raises(EgressRefused):
        await reached(names, "mcp.corp.example", inside[1], private_network=True)


async def test_another_destination_than_the_granted_one_is_not_even_resolved() -> None:
    names = Names(evil_example=["93.184.216.34"])
    for host, port in (("evil.example", 443), ("mcp.example", 444)):
        grants = granted("mcp.example", 443)
        with pytest.raises(EgressRefused) as refused:
            await VettedConnector(Heard(), names).connect(host, port, grants=grants, whose=Whose("srv"))
        assert refused.value.refusal.code is EgressCode.NOT_GRANTED
    assert names.asked == []


async def test_what_does_not_resolve_or_answer_is_an_outage(inside: tuple[Listener, int]) -> None:
    with pytest.raises(OSError, match="could not be resolved"):
        await reached(Names(), "none.example", 443)
    inside[0].stop()
    with pytest.raises(ConnectionRefusedError):
        await reached(Names(), "127.0.0.1", inside[1])


async def test_the_system_resolver_gives_addresses() -> None:
    assert set(await SystemResolver().resolve("127.0.0.1", 80)) == {"127.0.0.1"}
    assert socket.inet_pton(socket.AF_INET6, (await SystemResolver().resolve("::1", 80))[0])


# --- no record, no connection ------------------------------------------------------------------------


async def test_a_connection_is_on_record_before_it_is_dialled(inside: tuple[Listener, int]) -> None:
    listener, port = inside
    heard = Heard()
    heard.durable.clear()
    connecting = asyncio.create_task(reached(Names(), "127.0.0.1", port, heard=heard))
    await heard.asked.wait()
    _, knock = await asyncio.open_connection("127.0.0.1", port)
    await listener.until(1)  # ours: connections are accepted in order, so nobody came before
    assert (heard.judgements, connecting.done()) == ([], False)
    heard.durable.set()
    assert await connecting == "127.0.0.1"
    await listener.until(2)
    (event,) = heard.judgements
    assert (event.whose, event.host, event.port, event.verdict) == (
        Whose("srv"),
        "127.0.0.1",
        port,
        "allowed",
    )
    knock.close()


async def test_what_can_not_be_written_down_is_not_dialled(inside: tuple[Listener, int]) -> None:
    listener, port = inside
    heard = Heard()
    heard.broken = True
    with pytest.raises(EgressRefused) as refused:
        await reached(Names(), "127.0.0.1", port, heard=heard)
    assert refused.value.refusal.code is EgressCode.UNRECORDED
    heard.broken = False  # the control: the same connection, written down
    await reached(Names(), "127.0.0.1", port, heard=heard)
    await listener.until(1)
    assert listener.came == 1


async def test_a_refusal_is_on_record_too() -> None:
    heard = Heard()
    with pytest.raises(EgressRefused):
        await reached(Names(mcp_example=["10.0.0.1"]), "mcp.example", 443, heard=heard)
    assert [(event.verdict, event.code) for event in heard.judgements] == [
        ("refused", EgressCode.FORBIDDEN_ADDRESS)
    ]


# --- an MCP server that moved inside -----------------------------------------------------------------


def upstreams_of(
    binding: ServerBinding, names: Names, state: Path, heard: Heard | None = None
) -> McpUpstreams:
    return McpUpstreams(
        [binding],
        secrets=NoSecrets(),
        clock=SystemClock(),
        ids=SystemIds(),
        hooks=UpstreamHooks(),
        state_dir=state,
        connector=VettedConnector(heard or Heard(), names),
        cages=NoCages(),
    )


class NoCages:
    """`ports.cages.Cages` for servers that need none."""

    async def isolation(self) -> IsolationReport:
        raise AssertionError

    async def start(self, command: CommandJob, scope: Scope, *, whose: Whose) -> CagedProcess:
        raise AssertionError

    async def run(self, job: Job, scope: Scope, *, whose: Whose) -> Ended:
        raise AssertionError

    async def close(self) -> None: ...


async def test_an_upstream_whose_name_turns_inside_is_not_spoken_to(
    inside: tuple[Listener, int], tmp_path: Path
) -> None:
    listener, port = inside
    binding = ServerBinding(server="srv", kind=BindingKind.HTTP, url=f"http://mcp.example:{port}/mcp")
    upstreams = upstreams_of(binding, Names(mcp_example=["127.0.0.1"]), tmp_path)
    outcome = await upstreams.execute(a_permit(), INTENT, FakeExchange())
    assert isinstance(outcome, Failed)
    assert outcome.reason == ReasonCode.EGRESS_DENIED.value
    assert "`private_network: true`" in outcome.message
    with pytest.raises(ToolFailed) as failed:
        await upstreams.describe("srv")
    assert failed.value.reason.code is ReasonCode.EGRESS_DENIED
    assert listener.came == 0
    await upstreams.close()


async def test_the_same_upstream_is_spoken_to_where_the_ward_says_that_it_is_inside(
    inside: tuple[Listener, int], tmp_path: Path
) -> None:
    listener, port = inside
    binding = ServerBinding(
        server="srv", kind=BindingKind.HTTP, url=f"http://mcp.example:{port}/mcp", private_network=True
    )
    names = Names(mcp_example=["127.0.0.1"])
    upstreams = upstreams_of(binding, names, tmp_path)
    outcome = await upstreams.execute(a_permit(), INTENT, FakeExchange())
    assert isinstance(outcome, Failed)
    assert outcome.reason != ReasonCode.EGRESS_DENIED.value
    assert listener.came == len(names.asked) > 0
    await upstreams.close()


async def test_an_upstream_is_not_spoken_to_where_nothing_can_be_written_down(
    inside: tuple[Listener, int], tmp_path: Path
) -> None:
    listener, port = inside
    binding = ServerBinding(server="srv", kind=BindingKind.HTTP, url=f"http://127.0.0.1:{port}/mcp")
    heard = Heard()
    heard.broken = True
    upstreams = upstreams_of(binding, Names(), tmp_path, heard)
    outcome = await upstreams.execute(a_permit(), INTENT, FakeExchange())
    assert isinstance(outcome, Failed)
    assert outcome.reason == ReasonCode.AUDIT_UNAVAILABLE.value
    with pytest.raises(ToolFailed) as failed:
        await upstreams.describe("srv")
    assert failed.value.reason.code is ReasonCode.AUDIT_UNAVAILABLE
    assert listener.came == 0
    heard.broken = False  # the control: the same server, and a log that takes records
    await upstreams.execute(a_permit(), INTENT, FakeExchange())
    assert listener.came > 0
    await upstreams.close()


async def test_calls_over_a_pooled_connection_wait_for_no_further_record(
    inside: tuple[Listener, int], tmp_path: Path
) -> None:
    listener, port = inside
    binding = ServerBinding(server="srv", kind=BindingKind.HTTP, url=f"http://127.0.0.1:{port}/mcp")
    heard = Heard()
    upstreams = upstreams_of(binding, Names(), tmp_path, heard)
    for _ in range(5):
        await upstreams.execute(a_permit(), INTENT, FakeExchange())
    assert len(heard.judgements) == listener.came < 5
    await upstreams.close()
