"""Real servers behind the gateway and real clients before it.

    python -m toolward.lab.interop        (make interop)

A client's `mcp.json` with fourteen servers is imported by `toolward init --from` and served by `toolward up`
in the default profile; every server is listed and called through it in both wire eras. Then real clients do
the same at the aggregated endpoint. What was fetched is kept below `build/interop/`. Without Node, what
needs it is left out and named.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from rich.console import Console
from typing_extensions import override

from toolward.lab.interop_clients import MODES, Clients, Seen, fetch_clients
from toolward.lab.interop_servers import PAGE, Place, RealServer, real_servers
from toolward.lab.report import Row, write_report
from toolward.lab.running_ward import emptied
from toolward.lab.toolchain import BUILD, Node, SetupFailed, make_node

HOME: Final = BUILD / "interop"
SERVERS_AT_LEAST: Final = 10
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
INIT_TIMEOUT_S: Final = 1_200.0


class _Page(http.server.BaseHTTPRequestHandler):
    """One page, for a server that fetches."""

    def do_GET(self) -> None:
        """Whatever is asked for."""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def page() -> Iterator[str]:
    """A page on this machine; yields its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """`toolward` as a person uses it, on one ward."""

    ward: Path
    environment: Mapping[str, str] = field(repr=False)

    def run(self, *arguments: str, timeout_s: float = START_TIMEOUT_S) -> Any:
        """One verb with --json; returns what it printed. Raises `SetupFailed`."""
        with (HOME / f"{arguments[0]}.log").open("wb") as log:
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "toolward", *arguments, "--json", "--ward", str(self.ward)],
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    timeout=timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired as late:
                raise SetupFailed(f"`toolward {arguments[0]}` took longer than {timeout_s:.0f} s") from late
        if done.returncode:
            raise SetupFailed(f"`toolward {arguments[0]}` ended with {done.returncode}; see {log.name}")
        return orjson.loads(done.stdout)

    @contextlib.contextmanager
    def up(self) -> Iterator[str]:
        """The daemon, until the block ends; yields its aggregated endpoint. Raises `SetupFailed`."""
        with (HOME / "up.log").open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "toolward", "up", str(self.ward), "--port", "0", "--json"],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
            guard = threading.Timer(START_TIMEOUT_S, daemon.kill)
            guard.start()
            try:
                line = daemon.stdout.readline() if daemon.stdout is not None else b""
                guard.cancel()
                if not line:
                    raise SetupFailed(f"`toolward up` ended before it answered; see {log.name}")
                yield str(orjson.loads(line)["url"])
            finally:
                guard.cancel()
                daemon.terminate()
                try:
                    daemon.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
                if daemon.stdout is not None:
                    daemon.stdout.close()


def command_line(node: Node | None) -> CommandLine:
    """On a new ward, whose servers' environments of an earlier run are used again."""
    environment = dict(os.environ) if node is None else node.environment()
    environment["XDG_CONFIG_HOME"] = str((HOME / "config").absolute())
    ward = emptied(HOME / "ward", keep="servers").absolute()
    return CommandLine(ward=ward, environment=environment)


def import_servers(
    toolward: CommandLine, servers: Sequence[RealServer], place: Place, *flags: str
) -> dict[str, str]:
    """`toolward init --from`, with `flags`; returns what was wrong by server, "" for those that started."""
    file = place.repository.parent / ".mcp.json"  # a project's: its servers may write in the project
    entries = {each.name: each.entry() for each in servers}
    file.write_bytes(orjson.dumps({"mcpServers": entries}, option=orjson.OPT_INDENT_2))
    made = toolward.run("init", "--from", str(file), "--yes", *flags, timeout_s=INIT_TIMEOUT_S)
    if grant_page(toolward.ward, place):
        # what a server may touch is part of what a person approves: it was changed, so it is approved again
        toolward.run("tools", "list", "--server", "fetch", "--refresh", timeout_s=INIT_TIMEOUT_S)
        toolward.run(
            "tools", "approve", "fetch/fetch", "--note", "it may fetch the page", timeout_s=INIT_TIMEOUT_S
        )
    return {row["server"]: row["error"] for row in made["servers"]}


