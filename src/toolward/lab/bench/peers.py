"""Other gateways, each in an environment of its own, in the version that its figures are of."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from toolward.lab.bench.client import Address
from toolward.lab.bench.processes import HOME, child, free_port
from toolward.lab.toolchain import make_environment

FASTMCP: Final = "fastmcp==4.1.2"
POLICY_GATEWAY: Final = "mcp-policy-gateway==0.1.0"
_TOKEN: Final = "bench-token-of-no-value"  # noqa: S105 -- guards nothing but this measurement

_FASTMCP_DEFAULT: Final = """
import sys
from fastmcp.server import create_proxy
proxy = create_proxy(sys.argv[1], name="bench")
proxy.run(transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False, log_level="warning")
"""
_FASTMCP_SHARED: Final = """
import asyncio, sys
from fastmcp import Client
from fastmcp.server import create_proxy

async def main():
    async with Client(sys.argv[1]) as client:
        await create_proxy(client, name="bench").run_async(
            transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False, log_level="warning"
        )

asyncio.run(main())
"""


@contextlib.contextmanager
def fastmcp_proxy(upstream: str, *, shared: bool) -> Iterator[tuple[int, Address]]:
    """`fastmcp`'s proxy, with a client for each request (its default) or one client for all."""
    python = make_environment(HOME / "fastmcp", [FASTMCP])
    name = "fastmcp-shared" if shared else "fastmcp-default"
    script = HOME / f"{name}.py"
    script.write_text(_FASTMCP_SHARED if shared else _FASTMCP_DEFAULT, encoding="utf-8")
    port = free_port()
    quiet = {"FASTMCP_CHECK_FOR_UPDATES": "off"}
    with child(name, [python, script, upstream, str(port)], port=port, env=quiet) as pid:
        yield pid, Address(url=f"http://127.0.0.1:{port}/mcp", tool="echo_write")


@contextlib.contextmanager
def policy_gateway(upstream: str) -> Iterator[tuple[int, Address]]:
    """`mcp-policy-gateway` with one rule on an argument, its token check and its hash-chained audit."""
    python = make_environment(HOME / "mcp-policy-gateway", [POLICY_GATEWAY])
    home = HOME / "mcp-policy-gateway-run"
    home.mkdir(parents=True, exist_ok=True)
    log = (home / "audit.jsonl").absolute()
    log.unlink(missing_ok=True)
    rule = {
        "name": "echo",
        "effect": "allow",
        "tools": ["echo_*"],
        "when": {"args.text": {"matches": "[a-z0-9-]+"}},
    }
    config = {
        "version": 1,
        "upstreams": {"up": {"transport": "http", "url": upstream}},
        "policies": {"bench": {"default": "deny", "rules": [rule]}},
        "tokens": [
            {"name": "bench", "policy": "bench", "sha256": hashlib.sha256(_TOKEN.encode()).hexdigest()}
        ],
        "audit": {"path": str(log)},
    }
    path = home / "policy.yaml"
    path.write_bytes(orjson.dumps(config))  # JSON is YAML
    port = free_port()
    program = Path(python).with_name("mcp-policy-gateway")
    command: list[str | Path] = [program, "run", "-c", path, "--transport", "http", "--port", str(port)]
    with child("mcp-policy-gateway", command, port=port) as pid:
        headers = {"authorization": f"Bearer {_TOKEN}"}
        yield pid, Address(url=f"http://127.0.0.1:{port}/mcp", tool="echo_write", headers=headers)
