"""The official MCP conformance suite, through the gateway, in front of the SDK's everything-server.

    python -m toolward.lab.conformance        (make conformance)

Node, the two versions of the suite and the everything-server are fetched into `build/conformance/` once.
Each run is made twice, against the server itself and through the gateway, so that what the gateway changes
can be told from what the server does. The suite shows no credential, so the ward says `unsafe.anonymous`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from toolward.lab.report import Row, write_report
from toolward.lab.running_ward import RunningWard, fresh_ward, running_ward
from toolward.lab.suite_output import SuiteRun, parse_summary, read_failures
from toolward.lab.toolchain import (
    BUILD,
    Node,
    SetupFailed,
    make_environment,
    make_node,
    make_npm_folder,
    make_source,
)

HOME: Final = BUILD / "conformance"
SDK: Final = "mcp==2.3.0"
SERVER_NEEDS: Final = (SDK, "click>=8.2", "httpx2>=2.10", "starlette", "uvicorn")
SERVER_FOLDER: Final = "mcp-2.3.0/examples/servers/everything-server"
SERVER: Final = "everything"
SUITE_TIMEOUT_S: Final = 300.0
START_TIMEOUT_S: Final = 60.0
LISTENING_WITHIN_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run of the suite. `required` is the number of scenarios that the revision asks for."""

    label: str
    version: str
    arguments: tuple[str, ...]
    required: int


PLANS: Final = (
    Plan(label="2025-11-25 by 0.1.16", version="0.1.16", arguments=(), required=30),
    Plan(
        label="2025-11-25 by 0.2.0-alpha.12",
        version="0.2.0-alpha.12",
        arguments=("--requirements", "2025-11-25"),
        required=30,
    ),
    Plan(
        label="2026-07-28 by 0.2.0-alpha.12",
        version="0.2.0-alpha.12",
        arguments=("--requirements", "2026-07-28"),
        required=37,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What was fetched."""

    node: Node
    suites: dict[str, Path]
    python: Path
    server: Path


def fetch(say: Console) -> Bench:
    """Everything that is needed; what `build/conformance/` holds is used again. Raises `SetupFailed`."""
    with say.status("fetching Node") as status:
        node = make_node(HOME / "node")
        suites = {}
        for version in sorted({plan.version for plan in PLANS}):
            status.update(f"fetching the conformance suite {version}")
            package = f"@modelcontextprotocol/conformance@{version}"
            modules = make_npm_folder(HOME / f"suite-{version}", [package], node)
            suites[version] = modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
        status.update("fetching the SDK's everything-server")
        server = make_source(HOME / "sdk-source", SDK, top=SERVER_FOLDER)
        python = make_environment(HOME / "sdk", SERVER_NEEDS)
    return Bench(node=node, suites=suites, python=python, server=server)


@contextlib.contextmanager
def everything_server(bench: Bench) -> Iterator[str]:
    """The SDK's everything-server on a port of its own; yields its URL. Raises `SetupFailed`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (HOME / "everything-server.log").open("wb") as log:
        server = subprocess.Popen(
            [bench.python, "-m", "mcp_everything_server", "--port", str(port), "--log-level", "WARNING"],
            cwd=bench.server,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.kill()
            server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(int(START_TIMEOUT_S / LISTENING_WITHIN_S)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(LISTENING_WITHIN_S)
            raise SetupFailed(f"the everything-server ended; see {HOME / 'everything-server.log'}")
    raise SetupFailed(f"the everything-server did not listen within {START_TIMEOUT_S:.0f} s")


async def run_suite(bench: Bench, plan: Plan, url: str, *, name: str) -> SuiteRun:
    """One run against `url`. Raises `SetupFailed` when it gives no figures."""
    saved = HOME / "results" / name
    shutil.rmtree(saved, ignore_errors=True)
    saved.mkdir(parents=True)
    child = await asyncio.create_subprocess_exec(
        bench.node.node,
        bench.suites[plan.version],
        *("server", "--url", url, "--output-dir", saved),
        *plan.arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SUITE_TIMEOUT_S):
            printed, _ = await child.communicate()
    except TimeoutError as late:
        child.kill()
        await child.wait()
        raise SetupFailed(f"the suite took longer than {SUITE_TIMEOUT_S:.0f} s") from late
    text = printed.decode("utf-8", "replace")
    (saved / "output.txt").write_text(text, encoding="utf-8")
    try:
        return SuiteRun(scenarios=parse_summary(text), failures=read_failures(saved))
    except ValueError as error:
        raise SetupFailed(f"{error}; see {saved / 'output.txt'}") from error


def rows_of(plan: Plan, run: SuiteRun, *, governed: bool) -> list[Row]:
    """The figures of one run: scenarios, checks, and each required scenario that failed."""
    who = "gateway" if governed else "server alone"
    what = f"{who}, {plan.label}"
    full = len(run.required) == plan.required and not run.failing
    checks = sum(each.checks_passed for each in run.required)
    broken = sum(each.checks_failed for each in run.required)
    rows = [
        Row(
            what=f"{what}: passed of {len(run.required)} required",
            figure=run.passed,
            unit="scenarios",
            goal=f"= {plan.required}" if governed else "",
            holds=full or not governed,
        ),
        Row(what=f"{what}: checks in them, {broken} failed", figure=checks, unit="checks"),
    ]
    for each in run.failing:
        why = "; ".join(run.failures.get(each.name, ["no check ran"]))
        rows.append(
            Row(what=f"{what}: {each.name} fails", figure=why, goal="passes" * governed, holds=not governed)
        )
    left = [each.name for each in run.scenarios if not each.scored and not each.passed]
    if left:
        rows.append(Row(what=f"{what}: not required, not passed", figure=", ".join(left)))
    return rows


async def measure(bench: Bench, say: Console) -> list[Row]:
    """Every plan, against the server and through the gateway."""
    rows: list[Row] = []
    with everything_server(bench) as url:
        ward = {
            "version": 1,
            "name": "conformance",
            "profile": "observe",
            "servers": {SERVER: {"url": url, "accepts": ["sampling", "elicitation", "roots"]}},
            "unsafe": {"anonymous": True},
        }
        async with running_ward(fresh_ward(HOME / "ward", ward)) as running:
            tools = await running.approve_all(SERVER)
            say.print(f"gateway at {running.url}, {len(tools)} tools of `{SERVER}` approved")
            targets = ((url, False), (f"{running.url}/servers/{SERVER}/mcp", True))
            for plan in PLANS:
                for target, governed in targets:
                    name = f"{plan.label.replace(' ', '-')}-{'gateway' if governed else 'server'}"
                    with say.status(f"running {name}"):
                        run = await run_suite(bench, plan, target, name=name)
                    rows += rows_of(plan, run, governed=governed)
            rows += _health(running)
    return rows


def _health(running: RunningWard) -> Sequence[Row]:
    problems = [*running.troubles, *running.house.problems]
    figure = "; ".join(problems) or "none"
    return [Row(what="troubles the gateway reported", figure=figure, goal="none", holds=not problems)]


def main() -> None:
    """Measure, print, write `build/reports/conformance.json`; exit code 1 when a goal is missed."""
    say = Console()
    try:
        rows = asyncio.run(measure(fetch(say), say))
    except SetupFailed as error:
        say.print(f"[red]conformance could not be measured:[/] {error}", highlight=False)
        sys.exit(2)
    place = write_report("conformance", rows)
    say.print(f"{place}; the suite's own output is below {HOME / 'results'}", highlight=False)
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
