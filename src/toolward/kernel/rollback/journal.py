"""The journal: what a call will do and how it is undone, with its intent; what it did, with its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson
from typing_extensions import override

from toolward.errors import Denied, ReasonCode, ToolwardError
from toolward.kernel.clauses import NO_PROMISE, Clause, Promise
from toolward.kernel.registry.registry import Registry
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.rollback.asking import Answer, Fate, UndoCalls
from toolward.kernel.rollback.rows import (
    EffectRow,
    digest_of,
    image_to_json,
    put_effect,
    read_effect,
    steady,
)
from toolward.kernel.rollback.turns import Turns
from toolward.model.call import Call, Failed, RawOutcome, Reply, Returned
from toolward.model.permit import Permit
from toolward.model.rollback import EffectStatus, Way
from toolward.model.tool import Effect, ToolVersion
from toolward.model.undo import UNDO_WINDOW_S, ToolUse, Undo
from toolward.ports.clock import Clock
from toolward.ports.images import Images
from toolward.ports.store import Change, OpenCall, Store
from toolward.rules.canonical import canonical
from toolward.rules.resources import overlap, resources_of
from toolward.rules.undo_templates import NotRecorded, arguments_of, paths_of, writable_roots

_NOTHING: Final = Undo()
_SECOND: Final = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class Fences:
    """What must not be written to now: sessions that are rolled back, resources whose undoing is stuck."""

    sessions: set[str] = field(default_factory=set)
    resources: dict[str, str] = field(default_factory=dict)  # resource -> the rollback that is stuck on it

    def check(self, session_id: str, resources: Sequence[str]) -> None:
        """Raise `Denied` for a call that has to stay away."""
        if session_id in self.sessions:
            raise Denied(
                "this session is being rolled back",
                code=ReasonCode.RESOURCE_FENCED,
                remedy="wait until the rollback has ended",
            )
        for fenced, rollback_id in self.resources.items():
            if overlap([fenced], resources):
                raise Denied(
                    f"`{fenced}` is fenced off: undoing an earlier change of it is stuck",
                    code=ReasonCode.RESOURCE_FENCED,
                    remedy="ask the operator: toolward sessions retry",
                    details=(("rollback", rollback_id),),
                )


class Journal(Clause):
    """One row for each call whose manifest says how it is undone, or what its before-image is.

    Of other calls that write the log tells enough (`rows.without_row`), so they cost no row.
    """

    def __init__(  # noqa: PLR0913 -- what it is made of
        self,
        store: Store,
        registry: Registry,
        images: Images | None,
        ask: UndoCalls,
        *,
        clock: Clock,
        fences: Fences,
        repin: Callable[[], Awaitable[None]],
    ) -> None:
        """`repin` puts the pins in force once a tool was quarantined for what it did."""
        self._store = store
        self._registry = registry
        self._images = images
        self.ask = ask
        self._clock = clock
        self._repin = repin
        self.fences = fences
        self.turns = Turns()
        self.open: dict[str, EffectRow] = {}  # calls on their way
        self.left: list[tuple[str, str]] = []  # (session, call) that a crash left open

    def is_busy(self, session_id: str) -> bool:
        """Whether a call of that session is on its way."""
        return any(row["session_id"] == session_id for row in self.open.values()) or any(
            each.session_id == session_id for each in self._store.open_calls()
        )

    @override
    def binds(self, permit: Permit) -> bool:
        """Where undo is declared; and everywhere while a session is rolled back, to keep it still."""
        version = permit.labelled.resolved.version
        return version is not None and (version.manifest.undo is not None or bool(self.fences.sessions))

    @override
    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        resolved, call = permit.labelled.resolved, permit.labelled.call
        version = resolved.version
        if version is None or call.undo_of:
            return NO_PROMISE
        undo = version.manifest.undo
        if undo is None or (undo.snapshot is None and version.manifest.effect is Effect.READ_ONLY):
            if version.manifest.effect is not Effect.READ_ONLY:
                self.fences.check(call.session.session_id, ())
            return NO_PROMISE
        pins = self._pins(call, undo, resolved.server, revision)
        binding = revision.upstream(resolved.upstream)
        roots = writable_roots(binding, version.manifest)
        templates = undo.snapshot.paths if undo.snapshot else ()
        paths = paths_of(templates, call.arguments, binding, roots)
        resources = resources_of(version.manifest, call.arguments, roots=roots, paths=paths)
        self.fences.check(call.session.session_id, resources)
        await self.turns.take(call.call_id, resources)
        self.fences.check(call.session.session_id, resources)  # it may have waited for what got stuck
        row = self._row(permit, version, undo)
        volatile = paths_of(undo.snapshot.volatile if undo.snapshot else (), call.arguments, binding, roots)
        row |= {
            "resources": list(resources),
            "paths": list(paths),
            "volatile": list(volatile),
            "within": list(roots),
        }
        self.open[call.call_id] = row
        payloads: dict[str, bytes] = {}
        if undo.snapshot:
            snapshot = await self._snapshot(row, call.arguments, undo)
            payloads["snapshot"] = orjson.dumps(snapshot)
        facts = {
            "undo": {
                "way": row["way"],
                "resources": list(resources),
                "tools": pins,
            }
        }
        return Promise(changes=(put_effect(row, expect=0),), body=facts, payloads=payloads)

    def _row(self, permit: Permit, version: ToolVersion, undo: Undo) -> EffectRow:
        call, compensate = permit.labelled.call, undo.compensate
        window_s = compensate.window_s if compensate else UNDO_WINDOW_S
        until = self._clock.now_ns() + window_s * _SECOND
        return {
            "session_id": call.session.session_id,
            "call_id": call.call_id,
            "tool": version.key,
            "version": version.digest,
            "effect": version.manifest.effect.value,
            "way": way_of(undo).value,
            "until_ns": str(until),
            "before": "",
            "after": "",
            "left": "",
            "answer": "",
            "status": EffectStatus.OPEN.value,
            "undone": "",
        }

    async def _snapshot(self, row: EffectRow, arguments: Mapping[str, Any], undo: Undo) -> dict[str, Any]:
        """The before-image. Raises `Denied`: what was promised can not be kept, so nothing runs."""
        snapshot = undo.snapshot
        if snapshot is None:
            return {}
        taken: dict[str, Any] = {}
        if row["paths"]:
            if self._images is None:
                raise _no_snapshot("no cage can be made here in which a before-image could be taken")
            image = await self._images.capture(
                row["paths"], within=row["within"], bytes_max=snapshot.bytes_max
            )
            row["before"] = digest_of(self._store, image.listing)
            taken["image"] = image_to_json(image)
        if snapshot.use is not None:
            answer = await self._asked(row, snapshot.use, {"input": arguments})
            if answer is None or answer.fate is not Fate.DONE:
                raise _no_snapshot(answer.text if answer else "it names what the call does not hold")
            if len(canonical(answer.result)) > snapshot.bytes_max:
                raise _no_snapshot("it is larger than `bytes_max`")
            taken["said"] = answer.result
        return taken

    async def _asked(self, row: EffectRow, use: ToolUse, data: Mapping[str, Any]) -> Answer | None:
        server = row["tool"].partition("/")[0]
        try:
            arguments = arguments_of(use, data)
        except NotRecorded:
            return None
        return await self.ask(row["session_id"], row["call_id"], f"{server}/{use.tool}", arguments)

    def _pins(self, call: Call, undo: Undo, server: str, revision: ActiveRevision) -> list[list[str]]:
        """The approved versions of all tools that undoing needs. Raises `Denied` where one is not approved.

        What nobody looked at must not run later as the undo of a call, past every question.
        """
        channel = revision.channel_of(call.session.principal.agent)
        compensate = undo.compensate
        uses = [undo.probe, undo.verify]
        if compensate is not None:
            uses += [compensate.use, compensate.precondition, compensate.otherwise]
        pins = set()
        for key in sorted({f"{server}/{use.tool}" for use in uses if use is not None}):
            served = self._registry.serving(key, channel, call.session)
            if served is None or not served[1].stands:
                raise Denied(
                    f"undoing this needs {key}, which is not approved",
                    code=ReasonCode.NOT_UNDOABLE,
                    remedy=f"ask the operator: toolward tools approve {key}",
                )
            pins.add((key, served[0].digest))
        return [list(pair) for pair in sorted(pins)]

    # --- the outcome

    @override
    def inspection(self, permit: Permit, outcome: RawOutcome) -> Callable[[], Awaitable[None]] | None:
        row, version = self.open.get(permit.labelled.call.call_id), permit.labelled.resolved.version
        undo = version.manifest.undo if version is not None else None
        if row is None or undo is None or _never_ran(outcome):
            return None
        return partial(self._inspect, row, undo, permit.labelled.call, outcome)

    async def _inspect(self, row: EffectRow, undo: Undo, call: Call, outcome: RawOutcome) -> None:
        await self.look_at(row)
        if row["effect"] == Effect.READ_ONLY.value:
            await self._hold_to_its_word(row)
        compensate = undo.compensate
        if compensate is None or compensate.precondition is None or not isinstance(outcome, Returned):
            return
        try:
            data = {"input": call.arguments, "output": outcome.result}
            answer = await self._asked(row, compensate.precondition, data)
        except ToolwardError:
            return  # nothing to compare with later: the step will be for a person
        if answer is not None and answer.fate is Fate.DONE:
            row["answer"] = self._store.digest(canonical(said_by(answer)))

    async def _hold_to_its_word(self, row: EffectRow) -> None:
        """What is called reading and changed what it was to read is not served any more."""
        if not row["after"] or row["after"] == row["before"]:
            return
        why = f"{row['tool']} is declared `read_only`, and call {row['call_id']} changed what it reads"
        try:
            if await self._registry.quarantine(row["tool"], row["version"], why):
                await self._repin()
        except ToolwardError:
            return  # nothing can be recorded: then this outcome can not be either, and no result leaves

    async def look_at(self, row: EffectRow) -> None:
        """Take down how the call left its paths. Where that fails, undoing will be for a person."""
        if not row["paths"] or self._images is None:
            return
        try:
            listing = await self._images.look(row["paths"], within=row["within"])
        except ToolwardError:
            return
        row["after"] = digest_of(self._store, listing)
        row["left"] = digest_of(self._store, steady(listing, row["volatile"]))

    @override
    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        call = permit.labelled.call
        row = self.open.get(call.call_id)
        if row is None:
            return ()
        self.turns.leave(call.call_id)
        row["status"] = status_of(row, outcome).value
        return (put_effect(row),)

    @override
    def concluded(self, permit: Permit, reply: Reply) -> None:
        del reply
        self.open.pop(permit.labelled.call.call_id, None)

    @override
    def lapsed(self, permit: Permit) -> None:
        call_id = permit.labelled.call.call_id
        self.turns.leave(call_id)
        self.open.pop(call_id, None)

    @override
    def abandon(self, left: OpenCall) -> Sequence[Change]:
        row = read_effect(self._store, left.session_id, left.call_id)
        if row is None:
            return ()
        self.left.append((left.session_id, left.call_id))
        return (put_effect({**row, "status": EffectStatus.UNKNOWN.value}),)


def way_of(undo: Undo) -> Way:
    """What was promised."""
    if undo.compensate is None:
        return Way.NONE
    if undo.compensate.use is not None:
        return Way.TOOL
    return Way.RESTORE if undo.snapshot is not None and undo.snapshot.paths else Way.NONE


def status_of(row: EffectRow, outcome: RawOutcome) -> EffectStatus:
    """What is known of the effect: a tool's own error tells nothing, the paths do where there are some."""
    if _never_ran(outcome):
        return EffectStatus.FAILED
    read_only = row["effect"] == Effect.READ_ONLY.value
    if isinstance(outcome, Returned) and outcome.result.get("isError") is not True and not read_only:
        return EffectStatus.COMMITTED
    if not isinstance(outcome, (Returned, Failed)) or not row["after"]:
        return EffectStatus.UNKNOWN
    return EffectStatus.FAILED if row["after"] == row["before"] else EffectStatus.COMMITTED


def said_by(answer: Answer) -> dict[str, Any]:
    """What a tool answered, without what the protocol adds."""
    said = {key: answer.result.get(key) for key in ("content", "structuredContent", "isError")}
    plain: dict[str, Any] = orjson.loads(orjson.dumps(said))
    return plain


def _never_ran(outcome: RawOutcome) -> bool:
    return isinstance(outcome, Failed) and not outcome.from_server


def _no_snapshot(why: str) -> Denied:
    return Denied(
        f"the before-image that the manifest promises can not be taken: {why}",
        code=ReasonCode.NOT_UNDOABLE,
        remedy="ask the operator: `toolward doctor` and the tool's manifest say what is missing",
    )
