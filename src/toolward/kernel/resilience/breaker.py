"""The circuits of one tool or one server: one for everybody, and one for each caller whose own calls fail.

A caller whose arguments make a tool fail must not be able to take it from the others; so what one caller sees
fail opens that caller's circuit, and only what several see fail opens everybody's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from toolward.model.resilience import Circuit, Limits, Phase
from toolward.rules.resilience.circuit import after, is_forgotten, let_in, on_trial, undecided
from toolward.rules.resilience.voices import VOICES_HEARD, is_shared

EVERYBODY = ""
"""In place of a caller's credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A circuit that was opened or closed."""

    key: str
    whom: str
    circuit: Circuit
    by: str = ""  # the person who closed it


class Breaker:
    """Exists from a failure until nothing is left to remember."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.circuits: dict[str, Circuit] = {}
        self._voices: deque[str] = deque(maxlen=VOICES_HEARD)

    def refusing(self, caller: str, now_ns: int) -> tuple[str, Circuit] | None:
        """The circuit that keeps this caller out, and whose it is."""
        for whom in (EVERYBODY, caller):
            circuit = self.circuits.get(whom)
            if circuit is not None and not let_in(circuit, now_ns):
                return whom, circuit
        return None

    def begin_trial(self, caller: str) -> bool:
        """A call goes through; whether it is on trial for a circuit that was open."""
        trial = False
        for whom in (EVERYBODY, caller):
            circuit = self.circuits.get(whom)
            if circuit is not None and circuit.phase is not Phase.CLOSED:
                self.circuits[whom], trial = on_trial(circuit), True
        return trial

    def end_trial(self, caller: str, now_ns: int) -> None:
        """The call that was on trial ended and said nothing."""
        for whom in (EVERYBODY, caller):
            if (circuit := self.circuits.get(whom)) is not None:
                self.circuits[whom] = undecided(circuit, now_ns)

    def ended(
        self, caller: str, *, failed: bool, trial: bool, now_ns: int, limits: Limits, chance: float
    ) -> list[Turn]:
        """What a call's end turned. `EVERYBODY` as caller is the gateway itself, whose word is enough."""
        if failed:
            self._voices.append(caller)
        turns = []
        for whom in dict.fromkeys((EVERYBODY, caller)):
            before = self.circuits.get(whom, Circuit())
            if before.phase is Phase.HALF_OPEN and not trial:
                continue  # it began before the circuit opened
            trusted = bool(whom) or not caller or is_shared(tuple(self._voices))
            now = after(before, failed=failed, now_ns=now_ns, limits=limits, chance=chance, may_open=trusted)
            self.circuits[whom] = now
            if (before.phase is Phase.CLOSED) != (now.phase is Phase.CLOSED) or (
                before.phase is Phase.HALF_OPEN and now.phase is Phase.OPEN
            ):
                turns.append(Turn(key=self.key, whom=whom, circuit=now))
        for whom in [each for each, circuit in self.circuits.items() if is_forgotten(circuit, now_ns)]:
            del self.circuits[whom]
        return turns

    def close(self, by: str) -> list[Turn]:
        """Close every circuit that is not closed, on a person's word."""
        turns = [
            Turn(key=self.key, whom=whom, circuit=Circuit(), by=by)
            for whom, circuit in self.circuits.items()
            if circuit.phase is not Phase.CLOSED
        ]
        self.circuits.clear()
        self._voices.clear()
        return turns
