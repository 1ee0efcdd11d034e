"""False alarms: real servers that are what they are, over many restarts of the gateway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console

from toolward.lab.interop import HOME, CommandLine, command_line, import_servers, page
from toolward.lab.interop_servers import Place, real_servers
from toolward.lab.toolchain import Node, SetupFailed, make_node

RESTARTS: Final = 10
REFRESH_TIMEOUT_S: Final = 600.0


@dataclass(slots=True)
class Alarms:
    """What was counted."""

    servers: int = 0
    tools: int = 0
    restarts: int = 0
    comparisons: int = 0
    alarms: list[str] = field(default_factory=list)  # `server/tool: state`
    findings: Counter[str] = field(default_factory=Counter)  # severity -> how many
    named: list[str] = field(default_factory=list)  # findings that are no notes
    missed: list[str] = field(default_factory=list)  # servers that could not be compared


def count_alarms(say: Console, *, restarts: int = RESTARTS) -> Alarms:
    """Install, approve, then start the gateway again and again and compare. Raises `SetupFailed`."""
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        node: Node | None = make_node(HOME / "node")
    except SetupFailed as error:
        say.print(f"[yellow]no Node:[/] {error}", highlight=False)
        node = None
    found = Alarms()
    with page() as url:
        place = Place.make((HOME / "world").absolute(), url)
        servers = [each for each in real_servers(place) if node is not None or not each.needs_node]
        toolward = command_line(node)
        with say.status(f"installing and approving {len(servers)} servers"):
            errors = import_servers(toolward, servers, place)
        found.missed += [f"{name}: {error}" for name, error in errors.items() if error]
        found.servers = len(servers) - len(found.missed)
        for number in range(restarts):
            with say.status(f"restart {number + 1} of {restarts}"):
                _once_more(toolward, found)
    return found


def _once_more(toolward: CommandLine, found: Alarms) -> None:
    """One start of the gateway and one comparison of every server by a new process of each."""
    with toolward.up():
        rows: Sequence[Mapping[str, Any]] = toolward.run(
            "tools", "list", "--refresh", timeout_s=REFRESH_TIMEOUT_S
        )
    found.missed += (HOME / "tools.log").read_text("utf-8").splitlines()  # a warning for each that is away
    found.restarts += 1
    found.tools = len(rows)
    found.comparisons += len(rows)
    found.alarms += [f"{row['tool']}: {row['state']}" for row in rows if row["state"] != "approved"]
    if found.restarts == 1:
        said = [(row["tool"], each) for row in rows for each in row["findings"]]
        found.findings.update(each["severity"] for _, each in said)
        found.named += [f"{tool}: {each['id']} at {each['where']}" for tool, each in said]
