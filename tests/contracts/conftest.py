"""Which event loop a contract is checked on: the daemon's is uvloop, whose transports differ from asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

_LOOPS: dict[str, tuple[str, ...]] = {
    "test_mcp_upstreams.py": ("uvloop",),
    "test_hostile_http_upstreams.py": ("asyncio", "uvloop"),
    "test_eager_servers.py": ("asyncio", "uvloop"),
    "test_sandboxes.py": ("uvloop",),
    "test_caged_tools.py": ("uvloop",),
    "test_changing_upstreams.py": ("uvloop",),
    "test_images.py": ("uvloop",),
}
_MAKERS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {name: _MAKERS[name] for name in _LOOPS.get(item.path.name, ("asyncio",))}
