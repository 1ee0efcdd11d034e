"""Which tool a new one was before it was renamed: its approval does not come along."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from toolward.rules.canonical import canonical

ALIKE_MIN: Final = 0.85
"""Of what two definitions without their names have in common, from which one is taken for the other."""
COMPARED_BYTES_MAX: Final = 8 * 1024
"""Of each definition: comparing takes time that grows with the square."""
CANDIDATES_MAX: Final = 50
"""Tools that are gone and looked through for one that is new."""


def renamed_from(new: bytes, gone: Mapping[str, bytes], kept: Mapping[bytes, str]) -> str:
    """The name that the tool whose definition is `new`, without names, had before; or ''.

    `kept` are names by definition of tools of the same server that were approved before: exactly the same.
    `gone` are definitions by name of those that it no longer lists, which may have changed a little.
    Definitions are as `nameless` gives them.
    """
    if len(new) <= len(nameless({"inputSchema": {"type": "object"}})):
        return ""  # there is nothing in it that could be told from another one
    if new in kept:
        return kept[new]
    best, found = ALIKE_MIN, ""
    text = new[:COMPARED_BYTES_MAX].decode("utf-8", "replace")
    for name, definition in list(gone.items())[:CANDIDATES_MAX]:
        other = definition[:COMPARED_BYTES_MAX].decode("utf-8", "replace")
        matcher = SequenceMatcher(None, text, other, autojunk=False)
        if matcher.real_quick_ratio() < best or matcher.quick_ratio() < best:
            continue
        if (ratio := matcher.ratio()) >= best:
            best, found = ratio, name
    return found


def nameless(definition: Mapping[str, Any]) -> bytes:
    """The definition without what says how it is called."""
    return canonical({key: value for key, value in definition.items() if key not in ("name", "title")})
