"""What a tool shows beside the others of the ward: their names in its name, and in its words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from toolward.model.finding import Finding, Severity
from toolward.rules.findings.confusable import latin, skeleton
from toolward.rules.findings.texts import excerpt, plain, texts_of, visible

_CLOSE_CHARS_MIN: Final = 7
"""Shorter names are one letter apart by chance."""
_WORD: Final = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)+|[`'\"]([a-z0-9_-]{3,64})[`'\"]")
"""In `plain` text: a name of several words, or one in quotes or backticks."""
_SHOWN_MAX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A tool of the ward. `since_ns` is when it came to stand where it stands."""

    server: str
    name: str
    program: str  # what its server runs: two servers of one program have the same tools by right
    definition_digest: str
    held: bool  # a person approved it; it may be quarantined now
    since_ns: int

    @property
    def key(self) -> str:
        """`server/name`."""
        return f"{self.server}/{self.name}"


class Neighbours:
    """All tools of the ward, by what their names look like."""

    def __init__(self, tools: Iterable[Known]) -> None:
        self._looks: dict[str, list[Known]] = defaultdict(list)
        self._names: dict[str, set[str]] = defaultdict(set)  # name, as prose has it -> servers
        self._near: dict[str, set[str]] = defaultdict(set)  # skeleton less one letter -> of approved tools
        for tool in tools:
            look = skeleton(tool.name)
            self._names[plain(tool.name)].add(tool.server)
            if tool.held and len(look) >= _CLOSE_CHARS_MIN:
                for less in _less_one(look):
                    self._near[less].add(look)
            self._looks[look].append(tool)

    def examine(self, tool: Known, definition: Mapping[str, Any]) -> tuple[Finding, ...]:
        """What `tool` shows beside the others: look-alike names, and words about another server's tools."""
        return (*self._alike(tool), *self._speaks_of(tool, definition))

    def _alike(self, tool: Known) -> Iterator[Finding]:
        look = skeleton(tool.name)
        same = [each for each in self._looks.get(look, ()) if _other(each, tool)]
        for other in same[:_SHOWN_MAX]:
            yield _lookalike(tool, other)
        if same or tool.held or len(look) < _CLOSE_CHARS_MIN:
            return
        close = {near for less in _less_one(look) for near in self._near.get(less, ())} - {look}
        held = [
            each
            for near in sorted(close)
            if not _is_plural(near, look)
            for each in self._looks[near]
            if _other(each, tool) and each.held and each.since_ns < tool.since_ns
        ]
        for other in held[:_SHOWN_MAX]:
            yield Finding(
                id="similar_name",
                severity=Severity.WARN,
                where="/name",
                text=f"is one letter from {other.key}, which was there before",
                remedy="make sure that it is the tool that you mean",
            )

    def _speaks_of(self, tool: Known, definition: Mapping[str, Any]) -> Iterator[Finding]:
        """Shadowing: words that would steer how the model uses a tool of somebody else."""
        seen: set[str] = set()
        texts = [each for each in texts_of(definition) if not each.is_key and each.pointer != "/name"]
        whole = "\n".join(each.text for each in texts)
        names = {
            match.group(1) or match.group() for match in _WORD.finditer(plain(whole, chars_max=len(whole)))
        }
        if names.isdisjoint(self._names):
            return
        for text in texts:
            read = plain(text.text)
            for match in _WORD.finditer(read):
                name = match.group(1) or match.group()
                servers = self._names.get(name, set())
                if name in seen or not servers or tool.server in servers:
                    continue
                seen.add(name)
                yield Finding(
                    id="speaks_of_other_tool",
                    severity=Severity.WARN,
                    where=text.pointer,
                    text=f"speaks of `{visible(name)}`, a tool of {', '.join(sorted(servers)[:_SHOWN_MAX])}:"
                    f" {excerpt(read, match.start(), match.end())}",
                    remedy="a tool has no business telling how another server's tool is to be used",
                )


def _lookalike(tool: Known, other: Known) -> Finding:
    """The finding for two tools whose names look the same."""
    before = other.held and not tool.held and other.since_ns < tool.since_ns
    if latin(tool.name) != tool.name and latin(other.name) == other.name:
        identity, severity = "lookalike_name", Severity.NOTE if tool.held else Severity.BLOCK
        text = f"looks like {other.key}, and is written with other letters"
    elif tool.name == other.name:
        identity = "same_name"
        severity = Severity.BLOCK if before else Severity.NOTE
        text = f"has the name of {other.key}, which was approved before" if before else f"is {other.key} too"
    else:
        identity = "lookalike_name"
        severity = Severity.WARN if before else Severity.NOTE
        text = f"can be taken for {other.key}"
    return Finding(
        id=identity,
        severity=severity,
        where="/name",
        text=text,
        remedy="make sure which of the two an agent is to use, and revoke the other",
    )


def _other(each: Known, tool: Known) -> bool:
    """Whether it is somebody else's tool, and not the very same one under another server's name."""
    twin = each.program == tool.program and each.definition_digest == tool.definition_digest
    return each.server != tool.server and not twin


def _less_one(name: str) -> Iterator[str]:
    """Two words that are one letter apart (changed, left out, added, swapped) share one of these."""
    yield name
    for place in range(len(name)):
        yield name[:place] + name[place + 1 :]


def _is_plural(one: str, other: str) -> bool:
    return one.removesuffix("s") == other.removesuffix("s")
