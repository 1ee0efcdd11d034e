"""What a session remembers of its results, within which bounds, and what is made of it."""

from __future__ import annotations

import pytest
from tests.laws.test_lineage_laws import found, read, traced

from toolward.model.label import UNKNOWN, Confidentiality, Integrity, Label
from toolward.model.lineage import How, SourceKind
from toolward.model.tool import Manifest
from toolward.rules.lineage import index, probe
from toolward.rules.lineage.atoms import keys_in, spelled, spelled_whole, tokens_of
from toolward.rules.lineage.edges import EDGES_MAX, edges_from_json, edges_to_json
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.remember import index_waiting, remember_result
from toolward.rules.lineage.spelling import canonical_text
from toolward.rules.lineage.views import VIEW_CHARS_MAX, VIEWS_MAX, views_of

SECRET = Label(Integrity.TRUSTED, Confidentiality.CONFIDENTIAL)
TRUSTED = Label(Integrity.TRUSTED, Confidentiality.INTERNAL)


def key_of(text: str) -> set[str]:
    canonical = canonical_text(text)
    return {canonical, *spelled({canonical}), *spelled_whole(canonical)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,500.00", "1500"),
        ("1.500,00", "1500"),
        ("$1500", "1,500"),
        ("1500.50", "1,500.5"),
        ("2026-11-26", "26.11.2026"),
        ("26 Nov 2026", "November 26, 2026"),
        ("26/11/2026", "2026-11-26T10:00:00Z"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("+49 30 1234567", "0049301234567"),
        ("0E984725-C51C-4BF4-9960-E1C80E27ABA0", "0e984725c51c4bf49960e1c80e27aba0"),
    ],
)
def test_spellings_of_one_value_share_a_key(one: str, other: str) -> None:
    assert key_of(one) & key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1500", "1501"),
        ("1,500", "1.5"),
        ("-1500", "1500"),
        ("2026-11-26", "2026-11-27"),
        ("20261126", "2026-11-26"),
        ("26 Nov 2026 and later", "2026-11-26"),
    ],
)
def test_different_values_share_none(one: str, other: str) -> None:
    assert not key_of(one) & key_of(other)


@pytest.mark.parametrize(
    "text",
    [
        "ask carol@own.example, now",
        "to=carol@own.example",
        '{"to":"carol@own.example"}',
        "<carol@own.example>",
        "a,carol@own.example,b",
    ],
)
def test_an_identifier_is_one_whatever_stands_around_it(text: str) -> None:
    assert "carol@own.example" in keys_in(text, tokens_of(text))


def test_a_word_of_a_vouched_for_text_proves_nothing_and_an_identifier_does() -> None:
    memory = SessionMemory()
    read(memory, "give it to bobby or to carol-4711", TRUSTED)
    assert traced("bobby", memory, UNKNOWN).label.integrity is Integrity.UNTRUSTED
    assert traced("Carol-4711", memory, UNKNOWN).label.integrity is Integrity.TRUSTED


def test_a_vouched_for_value_that_somebody_else_said_too_is_no_better_than_that() -> None:
    memory = SessionMemory()
    read(memory, "carol@own.example", TRUSTED)
    assert traced("carol@own.example", memory, UNKNOWN).label.integrity is Integrity.TRUSTED
    read(memory, "carol@own.example", UNKNOWN, "c2")
    leaf = traced("carol@own.example", memory, UNKNOWN)
    assert leaf.label.integrity is Integrity.UNTRUSTED
    assert [source.reference for source in leaf.sources] == ["c1", "c2"]


def test_values_of_a_text_that_is_json_are_fields_of_their_own() -> None:
    memory = SessionMemory()
    text = '{"items": [{"id": "evt-4711", "title": "Lunch"}]}'
    fields = {"/content/0/text/items/0/id": TRUSTED}
    result = {"content": [{"type": "text", "text": text}]}
    remember_result(memory, result, call_id="c1", manifest=Manifest(result_fields=fields))
    source = traced("evt-4711", memory, UNKNOWN).sources[0]
    assert (source.pointer, source.label) == ("/content/0/text/items/0/id", TRUSTED)
    assert traced("Lunch", memory, UNKNOWN).sources[0].label == UNKNOWN


COPY = "the board has agreed to sell the northern warehouse to Lindqvist and sons for 4711 crowns"


