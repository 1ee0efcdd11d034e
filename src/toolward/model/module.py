"""A WebAssembly module as a tool: a file, and what its caller may say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolward.model.command import CommandArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleTool:
    """One module: a WASI command that reads its arguments as one JSON object and writes its result."""

    description: str
    file: str  # as the ward names it
    code: bytes = field(default=b"", repr=False)  # read once: what was approved is what runs
    arguments: Mapping[str, CommandArgument] = field(default_factory=dict)

    def digest(self) -> str:
        """Of the file, for the identity of the server."""
        return f"sha256:{hashlib.sha256(self.code).hexdigest()}"
