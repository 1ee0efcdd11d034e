"""A declared fallback: another tool that reads the same, asked when the circuit of the first is open.

Running another tool than the one that was judged would break the corridor, so the fallback is a call of its
own: it is resolved, labelled, decided and recorded like any other, and its reply says for whom it stands in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import structs

from toolward.errors import CircuitOpen
from toolward.kernel.attempt import Attempt
from toolward.kernel.registry.registry import Registry
from toolward.kernel.resilience.refusing import FALLBACK
from toolward.model.call import Action, Reply
from toolward.ports.upstream import Exchange
from toolward.rules.resilience.fallback import stands_in

STANDS_IN: Final = "standsInFor"
"""In a reply's receipt: the tool that was asked for."""
Perform = Callable[[Attempt, Exchange], Awaitable[Reply]]


class StandingIn:
    """Asks the fallback where the operator named one that reads the same."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def __call__(
        self, attempt: Attempt, refusal: CircuitOpen, reply: Reply, exchange: Exchange, perform: Perform
    ) -> Reply:
        """The fallback's reply where it has a result, else `reply`, the recorded refusal, which names it."""
        details = dict(refusal.reason.details)
        key, other = details["tool"], details.get(FALLBACK, "")
        if attempt.action is not Action.CALL_TOOL or attempt.stands_in_for or attempt.released:
            return reply
        first, second = self._registry.served(key), self._registry.served(other)
        if first is None or second is None or not stands_in(second[1], first[1]):
            return reply
        asked = structs.replace(
            attempt,
            server=second[1].server,
            params={**attempt.params, "name": second[1].name},
            stands_in_for=key,
        )
        found = await perform(asked, exchange)
        if found.result is None:
            return reply
        return structs.replace(found, receipt={**(found.receipt or {}), STANDS_IN: key})