def test_what_was_known_before_it_was_confidential_is_no_secret_and_what_is_told_after_is_one() -> None:
    """Else a server could be made to say a secret again, and make it anybody's."""
    before, after = SessionMemory(), SessionMemory()
    read(before, COPY, UNKNOWN)
    read(before, f"minutes: {COPY}", SECRET, "c2")
    read(after, f"minutes: {COPY}", SECRET)
    read(after, COPY, UNKNOWN, "c2")
    assert not found(f"as you know, {COPY}", before)
    assert found(f"as you know, {COPY}", after)


def test_a_turn_of_phrase_is_no_copy() -> None:
    memory = SessionMemory()
    read(memory, "please find attached the documentation of the configuration, with best regards")
    assert not found("the documentation of my own program", memory)
    assert found(
        "fwd: please find attached the documentation of the configuration, with best regards", memory
    )


def test_a_short_word_of_a_confidential_text_is_everybodys_and_as_a_value_of_its_own_it_is_not() -> None:
    memory = SessionMemory()
    read(memory, "the code for the cellar is tangerine")
    assert not found("for", memory)
    assert found("tangerine", memory)
    read(memory, "for", call_id="c2")
    assert found("for", memory)


def test_past_its_bound_the_memory_says_so_and_the_taint_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "KEPT_MAX", 50)
    memory = SessionMemory()
    read(memory, "zx-81-7734-q")
    index_waiting(memory)
    assert not memory.overflowed
    for number in range(20):
        read(memory, f"another secret {number} aa-{number:03}-bb", call_id=f"d{number}")
    index_waiting(memory)
    assert memory.overflowed
    assert memory.size <= 60
    assert found("zx-81-7734-q", memory)


def test_results_that_prove_nothing_are_forgotten_by_age_and_then_nothing_is_proven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a value could be vouched for once it is forgotten who said it first."""
    monkeypatch.setattr(index, "PASSING_MAX", 20)
    memory = SessionMemory()
    read(memory, "carol@own.example", TRUSTED)
    assert traced("carol@own.example", memory, UNKNOWN).label.integrity is Integrity.TRUSTED
    for number in range(40):
        read(memory, f"x{number}@evil.example", UNKNOWN, f"d{number}")
        index_waiting(memory)
    assert memory.index.forgot
    assert memory.size < 150
    assert not memory.overflowed
    assert traced("carol@own.example", memory, UNKNOWN).label.integrity is Integrity.UNTRUSTED


def test_a_text_too_long_to_be_looked_through_counts_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "READ_CHARS_MAX", 100)
    memory = SessionMemory()
    read(memory, COPY)
    assert not found("an ordinary text of no great length", memory)
    assert found("an ordinary text " * 20, memory)


def test_what_the_schema_says_itself_is_no_secret() -> None:
    memory = SessionMemory()
    read(memory, "object")
    read(memory, "tangerine", call_id="c2")
    assert not found("do", memory)  # the tool's own name
    assert found("tangerine", memory)


@pytest.mark.parametrize("bomb", ["%25" * 30_000, "aGVsbG8g" * 20_000, "\\u0041" * 20_000, '["' * 5_000])
def test_views_stay_within_their_bounds(bomb: str) -> None:
    views = list(views_of(bomb))
    assert len(views) <= VIEWS_MAX
    assert sum(len(text) for _, text in views) <= VIEW_CHARS_MAX


def test_a_packed_text_is_not_unpacked_without_end() -> None:
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(b"a" * 50_000_000)).decode()
    assert sum(len(text) for _, text in views_of(bomb)) <= VIEW_CHARS_MAX


def test_edges_are_bounded_hold_no_value_and_read_back() -> None:
    memory = SessionMemory()
    read(memory, "zx-81-7734-q")
    leaf = traced("zx-81-7734-q", memory)
    payload = edges_to_json([leaf] * (EDGES_MAX + 5))
    assert b"zx-81" not in payload
    edges, left_out = edges_from_json(payload)
    assert (len(edges), left_out) == (EDGES_MAX, 5)
    assert edges[0].source == next(each for each in leaf.sources if each.kind is SourceKind.RESULT)
    assert edges_to_json([traced("made up", SessionMemory())]) == b""


def test_the_most_recent_results_are_found_again_by_their_field_and_older_ones_by_their_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from toolward.rules.lineage import pages

    monkeypatch.setattr(pages, "KEPT_BYTES_MAX", 400)
    memory = SessionMemory()
    for number in range(10):
        read(memory, f"aa-{number:03}-bbbb", TRUSTED, f"c{number}")
    first, last = (traced(f"aa-{number:03}-bbbb", memory).sources[0] for number in (0, 9))
    assert (first.reference, first.pointer) == ("c0", "")
    assert (last.reference, last.pointer, last.how) == ("c9", "/structuredContent/rows/0/field", How.EXACT)
