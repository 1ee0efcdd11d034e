"""JSON with comments and trailing commas, as editors write it, with places so that it can be edited in place.

    parse(text)                     -> Node with spans; `JsoncError` names the line
    with_member(text, path, k, v)   -> the text with one member set, everything else untouched
    without_member(text, path, k)   -> the text with one member removed

Comments outside an edited member are kept to the byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

DEPTH_MAX: Final = 64
_SPACE = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}


class JsoncError(ValueError):
    """Not JSON, at a line (1-based)."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.text, self.line = text, line


@dataclass(frozen=True, slots=True)
class Member:
    """One `key: value` of an object; `comma` is the place of the comma after it, or -1."""

    key: str
    start: int
    node: Node
    comma: int


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its span `[start, end)`; exactly one of the three holds it."""

    start: int
    end: int
    value: Any = None
    members: tuple[Member, ...] | None = None
    items: tuple[Node, ...] | None = None

    def plain(self) -> Any:
        """As dicts, lists and scalars."""
        if self.members is not None:
            return {member.key: member.node.plain() for member in self.members}
        if self.items is not None:
            return [item.plain() for item in self.items]
        return self.value

    def get(self, key: str) -> Node | None:
        """The value of a member, if this is an object and has it."""
        return next((m.node for m in self.members or () if m.key == key), None)


@dataclass(slots=True)
class _Scanner:
    text: str
    at: int = 0
    depth: int = field(default=0)

    def fail(self, text: str) -> JsoncError:
        return JsoncError(text, line_of(self.text, self.at))

    def space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def peek(self) -> str:
        self.space()
        return self.text[self.at : self.at + 1]

    def take(self, sign: str) -> bool:
        if self.peek() == sign:
            self.at += 1
            return True
        return False

    def string(self) -> str:
        match = _STRING.match(self.text, self.at)
        if match is None:
            raise self.fail("a text is not closed, or a key is not in double quotes")
        try:
            value = json.loads(match.group())
        except ValueError as error:
            raise self.fail("a text holds an escape that json does not know") from error
        self.at = match.end()
        return str(value)

    def node(self) -> Node:
        sign = self.peek()
        start = self.at
        if sign in ("{", "["):
            self.depth += 1
            if self.depth > DEPTH_MAX:
                raise self.fail(f"nested more than {DEPTH_MAX} deep")
            self.at += 1
            if sign == "{":
                members = self._members()
                out = Node(start, self.at, members=members)
            else:
                items = self._items()
                out = Node(start, self.at, items=items)
            self.depth -= 1
            return out
        if sign == '"':
            value = self.string()
            return Node(start, self.at, value=value)
        return self._word(start)

    def _word(self, start: int) -> Node:
        for word, value in _WORDS.items():
            if self.text.startswith(word, start):
                self.at = start + len(word)
                return Node(start, self.at, value=value)
        match = _NUMBER.match(self.text, start)
        if match is None:
            raise self.fail("a value is missing or is none that json knows")
        try:
            value = json.loads(match.group())
        except ValueError as error:  # thousands of digits
            raise self.fail("a number is too long") from error
        self.at = match.end()
        return Node(start, self.at, value=value)

    def _members(self) -> tuple[Member, ...]:
        out: list[Member] = []
        seen: set[str] = set()
        while not self.take("}"):
            if out and out[-1].comma < 0:
                raise self.fail("a comma or a closing brace is missing before this")
            start = self.at
            key = self.string()
            if key in seen:
                self.at = start
                raise self.fail(f"the key `{key}` stands here a second time")
            seen.add(key)
            if not self.take(":"):
                raise self.fail(f"a colon is missing after `{key}`")
            node = self.node()
            comma = self.at if self.peek() == "," else -1
            self.take(",")
            out.append(Member(key, start, node, comma))
        return tuple(out)

    def _items(self) -> tuple[Node, ...]:
        out: list[Node] = []
        more = True
        while not self.take("]"):
            if not more:
                raise self.fail("a comma or a closing bracket is missing before this")
            out.append(self.node())
            more = self.take(",")
        return tuple(out)


def parse(text: str) -> Node:
    """The document. Raises `JsoncError`."""
    scanner = _Scanner(text, at=1 if text.startswith("\ufeff") else 0)
    node = scanner.node()
    if scanner.peek():
        raise scanner.fail("something follows the end")
    return node


def line_of(text: str, at: int) -> int:
    """The line (1-based) of an offset."""
    return text.count("\n", 0, at) + 1


def with_member(text: str, path: Sequence[str], key: str, value: Any) -> str:
    """The text with `key: value` in the object at `path`, which is made if it is not there.

    An existing member is replaced where it stands, a new one becomes the first. Raises `JsoncError`.
    """
    if not text.strip("\ufeff \t\r\n"):
        text = "{}\n"
    where = parse(text)
    for depth, step in enumerate(path):
        below = where.get(step)
        if below is None:
            for missing in reversed(path[depth + 1 :]):
                key, value = missing, {key: value}
            return _insert(text, where, step, {key: value})
        where = below
    if where.members is None:
        raise JsoncError("an object is wanted here", line_of(text, where.start))
    found = where.get(key)
    if found is None:
        return _insert(text, where, key, value)
    line_end = "\r\n" if "\r\n" in text else "\n"
    written = _written(value, _indent(text, found.start), _unit(text), line_end)
    return text[: found.start] + written + text[found.end :]


def without_member(text: str, path: Sequence[str], key: str) -> str:
    """The text without that member; unchanged if it is not there. Raises `JsoncError`."""
    if not text.strip("\ufeff \t\r\n"):
        return text
    where: Node | None = parse(text)
    for step in path:
        where = where.get(step) if where is not None else None
    members = where.members if where is not None else None
    index = next((i for i, m in enumerate(members or ()) if m.key == key), -1)
    if members is None or index < 0:
        return text
    member = members[index]
    start, end = member.start, member.comma + 1 if member.comma >= 0 else member.node.end
    line = text.rfind("\n", 0, start) + 1
    rest = re.compile(r"[ \t]*\r?\n").match(text, end)
    if not text[line:start].strip() and rest is not None:
        start, end = line, rest.end()
    out = text[:start] + text[end:]
    if member.comma < 0 and index > 0:  # the last one went, so the one before it loses its comma
        comma = members[index - 1].comma
        out = out[:comma] + out[comma + 1 :]
    return out


def _insert(text: str, where: Node, key: str, value: Any) -> str:
    if where.members is None:
        raise JsoncError("an object is wanted here", line_of(text, where.start))
    unit = _unit(text)
    outer = _indent(text, where.start)
    inner = outer + unit
    if where.members and "\n" in text[where.start : where.members[0].start]:
        inner = _indent(text, where.members[0].start)
    line_end = "\r\n" if "\r\n" in text else "\n"
    written = f"{line_end}{inner}{json.dumps(key)}: {_written(value, inner, unit, line_end)}"
    if where.members:
        written += ","
        if "\n" not in text[where.start : where.members[0].start]:
            written += line_end + inner
    elif "\n" not in text[where.start : where.end]:
        written += line_end + outer
    rest = text[where.start + 1 :]
    if rest.lstrip(" \t").startswith("}"):
        rest = rest.lstrip(" \t")
    return text[: where.start + 1] + written + rest


def _written(value: Any, indent: str, unit: str, line_end: str) -> str:
    lines = json.dumps(value, indent=unit, ensure_ascii=False).split("\n")
    return (line_end + indent).join(lines)


def _indent(text: str, at: int) -> str:
    line = text.rfind("\n", 0, at) + 1
    match = re.compile(r"[ \t]*").match(text, line)
    return match.group() if match else ""


def _unit(text: str) -> str:
    """One step of the file's own indentation."""
    match = re.search(r"\n([ \t]+)\S", text)
    return "\t" if match and match.group(1).startswith("\t") else match.group(1) if match else "  "
