"""Which tool a new one was before it was renamed: its approval does not come along."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Final

import orjson

from toolward.rules.canonical import canonical

ALIKE_MIN: Final = 0.85
"""Of what two definitions without their names have in common, from which one is taken for the other."""
COMPARED_BYTES_MAX: Final = 8 * 1024
"""Of each definition: comparing takes time that grows with the square."""
CANDIDATES_MAX: Final = 50
"""Tools that are gone and looked through for one that is new."""


def renamed_from(new: Mapping[str, Any], gone: Mapping[str, bytes], kept: Mapping[str, bytes]) -> str:
    """The name that the tool of definition `new` had before, or ''.

    `gone` and `kept` are the canonical definitions of tools of the same server by name: those that it no
    longer lists, which may have changed a little, and those that it still does, which must be the same.
    """
    body = _nameless(new)
    for name, definition in {**kept, **gone}.items():
        if body == _nameless(orjson.loads(definition)) and len(body) > len(_nameless({})):
            return name
    best, found = ALIKE_MIN, ""
    text = body[:COMPARED_BYTES_MAX].decode("utf-8", "replace")
    for name, definition in list(gone.items())[:CANDIDATES_MAX]:
        other = _nameless(orjson.loads(definition))[:COMPARED_BYTES_MAX].decode("utf-8", "replace")
        matcher = SequenceMatcher(None, text, other, autojunk=False)
        if matcher.real_quick_ratio() < best or matcher.quick_ratio() < best:
            continue
        if (ratio := matcher.ratio()) >= best:
            best, found = ratio, name
    return found


def _nameless(definition: Mapping[str, Any]) -> bytes:
    """The definition without what says how it is called."""
    return canonical({key: value for key, value in definition.items() if key not in ("name", "title")})
