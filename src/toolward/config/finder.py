"""Findings that point into one file."""

from __future__ import annotations

from toolward.config.yamltext import Node
from toolward.errors import WardError


class Finder:
    """Collects findings that point into one file."""

    def __init__(self, root: Node, file: str) -> None:
        """`root` gives the lines."""
        self.root, self.file = root, file
        self.found: list[WardError] = []

    def say(self, path: tuple[str | int, ...], text: str, remedy: str) -> None:
        """A finding at the node that `path` leads to."""
        self.found.append(WardError(text, file=self.file, line=self.root.at(path).line, remedy=remedy))
