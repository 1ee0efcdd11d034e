"""A call that failed in a cage says what may have been missing: one line of the gateway's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from toolward.model.call import Failed, RawOutcome, Returned
from toolward.model.egress import RefusedDestination, Whose
from toolward.model.permit import Permit
from toolward.model.tool import CallScope
from toolward.rules.cage_hint import hint_for


class Refusals(Protocol):
    """Who knows which connections of cages were refused."""

    def __call__(self, whose: Whose, *, since_ns: int) -> Sequence[RefusedDestination]:
        """Those of that very cage since then, on the monotonic clock; a shared one's without their names."""
        ...


def nobody_knows(whose: Whose, *, since_ns: int) -> Sequence[RefusedDestination]:
    """`Refusals` where no cage has a way out."""
    del whose, since_ns
    return ()


class CageHints:
    """Adds that line to the outcome, and the key that it names for the record."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def __call__(self, permit: Permit, outcome: RawOutcome) -> RawOutcome:
        """The outcome, with a hint where the tool ran in a cage, failed, and the cage may be why."""
        said = _error_of(outcome)
        resolved = permit.labelled.resolved
        if said is None or resolved.isolation.rank <= 0 or resolved.version is None:
            return outcome
        call = permit.labelled.call
        whose = {
            CallScope.CALL: Whose(resolved.server, call.session.session_id, call.call_id),
            CallScope.SESSION: Whose(resolved.server, call.session.session_id),
            CallScope.SERVER: Whose(resolved.server),
        }[resolved.scope]
        hint = hint_for(
            resolved.server,
            resolved.name,
            per_call=resolved.scope is CallScope.CALL,
            said=said,
            refused=self._refusals(whose, since_ns=call.received_ns),
        )
        return outcome if hint is None else _with(outcome, hint.text, hint.grant)


def _error_of(outcome: RawOutcome) -> str | None:
    """What the tool said of its failure; None where it did not fail, or never had the call."""
    if isinstance(outcome, Returned):
        return _texts(outcome.result) if outcome.result.get("isError") is True else None
    if isinstance(outcome, Failed):
        return outcome.message if outcome.from_server else None
    return ""  # a stop is told of in the gateway's words


def _texts(result: Any) -> str:
    content = result.get("content")
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _with(outcome: RawOutcome, line: str, grant: str) -> RawOutcome:
    if not isinstance(outcome, Returned):
        return replace(outcome, message=f"{outcome.message}\n{line}", hint=grant)
    content = outcome.result.get("content")
    said = content if isinstance(content, list) else []
    result = {**outcome.result, "content": [*said, {"type": "text", "text": line}]}
    return replace(outcome, result=result, size_bytes=outcome.size_bytes + len(line), hint=grant)
