"""What a session did so far, as policies may ask: kept as calls are let through, recomputed from the log.

`History` changes; everything that reads it for a decision does so in one turn, with nothing that waits in
between (`Sessions.let_through`), so two calls at once can not pass one bound together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from typing_extensions import override

from toolward.model.call import ResolvedCall
from toolward.model.label import Integrity, Label
from toolward.model.signal import NOTHING_TOLD, HistoryFacts, Telling
from toolward.model.tool import ArgumentKind
from toolward.rules.lineage.index import Index
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.telling.earlier import Earlier

PLACES_MAX: Final = 10_000
"""Destinations of a session that are told apart; past it each counts as a new one."""
AMOUNT_CHARS_MAX: Final = 40
"""Of an amount written as text; what is longer is no amount."""
TOLD_MAX: Final = 4_000
"""Stems of what one server was told that are known; what is past it counts as told for the first time."""
_SECOND_NS: Final = 1_000_000_000
_NOTHING: Final = Decimal(0)
_AMOUNT: Final = ArgumentKind.AMOUNT


@dataclass(slots=True)
class History:
    """One session's. Destinations are keyed digests, as in the log."""

    tools: dict[str, int] = field(default_factory=dict)
    amount: Decimal | None = _NOTHING  # None once one could not be read
    places: set[str] = field(default_factory=set)
    beyond: int = 0  # destinations that were not told apart any more
    labels: set[str] = field(default_factory=set)
    untrusted_ns: int = 0
    call_ns: int = 0
    in_flight: int = 0
    version: int = 0
    unexplained: dict[str, int] = field(default_factory=dict)  # bits, by server
    told: dict[str, set[str]] = field(default_factory=dict)  # by server; not in the log
    answered_by: dict[str, set[str]] = field(default_factory=dict)  # server -> calls that left by it
    earlier: dict[str, Earlier] = field(default_factory=dict)  # what may be told to each server

    def tells(self, telling: Telling, *, agreed: bool) -> None:
        """What a call that was let through tells its server; what people `agreed` to costs nothing."""
        if telling.bits and not agreed:
            self.unexplained[telling.server] = self.unexplained.get(telling.server, 0) + telling.bits
        known = self.told.setdefault(telling.server, set())
        if len(known) + len(telling.words) <= TOLD_MAX:
            known |= telling.words

    def answers(self, server: str, call_id: str) -> None:
        """A call with egress, after a confidential read: whoever runs its server answers it."""
        calls = self.answered_by.setdefault(server, set())
        if len(calls) < PLACES_MAX:
            calls.add(call_id)

    def earlier_of(self, index: Index, server: str, *, whole: bool) -> Earlier:
        """What of the session's results may explain what that server is told."""
        earlier = self.earlier.get(server)
        if earlier is None or not earlier.is_of(index):
            earlier = self.earlier[server] = Earlier(index)
        return earlier.read(self.answered_by.get(server, ()), whole=whole)

    def let_through(self, tool: str, *, amount: Decimal | None, places: Iterable[str], now_ns: int) -> None:
        """One more call; `tool` is "" for what is no tool."""
        self.version += 1
        self.in_flight += 1
        self.call_ns = now_ns
        if tool:
            self.tools[tool] = self.tools.get(tool, 0) + 1
        if amount is None or self.amount is None:
            self.amount = None
        elif amount:
            self.amount += amount
        for place in places:
            if len(self.places) < PLACES_MAX or place in self.places:
                self.places.add(place)
            else:
                self.beyond += 1

    def saw(self, label: Label, now_ns: int) -> None:
        """A result under that label reached the agent."""
        self.labels.update(label.as_json().values())
        if label.integrity is Integrity.UNTRUSTED:
            self.untrusted_ns = max(self.untrusted_ns, now_ns)


