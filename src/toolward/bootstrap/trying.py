"""Contract tests and comparisons: calls in the sandbox, on copies of roots, looked at or set side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from toolward.bootstrap.proving import Check, failure_of
from toolward.bootstrap.scratch_house import Scratch, scratch_house
from toolward.config.testing import Answer, Example
from toolward.errors import Rejected
from toolward.model.call import Reply
from toolward.rules.scratch import moved_value

_SHOWN_MAX: Final = 300
"""Characters of an answer that a report shows."""


class Which(NamedTuple):
    """A version that is tried: `definition` is the digest that it has to list."""

    tool: str
    variant: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One call that two versions answered differently, each answer cut to what a person reads."""

    arguments: Mapping[str, Any]
    first: str
    second: str

    def as_json(self) -> dict[str, Any]:
        """For the record and for people."""
        return {"arguments": dict(self.arguments), "first": self.first, "second": self.second}


async def try_examples(
    path: Path, which: Which, examples: Sequence[Example], *, on_progress: Callable[[str], None]
) -> list[Check]:
    """Each example of a tool, called in one scratch copy, in order. Raises `Rejected`."""
    async with scratch_house(path, which.tool, variant=which.variant, on_progress=on_progress) as scratch:
        check_same(scratch, which)
        session = await scratch.session()
        checks = []
        for example in examples:
            reply = await scratch.call(session, moved_value(example.arguments, scratch.moves))
            text = _unlike(example.answer, reply, scratch)
            checks.append(Check(example.name, not text, text))
        return checks


async def compare(
    path: Path,
    first: Which,
    second: Which,
    calls: Sequence[Mapping[str, Any]],
    *,
    on_progress: Callable[[str], None],
) -> list[Difference]:
    """The calls that the two answer differently, each on copies of its own. Raises `Rejected`."""
    async with AsyncExitStack() as stack:
        sides = []
        for which in (first, second):
            scratch = await stack.enter_async_context(
                scratch_house(path, which.tool, variant=which.variant, on_progress=on_progress)
            )
            check_same(scratch, which)
            sides.append((scratch, await scratch.session()))
        found = []
        for arguments in calls:
            one, two = [
                _answer(await scratch.call(session, moved_value(dict(arguments), scratch.moves)), scratch)
                for scratch, session in sides
            ]
            if one != two:
                shown = one[:_SHOWN_MAX], two[:_SHOWN_MAX]
                found.append(Difference(arguments=arguments, first=shown[0], second=shown[1]))
        return found


def check_same(scratch: Scratch, which: Which) -> None:
    """Raise `Rejected` where the server lists another definition now than the version that is meant."""
    if which.definition and scratch.version.definition_digest != which.definition:
        raise Rejected(
            f"what runs for {which.tool} is not the version that is meant",
            remedy="compare its definitions first: toolward tools list --refresh",
        )


def _answer(reply: Reply, scratch: Scratch) -> str:
    """What it said, without our own members and with the roots' own names."""
    if reply.error is not None:
        return f"error: {reply.error.message}"
    said = {key: value for key, value in (reply.result or {}).items() if key != "_meta"}
    text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()
    for root, place in scratch.moves.items():
        text = text.replace(place, root)
    return text


def _unlike(answer: Answer, reply: Reply, scratch: Scratch) -> str:
    """What is not as the example says; "" when all is."""
    failed = failure_of(reply)
    if bool(failed) is not answer.error:
        return failed or "it was to answer with an error, and did not"
    said = reply.result or {}
    texts = [each.get("text", "") for each in said.get("content", ()) if isinstance(each, dict)]
    text = "\n".join(texts)
    for root, place in scratch.moves.items():
        text = text.replace(place, root)
    if answer.contains and answer.contains not in text:
        return f"`{answer.contains}` is not in `{text[:_SHOWN_MAX]}`"
    got = said.get("structuredContent", text)
    if answer.equals is not None and answer.equals not in (got, text):
        return f"it answered `{str(got)[:_SHOWN_MAX]}`"
    return ""