def grant_page(ward: Path, place: Place) -> bool:
    """What a person adds who wants `fetch` to reach a page of this machine: nothing is reached unasked."""
    manifest = ward / "tools" / "fetch.yaml"
    there = manifest.exists()
    if there:
        grant = f'\ncapabilities:\n  unsafe_private_network: ["{urlsplit(place.page).netloc}"]\n'
        manifest.write_text(manifest.read_text("utf-8") + grant, encoding="utf-8")
    return there


def server_rows(
    servers: Sequence[RealServer], errors: Mapping[str, str], seen: Sequence[Sequence[Seen]]
) -> tuple[list[Row], int]:
    """One row for each server, and how many hold; `seen` has what each server gave, once for each era."""
    rows = []
    good = 0
    for server, each in zip(servers, seen, strict=True):
        wrong = errors.get(server.name, "was not imported") or next(
            filter(None, map(_fault(server), each)), ""
        )
        good += not wrong
        done = f"{server.tool} answered in both eras" if server.tool else f"listed only: {server.why_not}"
        rows.append(
            Row(
                what=f"{server.package}: {wrong[:300] or done}",
                figure=min((len(got.tools) for got in each), default=0),
                unit="tools",
                goal="listed and called" if server.tool else "listed",
                holds=not wrong,
            )
        )
    return rows, good


def _fault(server: RealServer) -> Callable[[Seen], str]:
    """What is wrong with what was seen of a server, or ""."""

    def fault(got: Seen) -> str:
        if got.error:
            return f"{got.version}: {got.error}"
        if not got.tools:
            return f"{got.version}: lists no tool"
        return "" if server.expect in got.text else f"{got.version}: answered `{got.text[:80]}`"

    return fault


def measure(say: Console) -> list[Row]:
    """Everything. Raises `SetupFailed`."""
    HOME.mkdir(parents=True, exist_ok=True)
    with say.status("fetching the clients") as status:
        try:
            node: Node | None = make_node(HOME / "node")
        except SetupFailed as error:
            say.print(f"[yellow]no Node:[/] {error}", highlight=False)
            node = None
        clients = fetch_clients(HOME, node)
        with page() as url:
            place = Place.make((HOME / "world").absolute(), url)
            everything = real_servers(place)
            servers = [each for each in everything if node is not None or not each.needs_node]
            skipped = [each.package for each in everything if each not in servers]
            toolward = command_line(node)
            status.update(f"toolward init --from mcp.json ({len(servers)} servers)")
            began = time.perf_counter()
            errors = import_servers(toolward, servers, place)
            took_s = time.perf_counter() - began
            with toolward.up() as endpoint:
                status.update("listing and calling")
                rows, good = _through(endpoint, toolward, clients, servers=servers, errors=errors)
    rows.append(
        Row(
            what="real servers listed, and called unless the call needs the internet",
            figure=good,
            unit="servers",
            goal=f">= {SERVERS_AT_LEAST}",
            holds=good >= SERVERS_AT_LEAST,
        )
    )
    rows.append(Row(what=f"`toolward init --from` with {len(servers)} servers", figure=took_s, unit="s"))
    rows += [Row(what=f"{package}: skipped, there is no Node", figure=0, unit="tools") for package in skipped]
    return rows


def _through(
    endpoint: str,
    toolward: CommandLine,
    clients: Clients,
    *,
    servers: Sequence[RealServer],
    errors: Mapping[str, str],
) -> tuple[list[Row], int]:
    base = endpoint.removesuffix("/mcp")
    jobs = [
        {
            "url": f"{base}/servers/{each.name}/mcp",
            # an agent for each server: in one session, what the first returned would taint all others
            "token": toolward.run("keys", "create", f"interop-{each.name}")["token"],
            "tool": each.tool,
            "arguments": dict(each.call),
        }
        for each in servers
    ]
    by_mode = [clients.sdk(jobs, mode=mode) for mode in MODES]
    rows, good = server_rows(servers, errors, list(zip(*by_mode, strict=True)))
    rows += clients.rows(endpoint, str(toolward.run("keys", "create", "interop")["token"]))
    toolward.run("audit", "verify")  # raises unless it holds
    rows.append(Row(what="the audit log verifies afterwards", figure="yes", goal="yes"))
    return rows, good


def main() -> None:
    """Measure, print, write `build/reports/interop.json`; exit code 1 when a goal is missed."""
    say = Console()
    try:
        rows = measure(say)
    except SetupFailed as error:
        say.print(f"[red]interop could not be measured:[/] {error}", highlight=False)
        sys.exit(2)
    write_report("interop", rows)
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
