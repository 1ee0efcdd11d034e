"""Hosts that allow less: the tier that is reached there, what is said, and that nothing runs bare."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from toolward.lab.escape.columns import Told, as_user, run_command
from toolward.lab.escape.unprivileged import Host
from toolward.lab.report import Row
from toolward.model.capability import IsolationLevel

SAMPLE: Final = ("fs02", "fs13", "env3", "ipc2", "net1", "k06", "k09", "r01", "r07")


@dataclass(frozen=True, slots=True)
class Expected:
    """A host, and what must be reached there."""

    host: Host
    what: str
    tier: IsolationLevel
    proc: bool = False


HOSTS: Final = (
    Expected(Host.NO_USERNS, "user namespaces off", IsolationLevel.LANDLOCK),
    Expected(Host.DOCKER, "Docker-like filter", IsolationLevel.LANDLOCK),
    Expected(Host.MASKED_PROC, "masked /proc", IsolationLevel.NAMESPACES),
    Expected(Host.DOCKER_NO_LANDLOCK, "Docker-like filter and no Landlock", IsolationLevel.NONE),
)


def run_hosts() -> dict[Host, Told]:
    """The real probe and a few attempts on each. Nothing without root, which simulating them takes."""
    if os.geteuid() != 0:
        return {}
    own = [sys.executable, "-m", "toolward.lab.escape.column", "best"]
    return {each.host: run_command(as_user(each.host, own), SAMPLE) for each in HOSTS}


def rows_of_hosts(found: dict[Host, Told]) -> Iterator[Row]:
    """Per host: the tier, what it says is missing, and what ran bare."""
    for expected in HOSTS:
        if expected.host not in found:
            yield Row(f"host: {expected.what}", "not run: needs root")
            continue
        told = found[expected.host]
        tier = told.all["tier"]
        goal = expected.tier.value
        if expected.tier is IsolationLevel.NONE:
            refused = told.all["refused"]
            goal += ", and every cage refused"
            holds = tier == expected.tier.value and all(refused) and not told.seen
            yield Row(f"host: {expected.what}", tier, "tier", goal, holds)
            continue
        same = tier == expected.tier.value == told.report["tier"] and told.report["proc"] is expected.proc
        yield Row(f"host: {expected.what}", tier, "tier", goal, same)
        yield Row("  the probe says", told.all["sentence"])
        bad = [name for name, seen in told.seen.items() if seen.escaped or seen.broken or seen.wrong]
        held = len(told.seen) - len(bad)
        yield Row("  contained", held, "rows", f"all {len(SAMPLE)}", held == len(SAMPLE))
