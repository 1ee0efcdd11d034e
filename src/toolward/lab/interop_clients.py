"""Real clients at the gateway's aggregated endpoint, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.lab import clients as programs
from toolward.lab.report import Row
from toolward.lab.toolchain import Node, SetupFailed, make_environment, make_npm_folder

SDK: Final = "mcp==2.3.0"
PYDANTIC_AI: Final = "pydantic-ai-slim[mcp]==2.68.0"
INSPECTOR: Final = "@modelcontextprotocol/inspector@2.12.0"
PROGRAMS: Final = Path(programs.__path__[0]).absolute()
TOOL: Final = "alchemy__all_table_names"
"""Needs no arguments, so that a client which makes them up can call it."""
EXPECT: Final = "goods"
MODES: Final = ("2026-07-28", "legacy")
"""Of the SDK's client: one for each wire era."""
RUN_TIMEOUT_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a client saw at one URL."""

    tools: tuple[str, ...] = ()
    text: str = ""
    error: str = ""
    version: str = ""  # the wire that it negotiated, or the SDK beneath it


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Where they are. `inspector` is None without Node."""

    sdk_python: Path
    agents: Mapping[str, Path]
    node: Node | None
    inspector: Path | None
    home: Path

    def sdk(self, jobs: Sequence[Mapping[str, Any]], *, mode: str) -> list[Seen]:
        """The official SDK's client, one connection for each job. Raises `SetupFailed`."""
        body = {"mode": mode, "jobs": list(jobs)}
        done = _run([self.sdk_python, PROGRAMS / "sdk_client.py"], body)
        return [
            Seen(tools=tuple(each["tools"]), text=each["text"], error=each["error"], version=each["version"])
            for each in orjson.loads(done)
        ]

    def pydantic_ai(self, python: Path, url: str, token: str) -> Seen:
        """One run of an agent. Raises `SetupFailed`."""
        done = _run([python, PROGRAMS / "pydantic_ai_client.py"], {"url": url, "token": token, "tool": TOOL})
        each = orjson.loads(done)
        version = f"mcp {each['mcp']}"
        return Seen(tools=tuple(each["tools"]), text=each["text"], error=each["error"], version=version)

    def inspect(self, url: str, token: str) -> Seen:
        """The Inspector's command line, once to list and once to call. Raises `SetupFailed`."""
        if self.node is None or self.inspector is None:
            raise SetupFailed("the Inspector needs Node")
        common: list[Path | str] = [
            *(self.node.node, self.inspector, url, "--transport", "http"),
            *("--header", f"Authorization: Bearer {token}", "--method"),
        ]
        environment = {**self.node.environment(), "MCP_CATALOG_PATH": str(self.home / "inspector.json")}
        listed = orjson.loads(_run([*common, "tools/list"], None, environment))
        called = orjson.loads(_run([*common, "tools/call", "--tool-name", TOOL], None, environment))
        texts = [part.get("text", "") for part in called.get("content", ())]
        return Seen(
            tools=tuple(tool["name"] for tool in listed["tools"]),
            text="\n".join(texts),
            error="\n".join(texts) if called.get("isError") else "",
        )

    def rows(self, url: str, token: str) -> list[Row]:
        """One row for each client: it lists everything, and calls."""
        out = []
        for mode in MODES:
            (seen,) = self.sdk([{"url": url, "token": token, "tool": TOOL}], mode=mode)
            out.append(_row(f"mcp SDK Client, mode {mode}", seen))
        for name, python in self.agents.items():
            out.append(_row(name, self.pydantic_ai(python, url, token)))
        if self.inspector is not None:
            out.append(_row(f"MCP Inspector CLI, {INSPECTOR}", self.inspect(url, token)))
        else:
            out.append(Row(what="MCP Inspector CLI: skipped, there is no Node", figure=0, unit="tools"))
        return out


def fetch_clients(home: Path, node: Node | None) -> Clients:
    """Their environments; pydantic-ai over each major version of the SDK. Raises `SetupFailed`."""
    inspector = None
    if node is not None:
        modules = make_npm_folder(home / "inspector", [INSPECTOR], node).absolute()
        inspector = modules / "@modelcontextprotocol/inspector/clients/cli/build/index.js"
    return Clients(
        sdk_python=make_environment(home / "sdk", [SDK]),
        agents={
            "pydantic-ai TestModel": make_environment(home / "pydantic-ai", [PYDANTIC_AI, "mcp>=2"]),
            "pydantic-ai TestModel, older SDK": make_environment(
                home / "pydantic-ai-1", [PYDANTIC_AI, "mcp<2"]
            ),
        },
        node=node,
        inspector=inspector,
        home=home.absolute(),
    )


def _row(who: str, seen: Seen) -> Row:
    wrong = seen.error
    if not wrong and (TOOL not in seen.tools or EXPECT not in seen.text):
        wrong = f"saw {len(seen.tools)} tools and answered `{seen.text[:80]}`"
    version = f" ({seen.version})" if seen.version else ""
    return Row(
        what=f"{who}{version}: {wrong[:300] or 'listed and called'}",
        figure=len(seen.tools),
        unit="tools",
        goal="list and call",
        holds=not wrong,
    )


def _run(command: Sequence[Path | str], body: object, environment: Mapping[str, str] | None = None) -> bytes:
    """Run a client and return what it wrote to stdout. Raises `SetupFailed`."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            input=orjson.dumps(body) if body is not None else b"",
            env=dict(environment if environment is not None else os.environ),
            capture_output=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise SetupFailed(f"`{command[1]}` took longer than {RUN_TIMEOUT_S:.0f} s") from late
    if not done.stdout:
        raise SetupFailed(f"`{command[1]}` ended with {done.returncode}: {done.stderr[-2000:].decode()}")
    return done.stdout
