"""The daemon as a real process: HTTP, stdio, stop, restart, tampering, and starts that are refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx2
import orjson
import pytest
from mcp import Client, StdioServerParameters

from cli_world import Terminal, made, terminal
from daemon_world import Daemon, daemon, environment, over_http
from toolward.bootstrap import daemon as daemons
from toolward.cli.exits import Exit
from toolward.cli.link import connect_daemon
from toolward.governance.desk import VERBS, Desk, Verb
from toolward.model.principal import Principal

__all__ = ["daemon", "made", "terminal"]

pytestmark = pytest.mark.e2e
START_GOAL_S = 1.5
"""The design's budget is for an idle machine; the test allows for a busy one."""


async def test_an_agent_calls_over_http_and_the_record_outlives_a_restart(daemon: Daemon) -> None:
    terminal = daemon.terminal
    ready = daemon.ready()
    key = terminal.ok("keys", "create", "bot", "--json").json["token"]
    async with over_http(ready["url"], key, headers={"Prefer": "wait=0"}) as client:
        listed = await client.list_tools()
        assert "tiny__look" in {each.name for each in listed.tools}
        result = await client.call_tool("tiny__look", {"what": "there"})
        assert result.content[0].text == "look there"
        denied = await client.call_tool("tiny__wipe", {"what": "there"})
        assert denied.is_error
    records = terminal.ok("status", "--json").json
    assert records["daemon"] is True
    code, err = daemon.stop()
    assert (code, "stopped" in err) == (0, True), err
    assert not (terminal.ward / ".toolward" / "control.sock").exists()
    assert not (terminal.ward / ".toolward" / "daemon.json").exists()
    again = Daemon(terminal)
    again.ready()
    assert terminal.ok("audit", "verify", "--json").json["size"] >= records["records"]
    kinds = [row["record"]["kind"] for row in terminal.ok("audit", "query", "--limit", "200", "--json").json]
    assert {"gateway.started", "gateway.stopped", "call.merged", "call.denied"} <= set(kinds)
    assert again.stop(signal.SIGINT)[0] == 0


async def test_http_without_a_key_is_refused_and_recorded(daemon: Daemon) -> None:
    ready = daemon.ready()
    async with httpx2.AsyncClient() as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = await http.post(
            ready["url"], json=body, headers={"Accept": "application/json, text/event-stream"}
        )
        assert answer.status_code == 401
        desk = await http.post(ready["url"].replace("/mcp", "/admin/status"), json={})
        assert desk.status_code == 401
        health = await http.get(ready["url"].replace("/mcp", "/health"))
        assert (health.status_code, health.json()) == (200, {"healthy": True})
    kinds = daemon.terminal.ok("audit", "query", "--kind", "sign_in.failed", "--json").json
    assert len(kinds) == 2


async def test_an_agents_key_does_not_open_the_desk(daemon: Daemon) -> None:
    ready = daemon.ready()
    key = daemon.terminal.ok("keys", "create", "bot", "--json").json["token"]
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
        answer = await http.post(ready["url"].replace("/mcp", "/admin/tools.list"), json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")


def test_the_control_socket_is_for_its_owner_only(daemon: Daemon) -> None:
    ready = daemon.ready()
    assert stat.S_IMODE(Path(ready["socket"]).stat().st_mode) == 0o600


async def test_stdio_starts_the_daemon_which_stays(terminal: Terminal) -> None:
    config = terminal.ward / "toolward.yaml"
    config.write_text(config.read_text() + f"listen: {{port: {free_port()}}}\n")
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "toolward", "stdio", str(terminal.ward)],
        env=environment(terminal),
    )
    try:
        async with Client(parameters) as client:
            result = await client.call_tool("tiny__look", {"what": "me"})
            assert result.content[0].text == "look me"
        assert terminal.ok("status", "--json").json["daemon"] is True
        async with Client(
            parameters.model_copy(update={"args": [*parameters.args, "--server", "tiny"]})
        ) as one:
            assert "look" in {each.name for each in (await one.list_tools()).tools}
    finally:
        note = json.loads((terminal.ward / ".toolward" / "daemon.json").read_bytes())
        os.kill(note["pid"], signal.SIGTERM)
        await asyncio.to_thread(gone, terminal)


async def test_a_call_in_flight_is_settled_before_the_daemon_ends(daemon: Daemon) -> None:
    ready = daemon.ready()
    terminal = daemon.terminal
    key = terminal.ok("keys", "create", "bot", "--json").json["token"]
    async with over_http(ready["url"], key) as client:
        await client.call_tool("tiny__look", {"what": "warm"})
        slow = asyncio.ensure_future(client.call_tool("tiny__wait", {"seconds": 1.5}))
        await asyncio.to_thread(until_there, terminal.home / "work" / "waiting")
        daemon.process.send_signal(signal.SIGTERM)
        result = await slow
        assert result.content[0].text == "wait"
    assert (await asyncio.to_thread(daemon.process.wait, 30)) == 0
    settled = await asyncio.to_thread(terminal.ok, "audit", "query", "--tool", "tiny/wait", "--json")
    assert settled.json[0]["record"]["status"] == "returned"


