"""How much slower this machine is just now than the quiet one that the budgets of single steps are of.

What is measured is a decision that is nothing but `cedarpy`: one policy, an empty context, everything parsed
before. It is native code and Python's conversions in equal parts, as labelling and deciding are, and nothing
of toolward is in it.
"""

from __future__ import annotations

import time
from typing import Final

import cedarpy

from toolward.lab.report import Row

QUIET_US: Final = 42.0
"""Its thread CPU on the quiet machine."""
_CALLS = 1_000
_ROUNDS = 9


class Slowness:
    """The best of what was seen counts, so that what is scaled by it is not flattered."""

    def __init__(self) -> None:
        """Look once."""
        self._policies = cedarpy.PolicySet.from_str("permit(principal, action, resource);")
        self._entities = cedarpy.Entities.from_json_str("[]")
        self._best = float("inf")
        self.look()

    @property
    def times(self) -> float:
        """How many times the quiet machine's CPU the same work takes here."""
        return self._best / QUIET_US

    def look(self) -> None:
        """Measure again: machines change from minute to minute."""
        question = {
            "principal": 'User::"u"',
            "action": 'Action::"a"',
            "resource": 'Server::"s"',
            "context": {},
        }
        for _ in range(_ROUNDS):
            start = time.thread_time_ns()
            for _ in range(_CALLS):
                cedarpy.is_authorized(question, self._policies, self._entities)
            self._best = min(self._best, (time.thread_time_ns() - start) / _CALLS / 1_000)

    def row(self) -> Row:
        """For the report."""
        return Row(
            "a bare cedarpy decision, which takes 42 us on the quiet machine", round(self._best, 1), "us"
        )

    def judged(self, what: str, figure: float, goal: float, unit: str = "us") -> list[Row]:
        """What was measured, and what it would be on the quiet machine, which is what the goal is for."""
        scaled, digits = figure / self.times, 1 if unit == "us" else 2
        return [
            Row(what, round(figure, digits), unit),
            Row(
                f"{what}, on the quiet machine's scale",
                round(scaled, digits),
                unit,
                f"<= {goal:g}",
                scaled <= goal,
            ),
        ]
