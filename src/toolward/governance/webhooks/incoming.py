"""Answers that come in by webhook: whose word it is, whether it is new, and which person is meant."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson
from msgspec import Struct

from toolward.config.approving import WebhookConfig, WebhookFormat
from toolward.errors import ReasonCode as Code
from toolward.errors import Rejected
from toolward.governance.webhooks.outgoing import secret_name
from toolward.governance.webhooks.saying import APPROVE, REFUSE
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.clock import Clock
from toolward.ports.secrets import Secrets
from toolward.ports.store import Change, Conflict, Delete, Put, Store, Table
from toolward.rules.canonical import canonical, parse_strict
from toolward.rules.webhook import is_signed, is_signed_slack, is_timely, key_of

KEPT_S: Final = 24 * 3600
"""How long an answer's id is remembered; what is older than five minutes is refused by its time anyway."""
ID_CHARS_MAX: Final = 256
NOTE_CHARS_MAX: Final = 2_000
_SECOND_NS: Final = 1_000_000_000
_VERBS: Final = {"approve": "approvals.approve", "refuse": "approvals.refuse"}
_SLACK_VERDICTS: Final = {APPROVE: "approve", REFUSE: "refuse"}
Ask = Callable[[str, Mapping[str, Any], Principal], Awaitable[Any]]


class Said(Struct, frozen=True, kw_only=True):
    """An answer, once its signature held."""

    approval: str
    verdict: str
    person: str
    note: str = ""


class Incoming:
    """Answers of all webhooks."""

    def __init__(
        self,
        ask: Ask,
        *,
        hooks: Callable[[], Mapping[str, WebhookConfig]],
        secrets: Secrets,
        store: Store,
        clock: Clock,
    ) -> None:
        self._ask = ask
        self._hooks = hooks
        self._secrets = secrets
        self._store = store
        self._clock = clock

    async def answer(self, name: str, headers: Mapping[bytes, bytes], body: bytes) -> Mapping[str, Any]:
        """The approval after the answer. Raises `Rejected` for what is forged, stale, replayed or nobody's.

        Raises what the desk's verbs raise.
        """
        hook = self._hooks().get(name)
        if hook is None:
            raise _refused("there is no such webhook")
        message_id = self._proved(hook, headers, body)
        said = _slack_said(body) if hook.format is WebhookFormat.SLACK else _json_said(body)
        user = hook.people.get(said.person)
        if user is None:
            raise _refused("nobody of this ward answers under that name")
        if said.verdict == "approve" and not hook.arguments:
            raise _refused("nobody can agree where the arguments are not shown")
        # before the vote: an answer that was lost is given again by a person, one that counts twice is not
        await self._use_up(name, message_id)
        by = Principal(
            user=user, agent="webhook", credential=credential_of(name), kind=CredentialKind.WEBHOOK
        )
        parameters = {"approval": said.approval, "note": said.note}
        row: Mapping[str, Any] = await self._ask(_VERBS[said.verdict], parameters, by)
        return row

    def _proved(self, hook: WebhookConfig, headers: Mapping[bytes, bytes], body: bytes) -> str:
        """The message's id, of which there is one. Raises `Rejected` unless it was signed, and just now."""
        try:
            key = key_of(self._secrets.get(secret_name(hook)))
        except ValueError as error:
            raise _refused("the webhook's secret is none") from error
        now_s = self._clock.now_ns() // _SECOND_NS
        if hook.format is WebhookFormat.SLACK:
            timestamp = _text(headers, b"x-slack-request-timestamp")
            signature = _text(headers, b"x-slack-signature")
            message_id = signature
            holds = is_signed_slack(key, timestamp=timestamp, body=body, signature=signature)
        else:
            message_id, timestamp = _text(headers, b"webhook-id"), _text(headers, b"webhook-timestamp")
            signatures = _text(headers, b"webhook-signature")
            holds = len(message_id) <= ID_CHARS_MAX and is_signed(
                key, message_id=message_id, timestamp=timestamp, body=body, signatures=signatures
            )
        if not holds:
            raise _refused("the signature does not hold")
        if not is_timely(timestamp, now_s):
            raise _refused("the answer is too old, or from the future")
        return message_id

    async def _use_up(self, name: str, message_id: str) -> None:
        """Remember it durably. Raises `Rejected` when it came before."""
        now = self._clock.now_ns()
        key = f"{name}/{hashlib.sha256(message_id.encode()).hexdigest()}"
        old: list[Change] = [
            Delete(Table.HOOK, row.key)
            for row in self._store.scan(Table.HOOK, f"{name}/")
            if int(orjson.loads(row.body)["until_ns"]) < now
        ]
        kept = canonical({"until_ns": str(now + KEPT_S * _SECOND_NS)})
        try:
            await self._store.commit([], [*old, Put(Table.HOOK, key, kept, expect=0)])
        except Conflict as error:
            raise _refused("the answer came before") from error


def credential_of(name: str) -> str:
    """How a webhook's votes name their credential."""
    return f"webhook:{name}"


def _json_said(body: bytes) -> Said:
    value = parse_strict(body)
    found = value if isinstance(value, dict) else {}
    match found:
        case {"approval": str(approval), "verdict": str(verdict), "person": str(person)} if verdict in _VERBS:
            note = str(found.get("note") or "")[:NOTE_CHARS_MAX]
            return Said(approval=approval, verdict=verdict, person=person, note=note)
        case _:
            raise Rejected(
                "the answer needs `approval`, `verdict` (approve or refuse) and `person`",
                remedy="see docs/webhooks.md",
            )


def _slack_said(body: bytes) -> Said:
    """An interactive payload: `payload={"type": "block_actions", "user": …, "actions": […]}`."""
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=4)
        value = orjson.loads(fields["payload"][0])
        action = value["actions"][0]
        verdict = _SLACK_VERDICTS[action["action_id"]]
        return Said(approval=str(action["value"]), verdict=verdict, person=str(value["user"]["id"]))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Rejected("the payload holds no answer of ours") from error


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _refused(text: str) -> Rejected:
    return Rejected(text, code=Code.UNAUTHENTICATED, remedy="see docs/webhooks.md")
