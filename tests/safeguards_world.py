"""A ward with a tool that is held, and resources that sessions contend for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness import MANIFESTS, WARD, World, default_tools, tool, write_ward
from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.model.principal import CredentialKind, Principal

ALICE = Principal(user="alice", agent="scripted", credential="os:alice", kind=CredentialKind.OS_USER)
BOB = Principal(user="bob", agent="scripted", credential="os:bob", kind=CredentialKind.OS_USER)
SEND = ("mail/send", {"to": "ann@example.org", "text": "hello"})

SERVERS = """\
  db:
    command: never-started
"""
MAIL = """\
server: mail
tools:
  send:
    effect: irreversible
    egress: true
    arguments: {to: {role: authority, kind: address}, text: {role: content}}
    undo: {escrow: {delay_s: 600, until_seal: true}}
  publish:
    effect: irreversible
    egress: true
    undo: {escrow: {until_seal: true}, resources: ["db:{arg:table}"]}
  fetch: {effect: read_only, egress: true, arguments: {url: {role: authority, kind: url}}}
"""
FILES = """\
server: files
tools:
  read: {effect: read_only, egress: false, arguments: {path: {role: authority, kind: path}}}
  write:
    effect: reversible
    egress: false
    arguments: {path: {role: authority, kind: path}, text: {role: content}}
    undo: {resources: ["file:{arg:path}"], conflicts: refuse}
"""
DB = """\
server: db
tools:
  put:
    effect: compensable
    egress: false
    undo: {resources: ["db:{arg:table}"], conflicts: serialize}
"""


def safeguarded(folder: Path, *, profile: str = "observe") -> Path:
    """The ward; `observe` lets an irreversible call through to its escrow."""
    ward = WARD.replace("guarded", profile) + SERVERS
    files = {"toolward.yaml": ward, "tools/mail.yaml": MAIL, "tools/files.yaml": FILES, "tools/db.yaml": DB}
    return write_ward(folder, {**{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()}, **files})


def tools() -> dict[str, list[dict[str, Any]]]:
    found = default_tools()
    return {
        "files": [tool("read", "path"), tool("write", "path", "text")],
        "mail": [*found["mail"], tool("publish", "table")],
        "db": [tool("put", "table", "row")],
    }


def a_store() -> MemoryStore:
    return MemoryStore(clock=VirtualClock(), ids=CountingIds())


def ran(world: World, key: str) -> list[Any]:
    """The arguments with which that tool ran."""
    return [arguments for name, arguments, _ in world.upstreams.ran if name == key]
