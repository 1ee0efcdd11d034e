"""One hung, one flooding and one flapping server beside seven that behave, in real processes: by counts alone.

`make bench-neighbours` measures the others' latency; a busy machine would make that a matter of luck here.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import pytest

from toolward.bootstrap.assembly import House
from toolward.lab.bench.processes import LineProcess
from toolward.lab.neighbours import ward as neighbours
from toolward.lab.neighbours.load import PAUSE_S, good_callers
from toolward.lab.neighbours.ward import BESIDE, GOOD, MANNERS, http_servers, prepare
from toolward.lab.running_ward import running_ward

pytestmark = pytest.mark.e2e


def kept_out(house: House) -> set[str]:
    """Servers of which some circuit is open."""
    rows = house.parts.resilience.shown()
    return {row["key"].partition("/")[0] for row in rows if row["callers"] or row["circuit"] != "closed"}


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_every_call_of_the_others_is_answered_and_the_three_are_stepped_back_from(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(neighbours, "HOME", tmp_path)
    with http_servers(transport) as ports:
        ward = await prepare(ports, transport)
        async with running_ward(ward.path) as running:
            port = int(running.url.rpartition(":")[2])
            callers = await good_callers([ward.address(port, name) for name in GOOD])
            others = LineProcess("toolward.lab.neighbours.load")
            try:
                calls = [(asdict(ward.address(port, name)), "ill") for name in MANNERS]
                beside = [ports[name + BESIDE] for name in MANNERS]
                job = {"calls": calls, "callers": 2, "heeds": False, "pause_s": PAUSE_S, "directly": beside}
                others.tell(job)
                figures = await callers.run(3.0, 40.0)
                async with asyncio.timeout(90):
                    while not kept_out(running.house) >= {"hangs", "floods"}:  # noqa: ASYNC110 -- no event
                        await asyncio.sleep(0.1)
                figures_after = await callers.run(1.0, 40.0)
                others.tell({})
                seen = await asyncio.to_thread(others.hear)
            finally:
                others.close()
                callers.close()
            opened = {
                row["record"]["circuit"].partition("/")[0]
                for row in await running.desk("audit.query", {"kind": "circuit.opened"})
            }
    assert (figures["wrong"], figures_after["wrong"]) == (0, 0), figures
    assert figures["calls"] > 60
    assert opened <= set(MANNERS)
    assert {"hangs", "floods"} <= opened
    assert seen.get("circuit_open", 0) > 0
    assert seen.get("failed directly", 0) >= 10  # the bench's control: it steps back after five of each
