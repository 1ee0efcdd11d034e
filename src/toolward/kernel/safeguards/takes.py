"""Takes: which calls take a resource now, and which rows are there only for as long as such calls run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from toolward.model.call import Failed, RawOutcome, Stopped


@dataclass(eq=False, slots=True)
class Take:
    """What a call takes. `passes`: nothing of it can be undone, so it takes it only while it runs."""

    owner: str
    resources: tuple[str, ...]
    passes: bool
    ending: tuple[str, ...] = ()  # whose rows go in the commit of its outcome


class Takes:
    """Of each call between its promise and its outcome; a pair is (session, resource)."""

    def __init__(self) -> None:
        self._of: dict[str, Take] = {}
        self._now: Counter[tuple[str, str]] = Counter()  # pair -> calls that take it now
        self._closing: Counter[tuple[str, str]] = Counter()  # pair -> those whose outcome is being written
        self._passing: set[tuple[str, str]] = set()  # pairs that were taken only for the time of calls
        self._ending: set[tuple[str, str]] = set()  # pairs whose row is being deleted

    def begin(self, call_id: str, take: Take, fresh: list[str]) -> None:
        """`fresh` is what was not its session's before."""
        self._of[call_id] = take
        self._now.update((take.owner, resource) for resource in take.resources)
        if take.passes:
            self._passing.update((take.owner, resource) for resource in fresh)

    def close(self, call_id: str, outcome: RawOutcome) -> tuple[str, ...]:
        """Its outcome is about to be written: the resources whose rows go with it.

        The last of overlapping calls lets go, whichever took it first; unless one of them may have done
        what can be undone, or left it open whether it did anything.
        """
        take = self._of.get(call_id)
        if take is None:
            return ()
        pairs = [(take.owner, resource) for resource in take.resources]
        self._closing.update(pairs)
        never_ran = isinstance(outcome, Failed) and not outcome.from_server
        if isinstance(outcome, Stopped) or not (take.passes or never_ran):
            self._passing.difference_update(pairs)
        ending = [pair for pair in pairs if pair in self._passing and self._now[pair] == self._closing[pair]]
        self._ending.update(ending)
        take.ending = tuple(resource for _, resource in ending)
        return take.ending

    def end(self, call_id: str) -> Take | None:
        """It is over: its outcome is durable, or its intent was not made."""
        take = self._of.pop(call_id, None)
        if take is None:
            return None
        pairs = [(take.owner, resource) for resource in take.resources]
        self._now.subtract(pairs)
        self._closing.subtract(pairs)
        self._now += Counter()  # what has come to nought goes
        self._closing += Counter()
        gone = {(take.owner, resource) for resource in take.ending}
        self._ending -= gone
        self._passing -= gone
        return take

    def forget(self, owner: str, resource: str) -> None:
        """There is no such row."""
        self._passing.discard((owner, resource))

    def taker(self, resource: str, *, besides: str = "") -> str:
        """A session, besides that one, whose call takes it now; "" if none does."""
        taking = (owner for owner, name in self._now if name == resource and owner != besides)
        return next(taking, "")

    def is_taking(self, owner: str) -> bool:
        """Whether any call of that session takes anything now."""
        return any(session == owner for session, _ in self._now)

    def is_ending(self, owner: str, resource: str) -> bool:
        """Whether the row is being deleted, so that nobody may count on it."""
        return (owner, resource) in self._ending

    def is_left(self, owner: str, resource: str) -> bool:
        """Whether the row stayed from a call that is over and needs it no more."""
        return (owner, resource) in self._passing and not self._now[owner, resource]
