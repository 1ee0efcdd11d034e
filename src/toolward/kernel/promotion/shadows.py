"""Shadow traffic: a share of the reads is run with another version too, and its answers are set beside.

The caller has its reply before the copy begins, and nobody is shown what the copy answered: it taints no
session, vouches for no value and counts against no budget. A copy is a call of its own, which walks the
whole corridor; where a policy would have a person asked, it is not run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from msgspec import structs

from toolward.errors import ToolwardError
from toolward.kernel.audit import Auditor
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.registry.registry import Registry
from toolward.kernel.replay import Answered
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.tasks import Background
from toolward.model.call import Call, Reply
from toolward.model.event import EventKind
from toolward.model.pin import Stretch
from toolward.model.tool import Channel, Effect, ToolVersion
from toolward.ports.ids import Ids
from toolward.ports.store import Store
from toolward.ports.upstream import Exchange

COPIES_MAX: Final = 4
"""Copies that run at once; more are left out, so that a slow candidate takes no room from callers."""
LOOKED_MAX: Final = 4_000
"""Copies that are looked at for how they came out, the newest."""
Perform = Callable[[Call, Exchange], Awaitable[Reply]]


class Shadows:
    """Runs copies of calls for every canary that takes some."""

    def __init__(self, registry: Registry, auditor: Auditor, *, ids: Ids, background: Background) -> None:
        self._registry = registry
        self._auditor = auditor
        self._ids = ids
        self._background = background
        self._running = 0

    def after(
        self,
        call: Call,
        version: ToolVersion | None,
        reply: Reply,
        revision: ActiveRevision,
        perform: Perform,
    ) -> None:
        """Once a call was answered: run a copy of it, if one is wanted. Asked for every call."""
        if version is None or call.copy_of or call.undo_of or self._running >= COPIES_MAX:
            return
        channel = revision.channel_of(call.session.principal.agent)
        pin = self._registry.pin(version.key, channel)
        if pin is None or pin.canary is None or not pin.canary.copies or version.digest != pin.digest:
            return
        candidate = self._registry.version(pin.canary.digest)
        if candidate is None or not (only_reads(version) and only_reads(candidate)):
            return
        if reply.result is None or not _chosen(call.call_id, pin.canary):
            return
        self._running += 1
        _ = self._background.start(self._copied(call, (version, candidate), reply, channel, perform))

    async def _copied(
        self,
        call: Call,
        versions: tuple[ToolVersion, ToolVersion],
        reply: Reply,
        channel: Channel,
        perform: Perform,
    ) -> None:
        copy = structs.replace(
            call, call_id=self._ids.new(), copy_of=call.call_id, idempotency_key="", released="", retry={}
        )
        body: dict[str, Any] = {
            "control": versions[0].digest,
            "candidate": versions[1].digest,
            "channel": channel.value,
            "copy_of": call.call_id,
        }
        try:
            try:
                found = await perform(copy, QuietExchange())
            except (ToolwardError, Answered) as no:
                why = no.reason.code.value if isinstance(no, ToolwardError) else "answered_before"
                body |= {"compared": False, "why": why}
            else:
                body |= {"compared": True, "same": said(found) == said(reply)}
            event = self._auditor.event(
                EventKind.TOOL_SHADOWED,
                call_id=copy.call_id,
                session_id=call.session.session_id,
                tool=versions[0].key,
                body=body,
            )
            await self._registry.store.commit([event])
        finally:
            self._running -= 1


def only_reads(version: ToolVersion) -> bool:
    """Whether a copy of a call of it changes nothing and tells nobody anything."""
    return version.manifest.effect is Effect.READ_ONLY and not version.manifest.egress


def said(reply: Reply) -> bytes:
    """What a tool answered, without what the gateway or the server says about the answer."""
    if reply.result is None:
        return b"error: " + (reply.error.message.encode() if reply.error is not None else b"")
    shown = {key: value for key, value in reply.result.items() if key != "_meta"}
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS, default=dict)


def outcome_of(store: Store, key: str, channel: Channel, *, control: str, candidate: str) -> tuple[int, int]:
    """Of the newest copies: how many were compared, and how many of those were answered differently."""
    found = store.find(kind=EventKind.TOOL_SHADOWED.value, tool=key, limit=LOOKED_MAX)
    bodies = [orjson.loads(record.body) for record in found]
    same = [
        body["same"]
        for body in bodies
        if body["compared"]
        and (body["control"], body["candidate"], body["channel"]) == (control, candidate, channel.value)
    ]
    return len(same), len(same) - sum(same)


def _chosen(call_id: str, canary: Stretch) -> bool:
    """Whether a call belongs to the share that is copied: by a hash, so that nobody chooses."""
    digest = hashlib.sha256(f"{canary.canary} {call_id}".encode()).digest()
    return int.from_bytes(digest[:8]) % 100 < canary.copies
