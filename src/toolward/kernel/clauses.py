"""What stands beside a call: kept in the commit of its intent, closed in the commit of its outcome.

Approvals, idempotency keys, escrow, frontiers and the journal of effects are clauses. Each is atomic with the
call's own records because it writes nothing itself: it hands over changes, and intend and settle commit them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from toolward.kernel.revision import ActiveRevision
from toolward.model.call import Call, RawOutcome, Reply
from toolward.model.permit import Permit
from toolward.model.tool import SEPARATOR
from toolward.ports.store import Change, OpenCall


class Promise(Struct, frozen=True, kw_only=True):
    """A clause's share of an intent. A `Put` whose `expect` meets another version stops the call."""

    changes: tuple[Change, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)  # facts for the record
    payloads: Mapping[str, bytes] = field(default_factory=dict)  # kept encrypted beside it


NO_PROMISE = Promise()


class Clause:
    """One clause. What a clause does not override means nothing to it.

    For each permit that reaches `promise`, exactly one of `concluded` and `lapsed` follows in this process;
    after a crash `abandon` takes the place of `conclude`. Calls with a merged record have no clauses.
    What is asked for every call (`concerns`, `binds`) must be cheap.
    """

    def concerns(self, call: Call) -> bool:
        """Before resolve: whether `answer` is to be asked."""
        del call
        return False

    async def answer(self, call: Call) -> Reply | None:
        """The answer to a call that is known already, or None to go on.

        Raises what refuses the call. It may wait, for a bounded time.
        """
        del call
        return None

    def binds(self, permit: Permit) -> bool:
        """Whether it has any part in this call from its intent on."""
        del permit
        return False

    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        """Its share of the intent. Raises `PolicyError` or `GatewayError`: then nothing runs."""
        del permit, revision
        return NO_PROMISE

    def inspection(self, permit: Permit, outcome: RawOutcome) -> Callable[[], Awaitable[None]] | None:
        """What can only be seen before the reply leaves, if anything; must not raise. The outcome waits."""
        del permit, outcome
        return None

    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        """Its share of the outcome's commit; must not raise, and must not depend on versions.

        `Failed` that is not from the server means no effect; `Stopped` means it may have happened.
        """
        del permit, outcome
        return ()

    def concluded(self, permit: Permit, reply: Reply) -> None:
        """The outcome is durable: wake whoever waits for it."""

    def lapsed(self, permit: Permit) -> None:
        """The intent was not made, so nothing ran: let go of what is held in memory."""

    def abandon(self, left: OpenCall) -> Sequence[Change]:
        """What to write for a call that a crash left without outcome."""
        del left
        return ()


class Clauses:
    """All clauses of a gateway, in the order in which they are asked, and which of them bind which call."""

    def __init__(self, every: Sequence[Clause] = ()) -> None:
        self.every = tuple(every)
        self._concerned = [each for each in self.every if type(each).concerns is not Clause.concerns]
        self._bound: dict[str, list[Clause]] = {}

    async def answer(self, call: Call) -> Reply | None:
        """The first answer that a clause has for a call that it knows already."""
        for clause in self._concerned:
            if clause.concerns(call) and (answer := await clause.answer(call)) is not None:
                return answer
        return None

    async def promises(self, permit: Permit, revision: ActiveRevision) -> list[Promise]:
        """The promises of those that bind. Raises what they raise, after the others were told."""
        bound: list[Clause] = []
        promises: list[Promise] = []
        for clause in self.every:
            if clause.binds(permit):
                if not bound:
                    self._bound[permit.labelled.call.call_id] = bound
                bound.append(clause)
                try:
                    promises.append(await clause.promise(permit, revision))
                except BaseException:
                    self.lapse(permit)
                    raise
        return promises

    def of(self, call_id: str) -> Sequence[Clause]:
        """Those that bind a call whose intent was made here."""
        return self._bound.get(call_id, ())

    def lapse(self, permit: Permit) -> None:
        """Its intent was not made."""
        for clause in self._bound.pop(permit.labelled.call.call_id, ()):
            clause.lapsed(permit)

    def conclude(self, permit: Permit, reply: Reply) -> None:
        """Its outcome is durable."""
        for clause in self._bound.pop(permit.labelled.call.call_id, ()):
            clause.concluded(permit, reply)


def named(call: Call) -> str:
    """`server/name` as the caller wrote it, before it is known whether there is such a tool."""
    server, name = call.server, call.target
    if not server:
        server, _, name = name.partition(SEPARATOR)
    return f"{server}/{name}"