async def test_a_call_that_a_stop_can_not_wait_for_is_answered_with_a_code(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "GRACE_S", 0.2)
    created = await asyncio.to_thread(terminal.ok, "keys", "create", "bot", "--json")
    key = created.json["token"]
    stop, ready = asyncio.Event(), asyncio.Queue[daemons.Ready]()
    watch = daemons.Watch(ready=ready.put_nowait)
    serving = asyncio.create_task(daemons.run_daemon(terminal.ward, stop, watch=watch, port=0))
    url = f"{(await ready.get()).url}/mcp"
    async with over_http(url, key) as client:
        asked = asyncio.ensure_future(client.call_tool("tiny__wait", {"seconds": 60}))
        await asyncio.to_thread(until_there, terminal.home / "work" / "waiting")
        stop.set()
        (answer,) = await asyncio.gather(asked, return_exceptions=True)
    await serving
    assert "the gateway was stopped while the tool was running" in str(answer)
    settled = await asyncio.to_thread(terminal.ok, "audit", "query", "--tool", "tiny/wait", "--json")
    assert settled.json[0]["record"]["status"] == "stopped"


async def test_a_desk_that_is_stopped_says_so_and_names_no_log_that_is_not_there(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "GRACE_S", 0.1)
    monkeypatch.setattr(daemons, "ANSWER_S", 0.1)
    stop, ready = asyncio.Event(), asyncio.Queue[daemons.Ready]()
    watch = daemons.Watch(ready=ready.put_nowait)
    serving = asyncio.create_task(daemons.run_daemon(terminal.ward, stop, watch=watch, port=0))
    await ready.get()
    held = asyncio.Event()

    async def never(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> None:
        held.set()
        await asyncio.Event().wait()

    monkeypatch.setitem(cast("dict[str, Verb]", VERBS), "status", Verb(never))
    asked = asyncio.create_task(asyncio.to_thread(terminal.run, "status", "--json"))
    await held.wait()
    stop.set()
    ran = await asked
    await serving
    assert ran.code != 0
    assert "gateway_unavailable" in ran.out
    assert "the gateway was stopped before this was done" in ran.out
    assert "daemon.log" not in ran.out + ran.err


def test_a_tampered_log_refuses_the_start_with_a_code_and_leaves_an_incident(terminal: Terminal) -> None:
    database = terminal.ward / ".toolward" / "toolward.db"
    sound = database.read_bytes()
    at = sound.index(b'"kind":"tool.approved"')
    database.write_bytes(sound[:at] + b'"kind":"tool.approveD"' + sound[at + 22 :])
    refused = Daemon(terminal)
    out, err = refused.process.communicate(timeout=30)
    assert refused.process.returncode == Exit.VERIFICATION_FAILED, err
    assert orjson.loads(out)["error"]["code"] == "integrity_broken"
    assert b"Traceback" not in err
    database.write_bytes(sound)
    good = Daemon(terminal)
    good.ready()
    [incident] = terminal.ok("incidents", "--json").json
    assert (incident["kind"], incident["subject"]) == ("integrity_failure", "ward")
    assert int(incident["restored_ns"]) > int(incident["onset_ns"])
    [row] = terminal.ok("audit", "query", "--kind", "gateway.refused_start", "--json").json
    assert row["record"]["reason"] == "integrity_broken"
    assert not (terminal.ward / ".toolward" / "refused_starts.jsonl").exists()
    good.stop()


def test_a_ward_that_is_wrong_refuses_the_start_and_is_recorded_at_once(terminal: Terminal) -> None:
    config = terminal.ward / "toolward.yaml"
    text = config.read_text()
    config.write_text(text.replace("profile: guarded", "profile: lenient"))
    refused = Daemon(terminal)
    _, err = refused.process.communicate(timeout=30)
    assert refused.process.returncode == Exit.WARD_INVALID
    assert b"toolward.yaml:" in err
    config.write_text(text)
    [incident] = terminal.ok("incidents", "--open", "--json").json
    assert incident["kind"] == "refused_start"
    good = Daemon(terminal)
    good.ready()
    assert terminal.ok("incidents", "--open", "--json").json == []
    good.stop()


def test_a_second_daemon_is_told_that_there_is_one(daemon: Daemon) -> None:
    daemon.ready()
    second = Daemon(daemon.terminal)
    _, err = second.process.communicate(timeout=30)
    assert second.process.returncode == Exit.WARD_INVALID
    assert b"already serves" in err
    assert daemon.terminal.ok("incidents", "--json").json == []


def test_a_killed_daemon_leaves_nothing_that_stops_the_next(daemon: Daemon) -> None:
    daemon.ready()
    daemon.process.kill()
    daemon.process.wait(timeout=10)
    note = json.loads((daemon.terminal.ward / ".toolward" / "daemon.json").read_text())
    assert Path(note["socket"]).exists(), "the dead daemon's socket is still in the way"
    assert daemon.terminal.ok("status", "--json").json["daemon"] is False
    again = Daemon(daemon.terminal)
    again.ready()
    assert daemon.terminal.ok("audit", "verify", "--json").json["ok"] is True
    again.stop()


def test_an_approval_lives_through_kill_9_at_every_stop_from_ask_to_kept_result(terminal: Terminal) -> None:
    wipe = ("call", "tiny/wipe", "-a", "what=x", "--json")

    def after_kill_9(*arguments: str) -> Any:
        running = Daemon(terminal)
        running.ready()
        ran = terminal.run(*arguments)
        running.process.kill()
        running.process.communicate(timeout=10)
        return ran.json

    asked = after_kill_9(*wipe)
    approval, again = asked["error"]["data"]["details"]["approval"], ("--session", asked["session"])
    assert after_kill_9("approvals", "show", approval, "--json")["arguments"] == {"what": "x"}
    assert after_kill_9(*wipe, *again)["error"]["data"]["details"]["approval"] == approval
    assert after_kill_9("approvals", "approve", approval, "--json")["state"] == "approved"
    assert after_kill_9(*wipe, *again)["result"]["content"][0]["text"] == "wipe x"
    assert after_kill_9(*wipe, *again)["result"]["content"][0]["text"] == "wipe x"
    assert (terminal.home / "work" / "wiped").read_text() == "x\n", "it happened once"
    assert terminal.ok("audit", "verify", "--json").json["ok"] is True


def test_a_ward_under_a_long_path_has_its_socket_elsewhere(terminal: Terminal, tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 10)
    deep.parent.mkdir()
    terminal.home.rename(deep)
    config = deep / "ward" / "toolward.yaml"
    config.write_text(config.read_text().replace(str(terminal.home), str(deep)))
    moved = Daemon(Terminal(deep))
    ready = moved.ready()
    assert len(ready["socket"].encode()) <= 103
    assert stat.S_IMODE(Path(ready["socket"]).parent.stat().st_mode) == 0o700
    assert moved.terminal.ok("status", "--json").json["daemon"] is True
    moved.stop()


def test_tail_follows_what_others_do(daemon: Daemon) -> None:
    daemon.ready()
    terminal = daemon.terminal
    # where the tests run in the background, SIGINT is ignored, and a child inherits that
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program += "; from toolward.cli import main; main()"
    following = subprocess.Popen(
        [sys.executable, "-c", program, "audit", "tail", "-n", "1", "--follow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(terminal),
    )
    with following:
        try:
            assert following.stdout is not None
            following.stdout.readline()
            call = terminal.ok("call", "tiny/look", "-a", "what=x", "--json").json["call_id"]
            while call != orjson.loads(following.stdout.readline())["record"].get("call_id"):
                pass
            following.send_signal(signal.SIGINT)
            _, err = following.communicate(timeout=20)
        finally:
            following.kill()
    assert (following.returncode, b"Traceback" in err) == (Exit.INTERRUPTED, False)


async def test_from_start_to_the_first_answered_call(terminal: Terminal) -> None:
    created = await asyncio.to_thread(terminal.ok, "keys", "create", "bot", "--json")
    key = created.json["token"]
    started = time.monotonic()
    daemon = Daemon(terminal)
    ready = daemon.ready()
    up = time.monotonic() - started
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": "tiny__look",
                "arguments": {"what": "x"},
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
                },
            },
        }
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "tiny__look",
        }
        answer = await http.post(ready["url"], json=body, headers=headers)
        assert "look x" in answer.text, answer.text
    took = time.monotonic() - started
    daemon.stop()
    assert took < 4 * START_GOAL_S, f"listening after {up:.2f} s, answered after {took:.2f} s"


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_there(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(terminal: Terminal) -> None:
    deadline = time.monotonic() + 20
    while connect_daemon(terminal.ward / ".toolward", "") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")
async def test_loop_and_log_share_a_processor_while_records_flow_and_nothing_else_does(
    daemon: Daemon,
) -> None:
    ready = daemon.ready()
    key = daemon.terminal.ok("keys", "create", "bot", "--json").json["token"]
    kept: set[int] = set()
    async with asyncio.timeout(60), over_http(ready["url"], key) as client:
        while len(kept) != 2:  # a thread that was just started may be seen before it has said where it runs
            await client.call_tool("tiny__look", {"what": "there"})
            kept = kept_on_one(daemon.process.pid)
        assert daemon.process.pid in kept
        while kept_on_one(daemon.process.pid):  # noqa: ASYNC110 -- the kernel has no event for it
            await asyncio.sleep(0.01)


def kept_on_one(pid: int) -> set[int]:
    """Of the threads of a process, and the processes that it started, those with one processor to run on."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    started = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert len(threads) > 2
    assert started
    kept = set()
    for each in (*threads, *started):
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            if len(os.sched_getaffinity(each)) == 1:
                kept.add(each)
    return kept
