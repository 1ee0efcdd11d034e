"""The act of the cage: the same hostile code inside one and outside."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from toolward.bootstrap import open_house
from toolward.bootstrap.cages import strongest_sandbox
from toolward.doors.python import OpenWard
from toolward.governance.desk import invoke
from toolward.lab.demo import thief_server
from toolward.lab.demo.stage import Stage, expect
from toolward.model.capability import Scope
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.sandbox import PythonJob, PythonSource, Value

TOKEN: Final = "DEMO_TOKEN=sk-of-no-value"  # noqa: S105 -- it opens nothing
_CALL: Final = """
import runpy, sys
print(runpy.run_path(sys.argv[1])["TOOLS"][sys.argv[2]](sys.argv[3]))
"""
"""The deeds as a Python tool outside any cage."""


def cage(stage: Stage) -> None:
    """The act. Needs nothing of the acts before."""
    stage.begin("The same hostile code, outside a cage and in one")
    folder = stage.home / "cages"
    folder.mkdir()
    secret = folder / "diary.txt"
    secret.write_text("what nobody else should read", encoding="utf-8")
    # somebody's program that was given a token in its environment, as many are
    other = subprocess.Popen(["sleep", "300"], env=dict([TOKEN.split("=")]))
    try:
        with _listener() as (url, heard):
            targets = {"environment": "", "read": str(secret), "phone_home": url, "multiply": ""}
            program = folder / "helper" / "helper.py"
            program.parent.mkdir()
            shutil.copyfile(thief_server.__file__, program)
            outside, inside = asyncio.run(_through_the_gateway(folder, program, targets))
            _compare(stage, "stdio MCP server", outside, inside)
            expect("the phone rang for the one outside only", len(heard) == 1, len(heard))
            outside, inside = asyncio.run(_as_functions(targets))
            _compare(stage, "Python function", outside, inside)
            expect("and once more for the function outside", len(heard) == 2, len(heard))  # noqa: PLR2004 -- two controls
    finally:
        other.kill()
        other.wait()


def _compare(stage: Stage, what: str, outside: dict[str, str], inside: dict[str, str]) -> None:
    most = thief_server.FORKS
    expect(f"{what}: outside, the environment is stolen", TOKEN in outside["environment"], outside)
    expect(f"{what}: outside, the file is read", "nobody else" in outside["read"], outside)
    expect(f"{what}: outside, somebody is told", outside["phone_home"].startswith("told"), outside)
    expect(f"{what}: outside, it multiplies", outside["multiply"] == str(most), outside)
    expect(f"{what}: inside, there is no token", TOKEN not in inside["environment"], inside)
    expect(f"{what}: inside, there is no such file", "nobody else" not in inside["read"], inside)
    expect(f"{what}: inside, nobody is told", inside["phone_home"].startswith("nobody"), inside)
    expect(f"{what}: inside, it stays small", int(inside["multiply"]) < most, inside)
    stage.say(f"{what}")
    for deed in thief_server.TOOLS:
        stage.say(f"  {deed:<12} outside: {outside[deed][:46]:<48} in a cage: {inside[deed][:40]}")


async def _through_the_gateway(
    folder: Path, program: Path, targets: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """One program as two servers of a ward: one says `unsafe_no_sandbox`, and every record of it tells."""
    ward = folder / "ward"
    ward.mkdir()
    server = {"command": "python3", "arguments": [str(program)]}
    config = {
        "version": 1,
        "name": "cages",
        "profile": "observe",
        "servers": {"caged": server, "bare": {**server, "unsafe_no_sandbox": True}},
    }
    (ward / "toolward.yaml").write_bytes(orjson.dumps(config))
    by = Principal(user="demo", agent="lab", credential="lab", kind=CredentialKind.PERSON)
    async with open_house(ward) as house:
        for name in ("caged", "bare"):
            await house.parts.drift.refresh(name)
        rows = await invoke(house.desk, "tools.list", {}, by)
        wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
        await invoke(house.desk, "tools.approve", {"tools": wanted, "note": "demo"}, by)
        async with OpenWard(house).session(user="ana", agent="helper") as session:
            told = {
                name: {
                    deed: (await session.call(f"{name}/{deed}", target=target)).text
                    for deed, target in targets.items()
                }
                for name in ("bare", "caged")
            }
            shown = await session.call("caged/multiply")
            expect("the receipt says what held it", shown.receipt["isolation"] != "none", shown.receipt)
    return told["bare"], told["caged"]


async def _as_functions(targets: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The deeds as a function: in a process like any other, and in a cage of its own for each call."""
    outside = {deed: _in_a_process(deed, target) for deed, target in targets.items()}
    sandbox = await strongest_sandbox()
    inside: dict[str, str] = {}
    try:
        for deed, target in targets.items():
            code = PythonSource(text=_source(), function=deed)
            ended = await sandbox.run(PythonJob(target=code, arguments={"target": target}), Scope())
            inside[deed] = str(ended.value) if isinstance(ended, Value) else str(ended)
    finally:
        await sandbox.close()
    return outside, inside


def _in_a_process(deed: str, target: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _CALL, _program(), deed, target], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _source() -> str:
    return Path(_program()).read_text("utf-8")


def _program() -> str:
    return thief_server.__file__


@contextmanager
def _listener() -> Iterator[tuple[str, list[bytes]]]:
    """Somebody at home, who counts the calls."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    heard.append(caller.recv(4096))
                    caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", heard
        server.shutdown(socket.SHUT_RDWR)
