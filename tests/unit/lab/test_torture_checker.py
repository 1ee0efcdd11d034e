"""The controls of `make torture`: doctored evidence, each piece of which its checker must find."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.lab.torture import evidence as ev
from toolward.lab.torture.evidence import Acknowledged, Effect, Evidence, Logged, judge_evidence
from toolward.lab.torture.gather import (
    BAD_RECEIPT,
    INCONSISTENT,
    Answer,
    acknowledged_of,
    bad_exports,
    bad_proofs,
    read_log,
)
from toolward.model.event import Event, EventKind


def leaf(index: int) -> bytes:
    return bytes([index]) * 32


def logged(index: int, kind: EventKind, call_id: str, key: str = "", status: str = "") -> Logged:
    return Logged(
        index=index,
        leaf=leaf(index),
        kind=kind.value,
        call_id=call_id,
        key=key,
        time_us=index * 10,
        status=status,
    )


SOUND = Evidence(
    log=(
        logged(0, EventKind.CALL_INTENT, "c1", "w1"),
        logged(1, EventKind.CALL_OUTCOME, "c1", status="returned"),
        logged(2, EventKind.CALL_MERGED, "c2", "r1"),
        logged(3, EventKind.CALL_INTENT, "c3", "w2"),
        logged(4, EventKind.CALL_OUTCOME, "c3", status="unknown"),
    ),
    effects=(
        Effect(key="w1", tool=ev.WRITE, time_us=5),
        Effect(key="r1", tool=ev.READ, time_us=15),
        Effect(key="r2", tool=ev.READ, time_us=16),
        Effect(key="w2", tool=ev.WRITE, time_us=35),
    ),
    acknowledged=(
        Acknowledged(key="w1", tool=ev.WRITE, code="", index=1, leaf=leaf(1)),
        Acknowledged(key="r1", tool=ev.READ, code="", index=2, leaf=leaf(2)),
    ),
    unanswered=frozenset({"w2", "r2"}),
)


def broken(evidence: Evidence) -> set[str]:
    return {each.rule for each in judge_evidence(evidence).violations}


def test_sound_evidence_breaks_no_rule_and_is_counted() -> None:
    figures = judge_evidence(SOUND)
    assert figures.violations == []
    assert (figures.intents, figures.unknown, figures.unrecorded_reads) == (2, 1, 1)


def test_an_effect_without_an_intent_is_found() -> None:
    ghost = Effect(key="ghost", tool=ev.WRITE, time_us=1)
    assert broken(replace(SOUND, effects=(*SOUND.effects, ghost))) == {ev.NO_INTENT}


def test_an_effect_before_its_intent_is_found() -> None:
    early = replace(SOUND.effects[3], time_us=29)
    assert broken(replace(SOUND, effects=(*SOUND.effects[:3], early))) == {ev.NO_INTENT}


@pytest.mark.parametrize("index", [2, 9])
def test_a_lost_acknowledged_record_is_found(index: int) -> None:
    lost = Acknowledged(key="w1", tool=ev.WRITE, code="", index=index, leaf=leaf(1))
    assert broken(replace(SOUND, acknowledged=(lost,))) == {ev.LOST}


def test_a_second_outcome_is_found() -> None:
    second = logged(5, EventKind.CALL_OUTCOME, "c1", status="unknown")
    assert broken(replace(SOUND, log=(*SOUND.log, second))) == {ev.UNSETTLED}


def test_an_intent_that_nobody_settled_is_found() -> None:
    assert broken(replace(SOUND, log=SOUND.log[:4])) == {ev.UNSETTLED}
    assert broken(replace(SOUND, open_intents=("c3",))) == {ev.UNSETTLED}


def test_an_outcome_without_an_intent_is_found() -> None:
    stray = logged(5, EventKind.CALL_OUTCOME, "c9", status="returned")
    assert broken(replace(SOUND, log=(*SOUND.log, stray))) == {ev.UNSETTLED}


def test_an_effect_that_happened_twice_is_found() -> None:
    assert broken(replace(SOUND, effects=(*SOUND.effects, SOUND.effects[0]))) == {ev.TWICE}


def test_a_success_that_never_happened_is_found() -> None:
    assert broken(replace(SOUND, effects=SOUND.effects[1:])) == {ev.UNFOUNDED}


def test_a_read_without_a_record_that_was_answered_is_found() -> None:
    assert broken(replace(SOUND, unanswered=frozenset({"w2"}))) == {ev.UNRECORDED_READ}


async def two_answers() -> tuple[MemoryStore, list[Answer]]:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    answers = []
    for number in range(2):
        event = Event(
            event_id=f"e{number}",
            time_ns=number,
            kind=EventKind.CALL_INTENT,
            call_id=f"c{number}",
            payloads={"arguments": orjson.dumps({"key": f"k{number}"})},
        )
        (receipt,) = await store.commit([event])
        answers.append(Answer(key=f"k{number}", tool=ev.WRITE, code="", receipt=receipt.as_json()))
    return store, answers


async def test_true_receipts_pass_and_name_their_keys(tmp_path: Path) -> None:
    store, answers = await two_answers()
    log = read_log(store)
    assert [each.key for each in log] == ["k0", "k1"]
    assert bad_proofs(answers, log, store.verifier_key()) == []
    assert [each.index for each in acknowledged_of(answers)] == [0, 1]
    assert bad_exports(store, answers, random.Random(1), tmp_path) == (3, [])


async def test_a_forged_proof_a_missing_receipt_and_a_rewritten_log_are_found(tmp_path: Path) -> None:
    store, answers = await two_answers()
    log = read_log(store)
    assert answers[1].receipt
    zeros = base64.b64encode(bytes(32)).decode()
    forged = replace(answers[1], receipt={**answers[1].receipt, "proof": [zeros]})
    bare = replace(answers[1], receipt=None)
    key = store.verifier_key()
    assert {each.rule for each in bad_proofs([forged], log, key)} == {BAD_RECEIPT}
    assert {each.rule for each in bad_proofs([bare], log, key)} == {BAD_RECEIPT}
    rewritten = [replace(log[0], leaf=bytes(32)), log[1]]
    assert {each.rule for each in bad_proofs(answers, rewritten, key)} == {INCONSISTENT}
    assert {each.rule for each in bad_proofs(answers, log[:1], key)} == {INCONSISTENT}