def recalled(calls: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Any]]) -> History:
    """The history that the log tells: `calls` are intents and merged records, `answers` what came back.

    Each holds `at_ns`, the time of its record, beside what was written. Nothing is in flight after a restart.
    """
    history = History()
    for said in calls:
        history.let_through(
            str(said.get("tool", "")) if said.get("version") else "",
            amount=_recorded(said.get("amount", "0")),
            places=said.get("to", ()),
            now_ns=max(history.call_ns, said["at_ns"]),
        )
        if bits := said.get("unexplained", 0):
            server = str(said.get("tool", "")).partition("/")[0]
            history.unexplained[server] = history.unexplained.get(server, 0) + bits
    for said in answers:
        label = said.get("source") or said.get("taint")  # records of earlier versions have the taint only
        if label:
            history.saw(Label.from_json(label), said["at_ns"])
    history.in_flight = 0
    return history


def _recorded(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def amount_of(resolved: ResolvedCall) -> Decimal | None:
    """The sum of the arguments that the manifest calls amounts, without their signs.

    None if one is no number: a text may be, `"12.50"`. A sign would let a refund make room for a payment.
    """
    version = resolved.version
    if version is None:
        return _NOTHING
    declared = version.manifest.arguments
    named = [name for name, each in declared.items() if each.kind is _AMOUNT]
    total = _NOTHING
    for name in named:
        for _, value in leaves_of(resolved.call.arguments.get(name)):
            if value is None:
                continue
            amount = _number(value)
            if amount is None:
                return None
            total += amount
    return total


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = repr(value) if not isinstance(value, str) else value.strip()
    try:
        number = Decimal(text) if len(text) <= AMOUNT_CHARS_MAX else None
    except InvalidOperation:
        return None
    return abs(number) if number is not None and number.is_finite() else None


class CallHistory(HistoryFacts):
    """`HistoryFacts` for one call: read late, and it knows whether anybody did."""

    __slots__ = (
        "_history",
        "_now_ns",
        "_opened_ns",
        "_places",
        "_read",
        "_resolved",
        "_tell",
        "_telling",
        "_version",
    )

    def __init__(
        self,
        history: History,
        resolved: ResolvedCall,
        *,
        opened_ns: int,
        now_ns: Callable[[], int],
        places: Callable[[], Iterable[str]],
        tell: Callable[[], Telling] | None,
    ) -> None:
        """`places` gives the digests of where the call itself goes, `tell` what it tells; None if nothing."""
        self._history = history
        self._resolved = resolved
        self._opened_ns = opened_ns
        self._now_ns = now_ns
        self._places = places
        self._tell = tell
        self._telling = NOTHING_TOLD
        self._version = history.version
        self._read = False

    @property
    @override
    def read(self) -> bool:
        return self._read

    @property
    @override
    def version(self) -> int:
        return self._version

    def _asked(self) -> History:
        self._read = True
        return self._history

    @property
    @override
    def tools(self) -> tuple[str, ...]:
        return tuple(sorted(self._asked().tools))

    @property
    @override
    def tool_calls(self) -> int:
        version = self._resolved.version
        history = self._asked()
        return history.tools.get(version.key, 0) if version is not None else 0

    @property
    @override
    def in_flight(self) -> int:
        return self._asked().in_flight

    @property
    @override
    def amount(self) -> Decimal | None:
        before, own = self._asked().amount, amount_of(self._resolved)
        return None if before is None or own is None else before + own

    @property
    @override
    def destinations(self) -> int:
        history = self._asked()
        return len(history.places.union(self._places())) + history.beyond

    @property
    @override
    def labels_read(self) -> tuple[str, ...]:
        return tuple(sorted(self._asked().labels))

    @property
    @override
    def unexplained(self) -> int:
        if self._tell is None:
            return 0  # and the decision does not stand on the history
        if self._telling is NOTHING_TOLD:
            self._telling = self._tell()
        return self._asked().unexplained.get(self._telling.server, 0) + self._telling.bits

    @property
    @override
    def telling(self) -> Telling:
        return self._telling

    @property
    @override
    def since_opened_s(self) -> int:
        return self._since(self._opened_ns)

    @property
    @override
    def since_untrusted_s(self) -> int | None:
        at_ns = self._asked().untrusted_ns
        return self._since(at_ns) if at_ns else None

    @property
    @override
    def since_call_s(self) -> int | None:
        at_ns = self._asked().call_ns
        return self._since(at_ns) if at_ns else None

    def _since(self, at_ns: int) -> int:
        return max(0, (self._now_ns() - at_ns) // _SECOND_NS)
