"""A world in which everything can be undone, with a ledger of its own: what the tools did, whatever is recorded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.harness import World, open_world, text_result, tool
from toolward.adapters.stores.memory import MemoryStore
from toolward.errors import Denied, ReasonCode, ToolwardError
from toolward.model.call import Failed, Intent, RawOutcome, Returned
from toolward.model.permit import Permit
from toolward.ports.images import Changed, Image, Images, Listing
from toolward.ports.upstream import Exchange

WARD = """\
version: 1
name: test
profile: guarded
servers:
  disk: {command: never-started, roots: [/data]}
  shop: {command: never-started}
"""

MANIFESTS = {
    "tools/disk.yaml": """\
server: disk
tools:
  write:
    effect: reversible
    egress: false
    arguments: {path: {role: authority, kind: path}, text: {role: content}}
    result: {integrity: trusted}
    undo: {snapshot: {paths: ["{arg:path}"]}, compensate: {restore: true}}
  wipe: {effect: irreversible, egress: false, arguments: {path: {role: authority, kind: path}}, undo: {resources: ["path:{arg:path}"]}}
  peek: {effect: read_only, egress: false, arguments: {path: {role: authority, kind: path}}, undo: {snapshot: {paths: ["{arg:path}"]}}}
""",
    "tools/shop.yaml": """\
server: shop
tools:
  place:
    effect: compensable
    egress: false
    result: {integrity: trusted}
    undo:
      compensate: {tool: cancel, arguments: {order: /input/order}, attempts_max: 3}
      probe: {tool: has, arguments: {order: /input/order}}
      resources: ["order:{arg:order}"]
  note:
    effect: compensable
    egress: false
    result: {integrity: trusted}
    undo:
      compensate: {tool: strike, arguments: {note: /output/structuredContent/id, key: /key}, otherwise: {tool: hide, arguments: {note: /output/structuredContent/id}}}
      resources: ["note:{arg:text}"]
  price:
    effect: compensable
    egress: false
    result: {integrity: trusted}
    undo:
      snapshot: {tool: tag, arguments: {item: /input/item}}
      compensate:
        tool: price
        arguments: {item: /input/item, cents: /snapshot/structuredContent/cents}
        precondition: {tool: tag, arguments: {item: /input/item}}
      resources: ["item:{arg:item}"]
  sell: {effect: reversible, egress: false, result: {integrity: trusted}}
  cancel: {effect: irreversible, egress: false}
  strike: {effect: irreversible, egress: false}
  hide: {effect: irreversible, egress: false}
  has: {effect: read_only, egress: false, result: {integrity: trusted}}
  tag: {effect: read_only, egress: false, result: {integrity: trusted}}
