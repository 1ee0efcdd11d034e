"""Results that tell an agent nothing but that something was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

WORDS: Final = frozenset(
    {"", "null", "none", "undefined", "true", "false", "ok", "done", "success", "{}", "[]"}
)
"""Whole answers, in small letters. No numbers: one may be the very thing that is to be deleted."""
WORD_CHARS_MAX: Final = 12
"""Of a text that is looked at."""
COMPLETE: Final = "complete"
"""What MCP of 2026-07-28 calls a result that asks for nothing more."""
_TEXT: Final = {"type": "text"}
_MEMBERS: Final = frozenset({"content", "structuredContent", "isError", "resultType"})


def is_mute(result: Mapping[str, Any]) -> bool:
    """Whether a result holds no word of anybody's, names of members included: nothing that could instruct."""
    parts = result.get("content")
    if not isinstance(parts, list) or len(parts) > 1 or not _MEMBERS.issuperset(result):
        return False
    if not all(isinstance(part, Mapping) and part == {**_TEXT, "text": part.get("text")} for part in parts):
        return False
    if result.get("resultType", COMPLETE) != COMPLETE or not isinstance(result.get("isError", False), bool):
        return False
    structured = result.get("structuredContent")
    if isinstance(structured, Mapping):
        structured = structured["result"] if structured.keys() == {"result"} else structured or None
    return _is_mute(structured) and all(_is_mute(part["text"]) for part in parts)


def _is_mute(value: Any) -> bool:
    """Of one value. An empty list or object says as little as none."""
    if isinstance(value, str):
        return len(value) <= WORD_CHARS_MAX and value.strip().rstrip(".!").lower() in WORDS
    return value is None or isinstance(value, bool) or (isinstance(value, (list, dict)) and not value)
