"""Starting the columns, each in a process of its own with a secret in its environment, and reading them."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import orjson

from toolward.lab.escape.attempts import ATTEMPTS, Control
from toolward.lab.escape.bubblewrap import installed
from toolward.lab.escape.places import Seen
from toolward.lab.escape.unprivileged import UID, Host
from toolward.lab.escape.wasm_attempts import MODULE_ATTEMPTS
from toolward.lab.escape.world import GATEWAY_SECRET

AT_ONCE: Final = 2
_COLUMN_S: Final = 240
UIDS: Final = {"user": UID, "namespaces": UID - 1, "landlock": UID - 2, "bubblewrap": UID - 3}
"""A user for each: without namespaces the limit of processes is of all that a user has."""


@dataclass(frozen=True, slots=True)
class Column:
    """One kind of cage, or of control."""

    name: str
    place: str
    as_root: bool

    @property
    def command(self) -> list[str] | None:
        """How it is started from here; nothing if it can not be."""
        own = [sys.executable, "-m", "toolward.lab.escape.column", self.place]
        is_root = os.geteuid() == 0
        if self.place == "bubblewrap" and not installed():
            return None
        if self.place in {"wasm", "bare_wasm"}:
            return own
        if not self.as_root:
            return as_user(Host.PLAIN, own, uid=UIDS[self.place]) if is_root else own
        if not is_root:
            return None
        if self.place != "root":
            return own
        unshare = shutil.which("unshare")
        return [unshare, "--mount", "--uts", "--ipc", *own] if unshare else None


CAGES: Final = (
    Column("namespaces, root", "namespaces", as_root=True),
    Column("namespaces, user", "namespaces", as_root=False),
    Column("landlock, root", "landlock", as_root=True),
    Column("landlock, user", "landlock", as_root=False),
)
CONTROLS: Final = (
    Column("control, user", "user", as_root=False),
    Column("control, root", "root", as_root=True),
)
BWRAP: Final = Column("bubblewrap, user", "bubblewrap", as_root=False)
"""Somebody else's cage around the same payloads, where it is installed."""
WASM: Final = Column("wasm", "wasm", as_root=False)
WASM_CONTROL: Final = Column("a bare runtime", "bare_wasm", as_root=False)


@dataclass(frozen=True, slots=True)
class Told:
    """What a column said: by attempt, and the report of its cages."""

    seen: dict[str, Seen]
    report: dict[str, Any]
    all: dict[str, Any]

    @property
    def gaps(self) -> tuple[str, ...]:
        """What its cages say that they do not stop."""
        return tuple(self.report.get("gaps", ()))


def as_user(host: Host, command: Sequence[str], *, uid: int = UID) -> list[str]:
    """The command as an ordinary user, on a host of this kind. Needs root."""
    return [sys.executable, "-m", "toolward.lab.escape.unprivileged", str(uid), host.value, *command]


def run_command(command: Sequence[str], only: Sequence[str]) -> Told:
    """Run one column. Raises `RuntimeError` with what it wrote."""
    environment = {**os.environ, GATEWAY_SECRET: f"tw-secret-gateway-{secrets.token_hex(16)}"}
    done = subprocess.run(
        [*command, *only], env=environment, capture_output=True, timeout=_COLUMN_S, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode("utf-8", "replace")[-2_000:])
    told = orjson.loads(done.stdout)
    seen = {
        name: Seen(**{**each, "wrong": tuple(each["wrong"]), "harm": tuple(each["harm"])})
        for name, each in told["attempts"].items()
    }
    return Told(seen, told.get("report") or {}, told)


def run_all(columns: Sequence[Column], only: Sequence[str]) -> dict[str, Told]:
    """Every column that can be run here, by its name."""
    able = {each.name: command for each in columns if (command := each.command)}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        running = {name: threads.submit(run_command, command, only) for name, command in able.items()}
        return {name: each.result() for name, each in running.items()}


def control_of(attempt: str, told: dict[str, Told]) -> Seen | None:
    """What the same payload came to without a cage."""
    for column in (*CONTROLS, WASM_CONTROL):
        if column.name in told and attempt in told[column.name].seen:
            return told[column.name].seen[attempt]
    return None


def has_control(attempt: str) -> bool:
    """Whether there is anything to compare with."""
    return any(
        each.id == attempt and each.control is not Control.NONE for each in (*ATTEMPTS, *MODULE_ATTEMPTS)
    )