""",
}


class Lost(ToolwardError):
    """The process is gone: nothing that it would do any more happens."""


@dataclass
class Things:
    """Files, orders, notes and prices, and what was done to them. It outlives the gateway."""

    files: dict[str, str] = field(default_factory=lambda: {"/data/a": "old a"})
    orders: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)
    prices: dict[str, str] = field(default_factory=lambda: {"pen": "100"})
    keys: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)  # "place 7" -> times
    points: int = 0  # places at which a process could be stopped, passed so far
    stop_at: int = 0
    store: MemoryStore | None = None
    broken: set[str] = field(default_factory=set)  # tools that answer with an error
    fails: Counter[str] = field(default_factory=Counter)  # tool -> how often it still fails

    def point(self) -> None:
        """Here the process may be killed: what it writes after this is lost."""
        self.points += 1
        if self.points == self.stop_at and self.store is not None:
            self.store.fail_at = frozenset({self.store.commits + 1})
            raise Lost("the process is gone")

    def state(self) -> tuple[Any, ...]:
        return (dict(self.files), set(self.orders), dict(self.notes), dict(self.prices))

    async def run(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        name = permit.labelled.resolved.name
        if name in self.broken or self.fails[name] > 0:
            self.fails[name] -= 1
            return Returned(result={**text_result(f"{name} is out of order"), "isError": True}, size_bytes=1)
        arguments: dict[str, Any] = orjson.loads(permit.labelled.call.arguments_json)
        self.point()
        result = getattr(self, f"_{name}")(**arguments)
        self.point()
        return Returned(result=result, size_bytes=1)

    def _write(self, path: str, text: str) -> dict[str, Any]:
        self.done[f"write {path} {text}"] += 1
        self.files[path] = text
        return text_result("written")

    def _wipe(self, path: str) -> dict[str, Any]:
        self.files.pop(path, None)
        return text_result("wiped")

    def _peek(self, path: str) -> dict[str, Any]:
        if self.files.get(path) == "trap":
            self.files[path] = "sprung"
        return text_result(self.files.get(path, ""))

    def _place(self, order: str) -> dict[str, Any]:
        self.done[f"place {order}"] += 1
        self.orders.add(order)
        return text_result("placed")

    def _cancel(self, order: str) -> dict[str, Any]:
        self.done[f"cancel {order}"] += 1
        self.orders.discard(order)
        return text_result("cancelled")

    def _has(self, order: str) -> dict[str, Any]:
        return {**text_result(""), "structuredContent": {"happened": order in self.orders}}

    def _note(self, text: str) -> dict[str, Any]:
        self.done[f"note {text}"] += 1
        self.notes[f"id-{text}"] = text
        return {**text_result("noted"), "structuredContent": {"id": f"id-{text}"}}

    def _strike(self, note: str, key: str) -> dict[str, Any]:
        if key not in self.keys:
            self.keys.add(key)
            self.done[f"strike {note}"] += 1
            self.notes.pop(note, None)
        return text_result("struck")

    def _hide(self, note: str) -> dict[str, Any]:
        self.done[f"hide {note}"] += 1
        self.notes.pop(note, None)
        return text_result("hidden")

    def _price(self, item: str, cents: str) -> dict[str, Any]:
        self.done[f"price {item} {cents}"] += 1
        self.prices[item] = cents
        return text_result("priced")

    def _tag(self, item: str) -> dict[str, Any]:
        return {**text_result(""), "structuredContent": {"cents": self.prices.get(item, "")}}

    def _sell(self, item: str) -> dict[str, Any]:
        return text_result(f"sold {item}")


class FakeImages(Images):
    """Before-images of the files of `Things`."""

    def __init__(self, things: Things) -> None:
        self.things = things
        self.refuses = ""

    async def look(self, paths: Sequence[str], *, within: Sequence[str]) -> Listing:
        return self._listing(paths)

    async def capture(self, paths: Sequence[str], *, within: Sequence[str], bytes_max: int) -> Image:
        for path in paths:
            if self.refuses or not any(path.startswith(root) for root in within):
                raise Denied(self.refuses or "outside", code=ReasonCode.NOT_UNDOABLE)
        contents = {path: self.things.files[path] for path in paths if path in self.things.files}
        return Image(paths=tuple(paths), listing=self._listing(paths), contents=contents)

    async def restore(self, image: Image, *, within: Sequence[str], found: Listing) -> Listing:
        files = self.things.files
        for path in image.paths:
            now = self._listing([path]).get(path)
            if now not in (found.get(path), image.listing.get(path)):
                raise Changed(path)
        for path in image.paths:
            self.things.point()
            if path in image.contents:
                files[path] = image.contents[path]
            else:
                files.pop(path, None)
            self.things.point()
        return self._listing(image.paths)

    def _listing(self, paths: Sequence[str]) -> Listing:
        files = self.things.files
        return {
            path: f"f 644 {hashlib.sha256(files[path].encode()).hexdigest()}"
            for path in paths
            if path in files
        }


def tools() -> dict[str, list[dict[str, Any]]]:
    return {
        "disk": [tool("write", "path", "text"), tool("wipe", "path"), tool("peek", "path")],
        "shop": [
            tool("place", "order"),
            tool("cancel", "order"),
            tool("has", "order"),
            tool("note", "text"),
            tool("strike", "note", "key"),
            tool("hide", "note"),
            tool("price", "item", "cents"),
            tool("tag", "item"),
            tool("sell", "item"),
        ],
    }


@asynccontextmanager
async def undoable_world(
    folder: Path,
    things: Things,
    *,
    store: MemoryStore | None = None,
    files: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[World]:
    """Opened again with the same `store` and `things`, it is the world after a crash."""
    names = {f"{server}/{each['name']}": things.run for server, all_ in tools().items() for each in all_}
    if not (folder / "toolward.yaml").exists():
        for name, text in {"toolward.yaml": WARD, **MANIFESTS, **(files or {})}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    async with open_world(
        folder, tools=tools(), store=store, images=FakeImages(things), answers=dict(names), **options
    ) as world:
        things.store = world.store
        yield world


def unreached() -> Failed:
    """The server was never reached."""
    return Failed(code=-1, message="unreachable", reason="tool_unreachable", from_server=False)
