"""YAML with line numbers, and much narrower than YAML: what a person can read is what is loaded.

Scalars follow the YAML 1.2 core schema, so `no`, `on` and dates stay text. Anchors, aliases, merge keys,
tags, duplicate keys, more than one document, deep nesting and big files are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from toolward.errors import WardError

FILE_BYTES_MAX: Final = 1024 * 1024
"""One file of a ward; a manifest of a hundred tools has about fifty kilobytes."""
DEPTH_MAX: Final = 32
"""Nesting of a file; the deepest thing a ward says is six deep."""

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS: Final[Mapping[str, Any]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(slots=True)
class Node:
    """A value and where it stands: `line` (1-based) is its key's for mapping entries.

    `value` is a scalar, or None when `entries` (a mapping) or `items` (a sequence) is set.
    """

    line: int
    value: Any = None
    entries: dict[str, Node] | None = None
    items: list[Node] | None = None

    def plain(self) -> Any:
        """The value as dicts, lists and scalars."""
        if self.entries is not None:
            return {key: node.plain() for key, node in self.entries.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.value

    def at(self, path: Sequence[str | int]) -> Node:
        """The node at a path of keys and indices, or the nearest one above it."""
        node = self
        for step in path:
            below: Node | None = None
            if isinstance(step, str):
                below = (node.entries or {}).get(step)
            elif node.items is not None and step < len(node.items):
                below = node.items[step]
            if below is None:
                return node
            node = below
        return node


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been met."""

    node: Node
    key: str | None = None
    key_line: int = 0
    skipping: bool = False  # the value of a refused key


@dataclass(slots=True)
class _Reader:
    file: str
    findings: list[WardError] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    root: Node | None = None

    def say(self, text: str, line: int, remedy: str) -> None:
        self.findings.append(WardError(text, file=self.file, line=line, remedy=remedy))

    def take(self, node: Node) -> None:
        """Put a finished or just opened value where it belongs."""
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if top.node.items is not None:
            top.node.items.append(node)
        elif top.key is None:
            self._take_key(top, node)
        else:
            if not top.skipping and top.node.entries is not None:
                node.line = top.key_line
                top.node.entries[top.key] = node
            top.key = None

    def _take_key(self, top: _Open, node: Node) -> None:
        key = node.value
        top.key, top.key_line, top.skipping = str(key), node.line, False
        if not isinstance(key, str):
            self.say(f"the key `{key}` is not text", node.line, "write it in quotes")
            top.skipping = True
        elif key == "<<":
            self.say("merge keys are not read", node.line, "write the entries out")
            top.skipping = True
        elif top.node.entries is not None and key in top.node.entries:
            first = top.node.entries[key].line
            self.say(f"the key `{key}` stands here a second time", node.line, f"see line {first}; keep one")
            top.skipping = True


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text) if len(text) < 20 else text  # noqa: PLR2004 -- 64 bits have at most 19 digits
    return float(text) if _FLOAT.match(text) else text


def is_plain_text(text: str) -> bool:
    """Whether a scalar without quotes is read as this text rather than as a number or a word."""
    return text not in _WORDS and not _INT.match(text) and not _FLOAT.match(text) and text != "<<"


def read_yaml(data: bytes, *, file: str) -> tuple[Node | None, list[WardError]]:
    """The document as nodes, and all that is wrong with it. The node is None when nothing could be read."""
    if len(data) > FILE_BYTES_MAX:
        text = f"the file has {len(data)} bytes and the limit is {FILE_BYTES_MAX}"
        return None, [WardError(text, file=file, remedy="split it")]
    try:
        source = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return None, [WardError("the file is not utf-8", file=file, line=line, remedy="save it as utf-8")]
    reader = _Reader(file)
    try:
        for event in _events(source):
            if not _step(reader, event):
                return None, reader.findings
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it can not be parsed"
        reader.say(f"not yaml: {problem}", mark.line + 1 if mark else 0, "mend the syntax or the indentation")
        return None, reader.findings
    except yaml.reader.ReaderError as error:
        line = source[: error.position].count("\n") + 1
        reader.say("a character that yaml does not allow", line, "remove it")
        return None, reader.findings
    return reader.root, reader.findings


def _events(source: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(source, Loader=yaml.SafeLoader)


def _step(reader: _Reader, event: yaml.Event) -> bool:
    """Take one event; False when reading has to stop here."""
    line = event.start_mark.line + 1 if event.start_mark else 0
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        reader.say("anchors and aliases are not read", line, "write the value out")
        return False
    if isinstance(event, yaml.DocumentStartEvent) and reader.root is not None:
        reader.say("a second document begins here", line, "keep one document in a file")
        return False
    if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
        if event.tag is not None:
            reader.say(f"the tag `{event.tag}` is not read", line, "remove it")
            return False
        top = reader.stack[-1] if reader.stack else None
        is_key = top is not None and top.node.entries is not None and top.key is None
        if is_key and not isinstance(event, yaml.ScalarEvent):
            reader.say("a key that is not text", line, "use a plain word as the key")
            return False
    if isinstance(event, yaml.ScalarEvent):
        reader.take(Node(line, value=_scalar(event)))
    elif isinstance(event, yaml.CollectionStartEvent):
        mapping = isinstance(event, yaml.MappingStartEvent)
        node = Node(line, entries={}) if mapping else Node(line, items=[])
        reader.take(node)
        reader.stack.append(_Open(node))
        if len(reader.stack) > DEPTH_MAX:
            reader.say(f"nested more than {DEPTH_MAX} deep", line, "write it flatter")
            return False
    elif isinstance(event, yaml.CollectionEndEvent):
        reader.stack.pop()
    return True
