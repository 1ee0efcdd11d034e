"""The daemon as a real process, and the official client before it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from cli_world import Terminal

ROOT = Path(__file__).parents[1]


class Daemon:
    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.process = subprocess.Popen(
            [sys.executable, "-m", "toolward", "up", str(terminal.ward), "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(terminal),
        )

    def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1].decode()
        value: dict[str, Any] = orjson.loads(line)
        return value

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err.decode()


def environment(terminal: Terminal) -> dict[str, str]:
    return {
        **os.environ,
        **terminal.environment(),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture
def daemon(terminal: Terminal) -> Iterator[Daemon]:
    running = Daemon(terminal)
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.communicate()


@asynccontextmanager
async def over_http(
    url: str, key: str, *, headers: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[Client]:
    sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    async with (
        httpx2.AsyncClient(headers=sent, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), **options) as client,
    ):
        yield client
