"""When a call is tried again: only where that does no harm, never more than a share of all, never at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from toolward.errors import ReasonCode
from toolward.model.call import Failed, RawOutcome, Stopped
from toolward.model.tool import Effect, Manifest

FLOOR: Final = 3
"""Retries that a server may have every ten seconds however few its calls are, as Envoy's budget has it."""
AT_ONCE_MAX: Final = 10
"""Retries that may be saved up: a quiet hour must not pay for a storm."""
_FLOOR_NS: Final = 10_000_000_000
_WHOLE: Final = 100  # one retry, in hundredths
BACKOFF_MS: Final = 25
"""Before the first retry at most; twice that before each further one ..."""
BACKOFF_MAX_MS: Final = 250
"""... up to this: a caller waits."""
_MAY_HAVE_RUN: Final = frozenset({ReasonCode.UNKNOWN_OUTCOME.value, ReasonCode.KILLED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a server's retries may still spend, in hundredths of a retry, and what was counted then."""

    hundredths: int = FLOOR * _WHOLE
    calls: int = 0
    at_ns: int = 0


def earned(budget: Budget, *, calls: int, now_ns: int, percent: int) -> Budget:
    """The budget as it stands now, after `calls` in all."""
    more = (calls - budget.calls) * percent
    floor = FLOOR * _WHOLE * (now_ns - budget.at_ns) // _FLOOR_NS
    return Budget(
        hundredths=min(budget.hundredths + more + floor, AT_ONCE_MAX * _WHOLE), calls=calls, at_ns=now_ns
    )


def left(budget: Budget) -> int:
    """Whole retries that it pays for."""
    return budget.hundredths // _WHOLE


def spend(budget: Budget) -> Budget:
    """The budget less one retry, which must be left in it."""
    return replace(budget, hundredths=budget.hundredths - _WHOLE)


def may_retry(outcome: RawOutcome, manifest: Manifest, *, keyed: bool) -> bool:
    """Whether the same call may be sent again.

    A tool that only reads: where nothing ran, and where it may have run but nobody outside could see it. A
    write that is idempotent, under the caller's key: where nothing ran. Anything else: never.
    """
    nothing = (
        isinstance(outcome, Failed)
        and not outcome.from_server
        and outcome.reason == ReasonCode.TOOL_UNREACHABLE.value
    )
    if manifest.effect is Effect.READ_ONLY:
        unseen = isinstance(outcome, Stopped) and outcome.reason in _MAY_HAVE_RUN and not manifest.egress
        return nothing or unseen
    return manifest.effect is Effect.IDEMPOTENT_WRITE and keyed and nothing


def backoff_s(retry: int, chance: float) -> float:
    """How long to wait before retry number `retry`, from 1: anything up to a cap, by `chance` from 0 to 1."""
    cap_ms = min(BACKOFF_MS << min(retry - 1, 16), BACKOFF_MAX_MS)
    return chance * cap_ms / 1000
