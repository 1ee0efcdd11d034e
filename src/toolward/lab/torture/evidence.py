"""What callers, witness and log say of the same calls, and every way in which they may not disagree. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from toolward.model.event import EventKind

WRITE = "write"
READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A reply that a caller got, with the place its receipt names. `code` is "" for a tool's own answer."""

    key: str
    tool: str
    code: str
    index: int
    leaf: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the witness saw, and when by the machine's clock."""

    key: str
    tool: str
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One audit record. `key` is read from its stored arguments, "" if it has none."""

    index: int
    leaf: bytes
    kind: str
    call_id: str = ""
    key: str = ""
    time_us: int = 0
    status: str = ""
    settled_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known after the last restart. `unanswered` are keys whose callers never heard back."""

    log: Sequence[Logged]
    effects: Sequence[Effect]
    acknowledged: Sequence[Acknowledged]
    unanswered: frozenset[str] = frozenset()
    open_intents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """A promise that was broken, and the first thing to look at."""

    rule: str
    text: str


LOST = "no acknowledged record is lost"
NO_INTENT = "no effect without an intent before it"
UNSETTLED = "every intent is settled exactly once"
TWICE = "no effect happens twice"
UNFOUNDED = "no success is told that did not happen"
UNRECORDED_READ = "a read without a record was in flight at a kill"
RULES = (LOST, NO_INTENT, UNSETTLED, TWICE, UNFOUNDED, UNRECORDED_READ)


@dataclass(slots=True)
class Figures:
    """What was counted on the way."""

    intents: int = 0
    unknown: int = 0
    unrecorded_reads: int = 0
    violations: list[Violation] = field(default_factory=list)


def judge_evidence(evidence: Evidence) -> Figures:
    """Compare everything with everything. No violation means that all rules hold."""
    found = Figures()
    found.violations += lost_records(evidence)
    found.violations += effects_without_intent(evidence)
    found.violations += unsettled(evidence)
    found.violations += repeated_effects(evidence)
    found.violations += unfounded_replies(evidence)
    unrecorded = unrecorded_reads(evidence)
    found.unrecorded_reads = len(unrecorded)
    found.violations += [
        Violation(UNRECORDED_READ, f"read `{key}` was answered, or refused, and has no record")
        for key in sorted(unrecorded - evidence.unanswered)
    ]
    found.intents = sum(each.kind == EventKind.CALL_INTENT for each in evidence.log)
    found.unknown = sum(
        each.kind == EventKind.CALL_OUTCOME and each.status == "unknown" for each in evidence.log
    )
    return found


def lost_records(evidence: Evidence) -> Iterator[Violation]:
    """Every receipt names a record that is there, and the same."""
    for reply in evidence.acknowledged:
        if reply.index >= len(evidence.log):
            yield Violation(LOST, f"`{reply.key}`: record {reply.index} is not in the log")
        elif (stored := evidence.log[reply.index]).leaf != reply.leaf or stored.index != reply.index:
            yield Violation(LOST, f"`{reply.key}`: record {reply.index} is another one")


def effects_without_intent(evidence: Evidence) -> Iterator[Violation]:
    """Every write that the witness saw was promised in the log before."""
    intents = {each.key: each for each in evidence.log if each.kind == EventKind.CALL_INTENT}
    for effect in evidence.effects:
        if effect.tool != WRITE:
            continue
        intent = intents.get(effect.key)
        if intent is None:
            yield Violation(NO_INTENT, f"write `{effect.key}` happened and has no intent")
        elif intent.time_us > effect.time_us:
            yield Violation(NO_INTENT, f"write `{effect.key}` happened before its intent")


def unsettled(evidence: Evidence) -> Iterator[Violation]:
    """One intent, one outcome after it, and nothing left open."""
    intents = {each.call_id: each for each in evidence.log if each.kind == EventKind.CALL_INTENT}
    outcomes: Counter[str] = Counter()
    for each in evidence.log:
        if each.kind != EventKind.CALL_OUTCOME:
            continue
        outcomes[each.call_id] += 1
        intent = intents.get(each.call_id)
        if intent is None or intent.index >= each.index:
            yield Violation(UNSETTLED, f"record {each.index} is an outcome without an intent before it")
    for call_id, intent in intents.items():
        if outcomes[call_id] != 1:
            yield Violation(UNSETTLED, f"intent {intent.index} has {outcomes[call_id]} outcomes")
    for call_id in evidence.open_intents:
        yield Violation(UNSETTLED, f"the intent of call {call_id} is still open")


def repeated_effects(evidence: Evidence) -> Iterator[Violation]:
    """Keys are unique, so each is seen once: nothing is tried again blindly."""
    for key, times in Counter(effect.key for effect in evidence.effects).items():
        if times > 1:
            yield Violation(TWICE, f"`{key}` happened {times} times")


def unfounded_replies(evidence: Evidence) -> Iterator[Violation]:
    """Whoever was told that it happened was told the truth."""
    seen = {effect.key for effect in evidence.effects}
    for reply in evidence.acknowledged:
        if not reply.code and reply.key not in seen:
            yield Violation(UNFOUNDED, f"`{reply.key}` was answered and never happened")


def unrecorded_reads(evidence: Evidence) -> set[str]:
    """Reads that the witness saw and the log does not hold: what merging intent and outcome can lose."""
    recorded = {each.key for each in evidence.log if each.kind == EventKind.CALL_MERGED}
    return {each.key for each in evidence.effects if each.tool == READ and each.key not in recorded}
