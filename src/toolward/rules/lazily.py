"""Expressions that are compiled when they are first looked for.

A tenth of a start went into expressions that its first call has no use for: those are written with `pattern`.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Lazily:
    """What is asked of it is kept beside it, so that asking costs as much as of the pattern itself."""

    def __init__(self, text: str, flags: int) -> None:
        self._written = text, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        answer = getattr(re.compile(*self._written), name)
        setattr(self, name, answer)
        return answer


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`, which keeps the last five hundred; an error in `text` is seen with the first use."""
    return cast("re.Pattern[str]", _Lazily(text, flags))
