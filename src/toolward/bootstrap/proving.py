"""Do and undo, tried: a tool runs on scratch copies of its server's roots, and what it leaves is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from toolward.bootstrap.scratch_house import TRIER, Scratch, scratch_house
from toolward.kernel.rollback.asking import Fate
from toolward.model.call import Reply
from toolward.model.tool import Effect, ToolVersion
from toolward.model.undo import ToolUse
from toolward.rules.canonical import canonical
from toolward.rules.scratch import moved_value, sample_arguments
from toolward.rules.undo_templates import NotRecorded, arguments_of


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence of the contract, and whether it held."""

    what: str
    holds: bool
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the record and for people."""
        return {"what": self.what, "holds": self.holds, "text": self.text}


async def prove(
    path: Path,
    tool: str,
    arguments: Sequence[Mapping[str, Any]],
    *,
    variant: str = "",
    on_progress: Callable[[str], None],
) -> list[Check]:
    """Try `server/name` of the ward at `path` with each of `arguments`; made up from its schema if none.

    `variant` (`server@name`) proves the version that it runs. Raises `Rejected` as `scratch_house` does.
    """
    async with scratch_house(path, tool, variant=variant, on_progress=on_progress) as scratch:
        return await _Trial(scratch, tool).run(arguments)


@dataclass(slots=True)
class _Trial:
    scratch: Scratch
    tool: str
    checks: list[Check] = field(default_factory=list)

    async def run(self, arguments: Sequence[Mapping[str, Any]]) -> list[Check]:
        version, moves = self.scratch.version, self.scratch.moves
        root = next(iter(moves.values()), "/")
        given = [moved_value(dict(each), moves) for each in arguments]
        for each in given or [sample_arguments(orjson.loads(version.definition), version.manifest, root)]:
            await self._try(version, each)
        return self.checks

    async def _try(self, version: ToolVersion, arguments: Mapping[str, Any]) -> None:
        effect = version.manifest.effect
        before = await self._state(version, arguments)
        session = await self.scratch.session()
        reply = await self.scratch.call(session, arguments)
        failed = failure_of(reply)
        self._say("it runs", not failed, failed)
        if failed:
            return
        after = await self._state(version, arguments)
        if effect is Effect.READ_ONLY:
            self._say("it only reads: what lies in the roots is the same after it", after == before)
            return
        if effect is Effect.IDEMPOTENT_WRITE:
            again = failure_of(await self.scratch.call(session, arguments))
            same = await self._state(version, arguments) == after
            self._say("done twice is the same as done once", not again and same, again)
        undo = version.manifest.undo
        if undo is None or undo.compensate is None:
            self._say(
                "something is declared that undoes it",
                holds=effect not in (Effect.REVERSIBLE, Effect.COMPENSABLE),
            )
            return
        row = await self.scratch.house.rollbacks.run(session, by=TRIER)
        left = "; ".join(each["reason"] for each in row["residuals"])
        self._say("it is undone", row["state"] == "COMPENSATED", left)
        undone = await self._state(version, arguments)
        self._say("done and undone, everything is as before", undone == before)
        if undo.compensate.use is not None and row["plan"]["steps"]:
            await self._undo_again(version, arguments, session, undo.compensate.use, reply)

    async def _undo_again(
        self,
        version: ToolVersion,
        arguments: Mapping[str, Any],
        session: str,
        use: ToolUse,
        reply: Reply,
    ) -> None:
        """The compensating tool, called when there is nothing to undo."""
        before = await self._state(version, arguments)
        for what, key in (("undone again", "again"), ("undone without having been done", "another")):
            data = {"input": arguments, "output": reply.result, "snapshot": None, "key": key}
            try:
                call = arguments_of(use, data)
            except NotRecorded as pointer:
                self._say(f"{what}, nothing changes", holds=True, text=f"not tried: it wants {pointer}")
                continue
            server = self.tool.partition("/")[0]
            answer = await self.scratch.house.rollbacks.ask(
                session, reply.call_id, f"{server}/{use.tool}", call
            )
            same = await self._state(version, arguments) == before
            self._say(
                f"{what}, nothing changes",
                same and (answer.said or answer.fate is not Fate.UNKNOWN),
                answer.text,
            )

    async def _state(self, version: ToolVersion, arguments: Mapping[str, Any]) -> bytes:
        """All that lies in the copies, and what the declared reading tools say."""
        images, roots = self.scratch.house.rollbacks.images, tuple(self.scratch.moves.values())
        seen: list[Any] = []
        if images is not None and roots:
            seen.append(dict(await images.look(roots, within=roots)))
        undo = version.manifest.undo
        uses = [undo.snapshot.use if undo and undo.snapshot else None]
        uses.append(undo.compensate.precondition if undo and undo.compensate else None)
        for use in uses:
            if use is None:
                continue
            try:
                call = arguments_of(use, {"input": arguments})
            except NotRecorded:
                continue  # it looks at what only the call will make
            reply = await self.scratch.call(await self.scratch.session(), call, name=use.tool)
            seen.append(reply.result if reply.result is not None else "refused")
        return canonical(seen)

    def _say(self, what: str, holds: bool, text: str = "") -> None:  # noqa: FBT001 -- it is what is said
        self.checks.append(Check(what, holds, "" if holds else text))


def failure_of(reply: Reply) -> str:
    """Why a call failed; "" when it did not."""
    if reply.error is not None:
        return reply.error.message
    if reply.result is not None and reply.result.get("isError") is True:
        return f"it answered with an error: {str(reply.result.get('content'))[:300]}"
    return ""
