"""What people are shown of circuits, lanes and retry budgets."""

from __future__ import annotations

from typing import Any

from toolward.kernel.resilience.breaker import EVERYBODY, Breaker
from toolward.kernel.resilience.lanes import Lane, ServerLane
from toolward.model.resilience import Circuit, Limits, Phase
from toolward.rules.resilience.circuit import CALLS_JUDGED, wait_s
from toolward.rules.resilience.retrying import earned, left


def row(
    key: str, *, limits: Limits, lane: Lane | ServerLane | None, breaker: Breaker | None, now_ns: int
) -> dict[str, Any]:
    """One server or tool. `retries_left` is of servers only; circuits of single callers are in `callers`."""
    circuits = breaker.circuits if breaker is not None else {}
    out: dict[str, Any] = {
        "key": key,
        **_circuit(circuits.get(EVERYBODY, Circuit()), now_ns),
        "callers": [
            {"caller": whom, **_circuit(circuit, now_ns)}
            for whom, circuit in circuits.items()
            if whom and circuit.phase is not Phase.CLOSED
        ],
        "in_flight": len(lane.running) if lane is not None else 0,
        "in_flight_max": limits.in_flight,
        "queue_max": limits.queue,
    }
    if isinstance(lane, ServerLane):
        budget = earned(lane.budget, calls=lane.calls, now_ns=now_ns, percent=limits.retry_percent)
        out |= {"waiting": len(lane.waiting), "calls": lane.calls, "retries_left": left(budget)}
    elif lane is not None:
        out["waiting"] = lane.queued()
    return out


def _circuit(circuit: Circuit, now_ns: int) -> dict[str, Any]:
    out: dict[str, Any] = {
        "circuit": circuit.phase.value,
        "failed": circuit.outcomes.bit_count(),
        "of": CALLS_JUDGED,
    }
    if circuit.phase is not Phase.CLOSED:
        out["retry_after_s"] = wait_s(circuit, now_ns)
    return out
