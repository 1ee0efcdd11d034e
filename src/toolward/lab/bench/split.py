"""Part 2: the CPU of a governed write, by stage, with 32 in flight."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any, Final

from toolward.lab.bench.calls import IN_FLIGHT, Effort, Load, Target
from toolward.lab.bench.gateway import WRITE, Prepared
from toolward.lab.bench.processes import LineProcess, free_port
from toolward.lab.report import Row
from toolward.lab.toolchain import SetupFailed

_LOOKS: Final = 600
_LOOK_S: Final = 0.05


def measure(ward: Prepared, load: Load, effort: Effort) -> list[Row]:
    """One row for each owner, the dearest first, and their sum."""
    port = free_port()
    with _metered(ward, port) as daemon:
        target = Target(name="metered", pid=daemon.pid, address=ward.address(port, WRITE))
        load.run(target, connections=IN_FLIGHT[-1], seconds=effort.seconds / 2)  # warm
        daemon.tell("from here")
        daemon.hear()
        load.run(target, connections=IN_FLIGHT[-1], seconds=effort.seconds * 2)
        daemon.tell("to here")
        return _rows(daemon.hear())


def _rows(answer: dict[str, Any]) -> list[Row]:
    calls = max(answer["calls"], 1)
    spent = {owner: ns / calls / 1_000 for owner, ns in answer["spent_ns"].items()}
    total = sum(spent.values())
    rows = [
        Row(f"CPU by stage, 32 in flight: {owner}", round(us, 1), "us")
        for owner, us in sorted(spent.items(), key=lambda item: -item[1])
    ]
    return [*rows, Row("CPU by stage, 32 in flight: all together", round(total, 1), "us")]


@contextlib.contextmanager
def _metered(ward: Prepared, port: int) -> Iterator[LineProcess]:
    daemon = LineProcess("toolward.lab.bench.metered", str(ward.path), str(port))
    try:
        for _ in range(_LOOKS):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(_LOOK_S)
        else:
            raise SetupFailed("the metered daemon did not listen")
        yield daemon
    finally:
        daemon.close()
