"""Tells webhooks of approvals as the log has them: at least once each, in any order, with bounded tries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from msgspec import Struct

from toolward.config.approving import WebhookConfig, WebhookFormat, WebhookMoment
from toolward.config.checks import SECRET_REFERENCE
from toolward.errors import ToolwardError
from toolward.governance.following import Following
from toolward.governance.moments import utc
from toolward.governance.webhooks.saying import body_of
from toolward.kernel.audit import Auditor
from toolward.kernel.tasks import Background
from toolward.model.event import EventKind
from toolward.ports.clock import Clock
from toolward.ports.egress import EgressRefused
from toolward.ports.secrets import Secrets
from toolward.ports.store import Put, Record, Store, Table
from toolward.ports.webhooks import Message, Outbox
from toolward.rules.canonical import canonical
from toolward.rules.webhook import key_of, sign

BACKOFF_S: Final = (0, 5, 30, 120, 600)
"""Before each try; after the last one the message is given up, and that is on record."""
LOOK_S: Final = 0.5
UNDER_WAY_MAX: Final = 256
"""Messages waiting for an answer or the next try; past this the oldest log records wait to be read."""
LAG_MAX: Final = 10_000
"""Records after which the place in the log is kept though nobody was told of anything."""
CURSOR: Final = "cursor"
_GONE: Final = frozenset({400, 401, 403, 404, 405, 410, 413})
"""Another try would be answered the same."""
_OVER: Final = ("approved", "refused")


class News(Struct, frozen=True, kw_only=True):
    """Something that a record says of an approval."""

    index: int
    event_id: str
    moment: WebhookMoment
    approval: str


class Senders(Struct, frozen=True, kw_only=True):
    """What sending needs of the house."""

    store: Store
    auditor: Auditor
    clock: Clock
    secrets: Secrets
    outbox: Outbox
    hooks: Callable[[], Mapping[str, WebhookConfig]]
    show: Callable[[str], Awaitable[Mapping[str, Any]]]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


class Outgoing:
    """One reader of the log for all webhooks."""

    def __init__(self, senders: Senders, background: Background) -> None:
        self._senders = senders
        self._background = background
        self._under_way: dict[asyncio.Task[None], int] = {}
        self._saved = -1
        self._told = False

    async def run(self) -> None:
        """Until cancelled. Goes on where an earlier process was; a new ward's past is not told."""
        store = self._senders.store
        row = store.get(Table.HOOK, CURSOR)
        kinds = (
            EventKind.APPROVAL_ASKED,
            EventKind.APPROVAL_REMINDED,
            EventKind.APPROVAL_VOTED,
            EventKind.APPROVAL_ENDED,
            EventKind.BREAK_GLASS,
        )
        following = Following(store, kinds, at=int(orjson.loads(row.body)["at"]) if row else None)
        try:
            while True:
                if len(self._under_way) < UNDER_WAY_MAX:
                    for record in following.new():
                        self._tell(record)
                await self._save(following.at)
                await self._senders.pause(LOOK_S)
        finally:
            for task in self._under_way:
                task.cancel()

    def _tell(self, record: Record) -> None:
        news = news_of(record)
        if news is None:
            return
        for name, hook in self._senders.hooks().items():
            if hook.url and news.moment in hook.events:
                task = self._background.start(self._deliver(name, hook, news))
                self._under_way[task] = news.index
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._told = True
        self._under_way.pop(task, None)

    async def _save(self, at: int) -> None:
        """Where to go on after a restart: at the first record that somebody was not told of yet."""
        safe = min(self._under_way.values(), default=at)
        if self._saved < 0 or (safe != self._saved and (self._told or safe - self._saved > LAG_MAX)):
            self._saved, self._told = safe, False
            await self._senders.store.commit([], [Put(Table.HOOK, CURSOR, canonical({"at": safe}))])

    async def _deliver(self, name: str, hook: WebhookConfig, news: News) -> None:
        status = 0
        for wait_s in BACKOFF_S:
            await self._senders.pause(wait_s)
            try:
                row = await self._senders.show(news.approval)
                if news.moment is not WebhookMoment.ENDED and row["state"] != "pending":
                    return  # it was answered meanwhile, which is told of its own
                status = await self._senders.outbox.post(self._message(hook, news, row))
            except (OSError, EgressRefused, ToolwardError, ValueError):
                status = 0
            if 200 <= status < 300:  # noqa: PLR2004 -- HTTP: the request was taken
                await self._record(EventKind.WEBHOOK_SENT, name, news, status)
                return
            if status in _GONE:
                break
        await self._record(EventKind.WEBHOOK_FAILED, name, news, status)

    def _message(self, hook: WebhookConfig, news: News, row: Mapping[str, Any]) -> Message:
        """Raises `ToolwardError` for a secret that is missing, `ValueError` for one that is none."""
        secrets, now_ns = self._senders.secrets, self._senders.clock.now_ns()
        named = SECRET_REFERENCE.fullmatch(hook.url)
        url = secrets.get(named[1]) if named else hook.url
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("the secret holds no url")
        body = body_of(hook, news.moment.value, row, sent_at=utc(now_ns))
        headers = {"Content-Type": "application/json"}
        if hook.format is WebhookFormat.JSON:
            message_id, timestamp = f"msg_{news.event_id}", str(now_ns // 1_000_000_000)
            key = key_of(secrets.get(secret_name(hook)))
            headers |= {
                "webhook-id": message_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": sign(key, message_id=message_id, timestamp=timestamp, body=body),
            }
        return Message(url=url, headers=headers, body=body, private_network=hook.private_network)

    async def _record(self, kind: EventKind, name: str, news: News, status: int) -> None:
        body = {"webhook": name, "approval": news.approval, "moment": news.moment.value, "status": status}
        await self._senders.store.commit([self._senders.auditor.event(kind, body=body)])


def news_of(record: Record) -> News | None:
    """What a record says to the outside, None where it says nothing new."""
    value = orjson.loads(record.body)
    moment = _MOMENTS.get(value["kind"])
    if value["kind"] in _VOTES and value.get("state") not in _OVER:
        return None
    if moment is None:
        return None
    return News(
        index=record.index, event_id=value["event_id"], moment=moment, approval=str(value["approval"])
    )


def secret_name(hook: WebhookConfig) -> str:
    """Under which name its secret is kept."""
    return hook.secret[len("${secret:") : -1]


_MOMENTS: Final = {
    EventKind.APPROVAL_ASKED.value: WebhookMoment.ASKED,
    EventKind.APPROVAL_REMINDED.value: WebhookMoment.REMINDED,
    EventKind.APPROVAL_ENDED.value: WebhookMoment.ENDED,
    EventKind.APPROVAL_VOTED.value: WebhookMoment.ENDED,
    EventKind.BREAK_GLASS.value: WebhookMoment.ENDED,
}
_VOTES: Final = (EventKind.APPROVAL_VOTED.value, EventKind.BREAK_GLASS.value)
