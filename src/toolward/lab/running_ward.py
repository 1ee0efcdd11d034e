"""A ward of the lab's own: its files written, its daemon running in this process, its tools approved."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from toolward.bootstrap.assembly import House
from toolward.bootstrap.daemon import Ready, Watch, run_daemon
from toolward.bootstrap.people import this_user
from toolward.config.reading import CONFIG_FILE
from toolward.errors import ToolwardError
from toolward.governance.desk import invoke
from toolward.model.principal import CredentialKind, Principal


@dataclass(slots=True, kw_only=True)
class RunningWard:
    """An open ward that answers at `url`. `troubles` holds what the daemon said of its servers."""

    house: House
    url: str
    troubles: list[str] = field(default_factory=list)

    async def approve_all(self, server: str) -> list[str]:
        """Approve what the server lists now, as the person who runs the lab. Returns the tools' names.

        Raises `ToolFailed` when the server can not be described.
        """
        await self.house.parts.drift.refresh(server)
        rows = await self.desk("tools.list", {"server": server})
        wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
        if wanted:
            await self.desk("tools.approve", {"tools": wanted, "note": "lab"})
        return [row["name"] for row in rows]

    async def desk(self, verb: str, parameters: Mapping[str, Any]) -> Any:
        """Run one of the desk's verbs as a person."""
        by = Principal(user=this_user(), agent="lab", credential="lab", kind=CredentialKind.PERSON)
        return await invoke(self.house.desk, verb, parameters, by)


def emptied(path: Path, *, keep: str) -> Path:
    """Make an empty directory for a ward; `keep` names what may stay of the state of the one before."""
    state = path / ".toolward"
    for item in [*path.glob("*"), *state.glob("*")]:
        if item in (state, state / keep):
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()
    path.mkdir(parents=True, exist_ok=True)
    return path


def fresh_ward(path: Path, config: Mapping[str, Any]) -> Path:
    """Write a ward's one file into an empty directory; JSON is YAML, so nothing has to be quoted by hand."""
    emptied(path, keep="servers")
    (path / CONFIG_FILE).write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2))
    return path


@asynccontextmanager
async def running_ward(path: Path) -> AsyncIterator[RunningWard]:
    """The daemon of the ward at `path`, on a port of its own, until the block ends.

    Raises what `run_daemon` raises.
    """
    stop = asyncio.Event()
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    troubles: list[str] = []
    watch = Watch(
        ready=ready.set_result,
        trouble=lambda server, text: troubles.append(f"{server}: {text}"),
    )
    async with asyncio.TaskGroup() as group:
        daemon = group.create_task(run_daemon(path, stop, watch=watch, port=0))
        await asyncio.wait((daemon, ready), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await daemon  # raises what was wrong
            raise ToolwardError("the daemon ended before it answered")
        try:
            yield RunningWard(house=ready.result().house, url=ready.result().url, troubles=troubles)
        finally:
            stop.set()
