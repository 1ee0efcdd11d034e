"""1 admit: an authenticated, strictly parsed attempt becomes a frozen, hashed `Call`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from toolward.errors import Rejected
from toolward.kernel.attempt import CONFIDENCE_META, IDEMPOTENCY_META, PATH_META, Attempt
from toolward.kernel.audit import Auditor
from toolward.kernel.handles import Handles
from toolward.model.call import LIST_ACTIONS, OWN_ACTIONS, Action, Call, Era
from toolward.model.lineage import Handle
from toolward.model.session import Session
from toolward.model.tool import Path
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.rules.canonical import canonical, may_be_reserved, refuse_reserved
from toolward.rules.lineage.handles import mentioned

LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_TARGET_KEY: Mapping[Action, str] = {
    Action.CALL_TOOL: "name",
    Action.GET_PROMPT: "name",
    Action.READ_RESOURCE: "uri",
    Action.SUBSCRIBE: "uri",
    Action.UNSUBSCRIBE: "uri",
}
_RETRY_KEYS = ("inputResponses", "requestState")
"""What a 2026-era client sends along when it answers an `input_required` result; forwarded as it is."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_FORWARDED: Mapping[str, Callable[[Any], bool]] = {
    "progressToken": lambda value: isinstance(value, (str, int)),  # stays here: the server sees our own
    "io.modelcontextprotocol/logLevel": lambda value: value in LOG_LEVELS,
    "traceparent": lambda value: isinstance(value, str) and bool(_TRACEPARENT.fullmatch(value)),
}
"""What of `_meta` goes on to a server. It is no argument: nobody judges it, so it must not carry a text."""
_NO_META: Mapping[str, Any] = {}
IDEMPOTENCY_CHARS_MAX = 255
_RETRIED = frozenset({Action.CALL_TOOL, Action.GET_PROMPT, Action.READ_RESOURCE})


class Admit:
    """Stage 1."""

    def __init__(self, auditor: Auditor, *, clock: Clock, ids: Ids, handles: Handles) -> None:
        self._auditor = auditor
        self._handles = handles
        self._clock = clock
        self._ids = ids

    def __call__(self, attempt: Attempt, session: Session) -> Call:
        """Raises `Rejected` for params that are not of the action's shape or hold reserved keys.

        And `BadArguments` for a reference to an earlier result that leads nowhere.
        """
        target, arguments = self._split(attempt)
        body = canonical(arguments)
        handles: tuple[Handle, ...] = ()
        if mentioned(body) and _refers(attempt):
            arguments, handles = self._handles(arguments, session.session_id)
            body = canonical(arguments)
        if may_be_reserved(body):
            refuse_reserved(arguments)
        meta = attempt.params.get("_meta", _NO_META)
        if type(meta) is not dict and not isinstance(meta, Mapping):
            raise Rejected("`_meta` is not an object", remedy="send an object or leave it out")
        retry = self._retry(attempt)
        key = self._key(attempt.action, meta)
        return Call(
            call_id=self._ids.new(),
            action=attempt.action,
            session=session,
            target=target,
            server=attempt.server,
            arguments_json=body,
            arguments=arguments,
            args_digest=self._auditor.digest(body),
            meta={key: meta[key] for key, form in _FORWARDED.items() if key in meta and form(meta[key])}
            if meta
            else _NO_META,
            retry=retry,
            era=attempt.era,
            door=attempt.door,
            received_ns=self._clock.monotonic_ns(),
            idempotency_key=key,
            released=attempt.released,
            undo_of=attempt.undo_of,
            held_in=attempt.held_in,
            confidence=_confidence(meta) if CONFIDENCE_META in meta else "",
            secure=PATH_META in meta and _wants_secure(meta),
            stands_in_for=attempt.stands_in_for,
            handles=handles,
        )

    @staticmethod
    def _key(action: Action, meta: Mapping[str, Any]) -> str:
        """The idempotency key, where one was sent with a tool call."""
        if action is not Action.CALL_TOOL or IDEMPOTENCY_META not in meta:
            return ""
        key = meta[IDEMPOTENCY_META]
        if not isinstance(key, str) or not 0 < len(key) <= IDEMPOTENCY_CHARS_MAX:
            raise Rejected(
                f"`{IDEMPOTENCY_META}` is not a text of 1 to {IDEMPOTENCY_CHARS_MAX} characters",
                remedy="send a fresh UUID for each effect, and the same one for its retries",
            )
        return key

    @staticmethod
    def _retry(attempt: Attempt) -> dict[str, Any]:
        """The answers of a retry, where the era and the action have retries; elsewhere they go no further.

        Only there has the door opened the seal of `requestState`: elsewhere it would be the agent's own.
        """
        if attempt.era is not Era.STATELESS or attempt.action not in _RETRIED:
            return {}
        retry = {key: attempt.params[key] for key in _RETRY_KEYS if key in attempt.params}
        canonical(retry)  # it will be recorded
        return retry

    @staticmethod
    def _split(attempt: Attempt) -> tuple[str, Mapping[str, Any]]:
        """The target and what is judged and forwarded as arguments."""
        params = attempt.params
        key = _TARGET_KEY.get(attempt.action)
        target = params.get(key, "") if key else ""
        if key and (not isinstance(target, str) or not target):
            raise Rejected(f"`{key}` is missing or not text", remedy=f"send `params.{key}`")
        if attempt.action is Action.CALL_TOOL:
            arguments = params.get("arguments")
            if arguments is None:
                arguments = {}
            if type(arguments) is not dict and not isinstance(arguments, Mapping):
                raise Rejected("`arguments` is not an object", remedy="send `params.arguments` as an object")
            return target, arguments
        if attempt.action in OWN_ACTIONS - LIST_ACTIONS:
            return str(params.get("tool", "")), {k: v for k, v in params.items() if k != "_meta"}
        if attempt.action in LIST_ACTIONS:
            return "", {k: v for k, v in params.items() if k == "cursor"}
        return target, {k: v for k, v in params.items() if k != "_meta" and k not in _RETRY_KEYS}


def _refers(attempt: Attempt) -> bool:
    """Whether references are the agent's own: what was recorded, held or asked by a server holds none."""
    return attempt.action is Action.CALL_TOOL and not (attempt.released or attempt.undo_of or attempt.held_in)


def _confidence(meta: Mapping[str, Any]) -> str:
    """As policies see it: four digits, cut and not rounded, so that nothing is surer than was said."""
    said = meta[CONFIDENCE_META]
    if not isinstance(said, (int, float)) or isinstance(said, bool) or not 0 <= said <= 1:
        raise Rejected(
            f"`{CONFIDENCE_META}` is not a number of 0 to 1", remedy="send such a number, or leave it out"
        )
    return str(Decimal(repr(said)).quantize(Decimal("0.0001"), rounding=ROUND_DOWN))


def _wants_secure(meta: Mapping[str, Any]) -> bool:
    if meta[PATH_META] != Path.SECURE:
        raise Rejected(
            f"`{PATH_META}` is not `secure`",
            remedy="leave it out: a call is moved to the secure path only, never to the open one",
        )
    return True
