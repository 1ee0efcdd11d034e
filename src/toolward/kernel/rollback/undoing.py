"""One step of a rollback: what is checked before, how often it is tried, and when it is left to a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from toolward.errors import GatewayError, ToolwardError
from toolward.kernel.audit import Auditor
from toolward.kernel.registry.registry import Registry
from toolward.kernel.rollback.asking import Answer, Fate, UndoCalls, happened
from toolward.kernel.rollback.journal import said_by
from toolward.kernel.rollback.rows import EffectRow, digest_of, image_from_json, intent_index, steady
from toolward.kernel.rollback.writing import commit_patiently
from toolward.model.event import EventKind
from toolward.model.rollback import Step, Way
from toolward.model.undo import Compensation, ToolUse, Undo
from toolward.ports.clock import Clock
from toolward.ports.images import Changed, Image, Images, Listing
from toolward.ports.store import Store
from toolward.rules.canonical import canonical
from toolward.rules.undo_templates import NotRecorded, arguments_of, uses_key

BACK_OFF_S: Final = 0.5
BACK_OFF_MAX_S: Final = 30.0
CONFLICT: Final = "CONFLICT"
_SECOND: Final = 1_000_000_000


class Stuck(Exception):
    """The step is for a person. `final` says that another way of undoing it must not be tried."""

    def __init__(self, text: str, *, final: bool = True) -> None:
        super().__init__(text)
        self.final = final


@dataclass(slots=True, kw_only=True)
class Work:
    """A step on its way. `begin` makes durable that it is tried, with what was found, before it is."""

    step: Step
    key: str
    row: EffectRow
    undo: Undo
    compensate: Compensation
    begin: Callable[[Mapping[str, bytes]], Awaitable[None]]
    begun: bool = False  # an earlier process, or an earlier try, may have done it
    other: bool = False  # and that try was of the other way
    found: Listing | None = None  # what an earlier try found before it touched anything
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """Of the tool, and so of every tool that undoes it."""
        return self.step.tool.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Undoing:
    """Undoes one effect, exactly once however often it is asked."""

    store: Store
    auditor: Auditor
    registry: Registry
    images: Images | None
    ask: UndoCalls
    clock: Clock

    def prepare(
        self, step: Step, key: str, row: EffectRow, begin: Callable[[Mapping[str, bytes]], Awaitable[None]]
    ) -> Work:
        """Everything that was recorded of the effect. Raises `Stuck` when something is not there any more."""
        version = self.registry.version(step.version)
        undo = version.manifest.undo if version is not None else None
        if not row:
            raise Stuck("the journal holds nothing of it any more")
        if undo is None or undo.compensate is None:
            raise Stuck("the version of the tool that declared how is not in the registry any more")
        index = intent_index(self.store, step.call_id)
        data: dict[str, Any] = {"key": key}
        for name, place, payload in (
            ("input", index, "arguments"),
            ("taken", index, "snapshot"),
            ("output", self._outcome_index(step.call_id), "result"),
        ):
            body = self.store.payload(place, payload) if place >= 0 else None
            if body is not None:
                data[name] = orjson.loads(body)
        data["snapshot"] = data.get("taken", {}).get("said")
        return Work(
            step=step, key=key, row=row, undo=undo, compensate=undo.compensate, begin=begin, data=data
        )

    async def __call__(self, work: Work) -> str:
        """Undo it; returns in words how it came out. Raises `Stuck`."""
        if work.step.way is Way.RESTORE:
            note = await self._by_restore(work)
        else:
            note = await self._by_tool(work)
        if work.undo.verify is not None:
            answer = await self._asked(work, work.undo.verify)
            if answer.fate is not Fate.DONE:
                raise Stuck(f"it was undone, and `{work.undo.verify.tool}` finds fault: {answer.text}")
        return note

    # --- by putting paths back

    async def _by_restore(self, work: Work) -> str:
        image = self._image(work)
        now = await self._patiently(work, lambda images: images.look(image.paths, within=work.row["within"]))
        digest = digest_of(self.store, now)
        if digest == work.row["before"]:
            return "it is as it was before"
        found = work.found
        if found is None:
            if not work.row["left"]:
                raise Stuck("how the call left it is not known, so nothing is overwritten")
            if digest_of(self.store, steady(now, work.row["volatile"])) != work.row["left"]:
                raise Stuck(f"{CONFLICT}: it was changed after the call, and is not overwritten")
            found = now
            await work.begin({"found": orjson.dumps(dict(found))})
            work.begun = True
        try:
            put_back = await self._patiently(
                work, lambda images: images.restore(image, within=work.row["within"], found=found)
            )
        except Changed as other:
            raise Stuck(
                f"{CONFLICT}: `{other}` was changed after the call, and is not overwritten"
            ) from other
        if digest_of(self.store, put_back) != work.row["before"]:
            raise Stuck("it was put back, and is not what it was")
        return "put back as it was"

    def _image(self, work: Work) -> Image:
        taken = work.data.get("taken", {}).get("image")
        if taken is None:
            raise Stuck("its before-image is not there any more")
        return image_from_json(taken)

    async def _patiently(self, work: Work, do: Callable[[Images], Awaitable[Any]]) -> Any:
        """Try again while the machine is at fault, not the paths."""
        if self.images is None:
            raise Stuck("no cage can be made here in which paths could be put back")
        until = self.clock.monotonic_ns() + work.compensate.deadline_s * _SECOND
        last = ""
        for attempt in range(work.compensate.attempts_max):
            try:
                return await do(self.images)
            except GatewayError as busy:
                last = busy.reason.text
            except ToolwardError as no:
                raise Stuck(no.reason.text) from no
            if self.clock.monotonic_ns() > until:
                break
            await self.clock.sleep(back_off_s(attempt))
        raise Stuck(f"tried {work.compensate.attempts_max} times: {last}")

    # --- by a tool

    async def _by_tool(self, work: Work) -> str:
        if not work.step.certain and not work.begun:
            fate = await self._probed(work)
            if fate is None:
                raise Stuck("whether the call had its effect is not known, and nothing can tell")
            if not fate:
                return "it never happened"
        use = work.compensate.use
        if use is None:
            raise Stuck("no tool is declared that undoes it")
        try:
            return await self._tried(work, use, work.compensate.attempts_max)
        except Stuck as stuck:
            otherwise = work.compensate.otherwise
            if stuck.final or otherwise is None:
                raise
            # no key makes two tools one effect: the other runs only where the first surely did nothing
            if work.begun and await self._undone_already(work, by_key=False):
                return "it was undone already"
            return "the other way: " + await self._tried(work, otherwise, 1)

    async def _tried(self, work: Work, use: ToolUse, attempts: int) -> str:
        other = use is work.compensate.otherwise
        by_key = uses_key(use) and not other and not work.other
        until = self.clock.monotonic_ns() + work.compensate.deadline_s * _SECOND
        last = ""
        for attempt in range(attempts):
            if work.begun:
                if await self._undone_already(work, by_key=by_key):
                    return "it was undone already"
            elif not await self._as_left(work):
                raise Stuck(f"{CONFLICT}: it was changed after the call, and is not overwritten")
            arguments, doubt = self._arguments(work, use), work.begun
            work.other = other
            await work.begin({})
            work.begun = True
            answer = await self._call(work, use, arguments)
            if answer.fate is Fate.DONE:
                return f"undone by call {answer.call_id}"
            work.begun = doubt or answer.fate is Fate.UNKNOWN  # what never ran leaves the doubt of before
            if answer.fate is Fate.REFUSED:
                raise Stuck(answer.text, final=False)
            last = answer.text
            if self.clock.monotonic_ns() > until:
                break
            if attempt + 1 < attempts:
                await self.clock.sleep(back_off_s(attempt))
        if work.begun and await self._undone_already(work, by_key=by_key):
            return "it was undone already"
        raise Stuck(f"tried {attempts} times: {last}", final=False)

    async def _undone_already(self, work: Work, *, by_key: bool) -> bool:
        """After a try of which nobody knows what became. Raises `Stuck` where nothing can tell.

        False by the key leaves the doubt: the same tool may be tried again, another may not.
        """
        fate = await self._probed(work)
        if fate is not None:
            work.begun = not fate
            return not fate
        if by_key:
            return False  # the tool knows the key: another try is the same effect
        if work.compensate.precondition is not None and await self._as_left(work):
            work.begun = False
            return False
        raise Stuck("whether it was undone is not known, and nothing can tell")

    async def _as_left(self, work: Work) -> bool:
        """Whether the precondition answers as it did right after the call; True where none is declared."""
        use = work.compensate.precondition
        if use is None:
            return True
        if not work.row["answer"]:
            raise Stuck("how the call left it is not known, so nothing is overwritten")
        answer = await self._asked(work, use)
        if answer.fate is not Fate.DONE:
            raise Stuck(f"`{use.tool}` does not tell how it is now: {answer.text}", final=False)
        left: str = work.row["answer"]
        return self.store.digest(canonical(said_by(answer))) == left

    async def _probed(self, work: Work) -> bool | None:
        """Whether the effect is there now, by the declared probe; None where nothing tells."""
        if work.undo.probe is None:
            return None
        answer = await self._asked(work, work.undo.probe)
        there = happened(answer)
        event = self.auditor.event(
            EventKind.CALL_PROBED,
            call_id=work.step.call_id,
            session_id=work.row["session_id"],
            tool=work.step.tool,
            body={"answer": {True: "yes", False: "no", None: "unknown"}[there], "by": answer.call_id},
        )
        await commit_patiently(self.store, [event])
        return there

    async def _asked(self, work: Work, use: ToolUse) -> Answer:
        return await self._call(work, use, self._arguments(work, use))

    async def _call(self, work: Work, use: ToolUse, arguments: Mapping[str, Any]) -> Answer:
        return await self.ask(
            work.row["session_id"], work.step.call_id, f"{work.server}/{use.tool}", arguments
        )

    @staticmethod
    def _arguments(work: Work, use: ToolUse) -> Mapping[str, Any]:
        try:
            return arguments_of(use, work.data)
        except NotRecorded as pointer:
            raise Stuck(f"`{use.tool}` wants `{pointer}`, which was not recorded", final=False) from pointer

    def _outcome_index(self, call_id: str) -> int:
        found = self.store.find(kind=EventKind.CALL_OUTCOME.value, call_id=call_id, limit=1)
        return found[0].index if found else -1


def back_off_s(attempt: int) -> float:
    """How long to wait after the attempt of that number, the first being 0."""
    return float(min(BACK_OFF_S * 2**attempt, BACK_OFF_MAX_S))
