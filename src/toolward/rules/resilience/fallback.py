"""Whether one tool may stand in for another without anybody asking."""

from __future__ import annotations

import orjson

from toolward.model.tool import Effect, ToolVersion


def stands_in(second: ToolVersion, first: ToolVersion) -> bool:
    """Both only read, the second carries no more out than the first, and answers in the same form.

    Whether it takes the arguments is for its own schema to say, when it is called.
    """
    reads = first.manifest.effect is Effect.READ_ONLY and second.manifest.effect is Effect.READ_ONLY
    leaks = second.manifest.egress and not first.manifest.egress
    return reads and not leaks and _form(first) == _form(second)


def _form(version: ToolVersion) -> object:
    """What a client checks structured results against."""
    return orjson.loads(version.definition).get("outputSchema")
