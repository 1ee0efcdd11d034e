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
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.sessions import Sessions
from toolward.model.call import Action, Reply
from toolward.ports.upstream import Exchange
from toolward.rules.resilience.fallback import stands_in

STANDS_IN: Final = "standsInFor"
"""In a reply's receipt: the tool that was asked for."""
Perform = Callable[[Attempt, Exchange], Awaitable[Reply]]


class StandingIn:
    """Asks the fallback where the operator named one that reads the same."""

    def __init__(
        self, registry: Registry, sessions: Sessions, revision: Callable[[], ActiveRevision]
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._revision = revision

    async def __call__(
        self, attempt: Attempt, refused: tuple[CircuitOpen, Reply], exchange: Exchange, perform: Perform
    ) -> Reply:
        """The fallback's reply where it has a result, else the recorded refusal, which names it.

        Compared is what the caller is served of both, in its channel and session.
        """
        refusal, reply = refused
        details = dict(refusal.reason.details)
        key, other = details["tool"], details.get(FALLBACK, "")
        if attempt.action is not Action.CALL_TOOL or attempt.stands_in_for or attempt.released:
            return reply
        session = self._sessions.current(attempt.session_id)
        if session is None:
            return reply
        channel = self._revision().channel_of(attempt.principal.agent)
        first, second = (self._registry.serving(each, channel, session) for each in (key, other))
        if first is None or second is None or not stands_in(second[0], first[0]):
            return reply
        asked = structs.replace(
            attempt,
            server=second[0].server,
            params={**attempt.params, "name": second[0].name},
            stands_in_for=key,
        )
        found = await perform(asked, exchange)
        if found.result is None:
            return reply
        return structs.replace(found, receipt={**(found.receipt or {}), STANDS_IN: key})
