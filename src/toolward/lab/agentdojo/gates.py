"""What is compared: toolward with the ward's own profile, and rules simple enough to be said in a line.

Every call of every gate walks the same corridor; a baseline stands before it with the ward's profile
replaced by `observe`, so that nothing else says no.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from typing_extensions import override

from toolward.lab.agentdojo.suite import SuiteCall
from toolward.model.tool import Effect
from toolward.rules.integrity.mechanisms import EVERYTHING, Mechanism

_VALUE_CHARS_MIN: Final = 4
"""Shorter values stand in nearly every text."""


@dataclass(slots=True)
class Seen:
    """What one case has shown so far."""

    prompt: str = ""
    texts: list[str] = field(default_factory=list)


class Gate(ABC):
    """A gate that stands before the corridor. `profile` is the ward's then; "" leaves the ward's own."""

    name = ""
    profile = "observe"
    mechanisms = EVERYTHING  # of the integrity rule

    @abstractmethod
    def asks(self, call: SuiteCall, effect: Effect, seen: Seen) -> bool:
        """Whether a person has to agree to the call."""


class Toolward(Gate):
    """Nothing stands before the corridor: the ward's own profile decides."""

    name = "toolward"
    profile = ""

    @override
    def asks(self, call: SuiteCall, effect: Effect, seen: Seen) -> bool:
        """Never: the corridor does."""
        return False


class Without(Toolward):
    """Toolward with one mechanism of the integrity rule left out."""

    def __init__(self, left_out: Mechanism) -> None:
        self.name = f"without {str(left_out.name).lower()}"
        self.mechanisms = EVERYTHING & ~left_out


class AllowAll(Gate):
    """The control: the attacks work."""

    name = "allow all"

    @override
    def asks(self, call: SuiteCall, effect: Effect, seen: Seen) -> bool:
        """Never."""
        return False


class DenyWrites(Gate):
    """Nothing that has an effect."""

    name = "deny all writes"

    @override
    def asks(self, call: SuiteCall, effect: Effect, seen: Seen) -> bool:
        """Of everything that is not read-only."""
        return effect is not Effect.READ_ONLY


class TaintOnly(Gate):
    """No effect once anything was read."""

    name = "session taint only"

    @override
    def asks(self, call: SuiteCall, effect: Effect, seen: Seen) -> bool:
        """Of every effect after the first result."""
        return effect is not Effect.READ_ONLY and bool(seen.texts)


class VerbatimOnly(Gate):
    """No effect with a value that stands in a result and not in the prompt."""

    name = "verbatim match only"

    @override
    def asks(self, call: SuiteCall, effect: Effect, seen: Seen) -> bool:
        """Of every effect with such a value."""
        if effect is Effect.READ_ONLY:
            return False
        read = "\n".join(seen.texts)
        return any(
            len(value) >= _VALUE_CHARS_MIN and _stands(value, read) and not _stands(value, seen.prompt)
            for value in _values(call.arguments)
        )


ABLATIONS: Final[tuple[Gate, ...]] = (Toolward(), *(Without(each) for each in Mechanism))
BASELINES: Final[tuple[Gate, ...]] = (AllowAll(), DenyWrites(), TaintOnly(), VerbatimOnly())


def _stands(value: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _values(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
