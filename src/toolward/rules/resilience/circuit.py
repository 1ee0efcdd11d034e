"""The circuit breaker: closed, open, half-open, closed again.

Envoy's numbers, adapted: five failures in a row open it, for 30 s times the number of openings, at most
300 s; each healthy 10 s take one opening off that count. Envoy also ejects a host at 85 % of at least 50
requests, as it has others to send them to; here there is one server, so half of the last twenty is enough.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from toolward.model.resilience import Circuit, Limits, Phase

CALLS_JUDGED: Final = 20
"""Calls that are remembered, and the least number that a percentage is taken of."""
_REMEMBERED: Final = (1 << CALLS_JUDGED) - 1
_SECOND: Final = 1_000_000_000
HEALTHY_NS: Final = 10 * _SECOND
"""So long without opening takes one opening off the count."""
SPREAD: Final = 0.1
"""By how much of it an opening is longer at most, so that gateways do not come back all at once."""


def after(
    circuit: Circuit, *, failed: bool, now_ns: int, limits: Limits, chance: float, may_open: bool = True
) -> Circuit:
    """The circuit after one call. `chance` is a number from 0 to 1; without `may_open` it only remembers.

    A call that was under way when the circuit opened changes nothing.
    """
    match circuit.phase:
        case Phase.OPEN:
            return circuit
        case Phase.HALF_OPEN if failed:
            return _opened(circuit, now_ns=now_ns, limits=limits, chance=chance)
        case Phase.HALF_OPEN:
            return Circuit(opened=circuit.opened, closed_ns=now_ns)
        case Phase.CLOSED:
            seen = replace(circuit, outcomes=(circuit.outcomes << 1 | failed) & _REMEMBERED)
            if failed and may_open and _is_enough(seen.outcomes, limits):
                return _opened(seen, now_ns=now_ns, limits=limits, chance=chance)
            return seen


def let_in(circuit: Circuit, now_ns: int) -> bool:
    """Whether a call may go through: while closed, and as the one on trial once it was open long enough."""
    return circuit.phase is Phase.CLOSED or (circuit.phase is Phase.OPEN and now_ns >= circuit.until_ns)


def on_trial(circuit: Circuit) -> Circuit:
    """The circuit while one call finds out; a closed one stays closed."""
    return circuit if circuit.phase is Phase.CLOSED else replace(circuit, phase=Phase.HALF_OPEN)


def undecided(circuit: Circuit, now_ns: int) -> Circuit:
    """A trial ended without saying anything of the server: the next call is on trial."""
    if circuit.phase is not Phase.HALF_OPEN:
        return circuit
    return replace(circuit, phase=Phase.OPEN, until_ns=now_ns)


def wait_s(circuit: Circuit, now_ns: int) -> int:
    """Whole seconds until it is worth asking again, at least one."""
    left = circuit.until_ns - now_ns if circuit.phase is Phase.OPEN else 0
    return max(1, -(-left // _SECOND))


def is_forgotten(circuit: Circuit, now_ns: int) -> bool:
    """Whether nothing is left that is worth remembering."""
    return circuit.phase is Phase.CLOSED and not circuit.outcomes and not _openings(circuit, now_ns)


def _is_enough(outcomes: int, limits: Limits) -> bool:
    row = (1 << min(limits.failures, CALLS_JUDGED)) - 1
    return outcomes & row == row or outcomes.bit_count() * 100 >= limits.failed_percent * CALLS_JUDGED


def _opened(circuit: Circuit, *, now_ns: int, limits: Limits, chance: float) -> Circuit:
    times = _openings(circuit, now_ns) + 1
    seconds = min(limits.open_s * times, max(limits.open_s, limits.open_max_s))
    until_ns = now_ns + int(seconds * (1 + SPREAD * chance) * _SECOND)
    return Circuit(outcomes=circuit.outcomes, phase=Phase.OPEN, until_ns=until_ns, opened=times)


def _openings(circuit: Circuit, now_ns: int) -> int:
    """Openings that still count. A trial that fails follows an opening at once, so all of them do."""
    if circuit.phase is Phase.HALF_OPEN:
        return circuit.opened
    return max(0, circuit.opened - (now_ns - circuit.closed_ns) // HEALTHY_NS)
