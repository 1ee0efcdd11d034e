"""What nothing explains is counted in bits."""

from __future__ import annotations

import base64
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy_samples import labelled, tool

from toolward.model.call import Facts
from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.tool import Effect
from toolward.rules.lineage.index import Index
from toolward.rules.lineage.memory import Heard, SessionMemory
from toolward.rules.lineage.remember import index_waiting
from toolward.rules.manifest_defaults import complete_manifest
from toolward.rules.telling.earlier import WORDS_KEPT_MAX, Earlier
from toolward.rules.telling.explained import LOOKED_CHARS_MAX, Ground, telling, tells_server

WORDS = st.lists(st.sampled_from(["moon", "ship", "harbour", "of", "the", "12", "Ann"]), max_size=6).map(
    " ".join
)
TEXT = {"type": "string"}
_SEARCH = tool(
    "search", {"query": TEXT, "to": TEXT, "cc": TEXT, "site_url": TEXT}, egress=True, required=("to",)
)
SEARCH = replace(_SEARCH, manifest=complete_manifest(_SEARCH.manifest, orjson.loads(_SEARCH.definition)))
SECRET = Label(Integrity.UNTRUSTED, Confidentiality.CONFIDENTIAL)
INTERNAL = Label(Integrity.UNTRUSTED, Confidentiality.INTERNAL)
PUBLIC = Label(Integrity.UNTRUSTED, Confidentiality.PUBLIC)


def bits(
    text: str, words: str = "", *, told: frozenset[str] = frozenset(), earlier: Earlier | None = None
) -> int:
    resolved = labelled(SEARCH, arguments={"query": text}).resolved
    return telling(resolved, Ground(words=words, told=told, earlier=earlier)).bits


def read(*results: tuple[str, Label], whole: bool = True, own: tuple[str, ...] = ()) -> Earlier:
    memory = SessionMemory()
    for at, (text, label) in enumerate(results):
        body = b'{"content": [{"type": "text", "text": "%s"}]}' % text.encode()
        memory.waiting.append(Heard(body=body, call_id=f"c{at}", default=label, fields={}))
    index_waiting(memory)
    return Earlier(memory.index).read(own, whole=whole)


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("", "", 0),
        ("weather", "weather", 0),
        ("Weather", "the weather there", 0),
        ("1200", "it is 1,200.00 in all", 0),
        ("2024-05-15", "on May 15th, 2024", 0),
        ("bob@x.example", "write to bob@x.example.", 0),
        ("bob@x.example bob@x.example", "write to bob@x.example.", 14),
        ("moon", "", 19),
        ("123", "", 10),
        ("1234", "", 14),
        ("a1B2", "", 24),
        ("\u6708", "", 24),
        ("mOOn", "the moon", 24),
        (" weather ", "weather", 16),
        ("1200.000", "it is 1,200.00 in all", 29),
        ("01200", "it is 1,200.00 in all", 17),
        ("2024-05-15.0317", "on 2024-05-15", 29),
    ],
)
def test_a_text_costs_what_it_says_beyond_the_users_words(text: str, said: str, expected: int) -> None:
    assert bits(text, said) == expected


def test_a_code_of_four_digits_costs_more_than_the_profiles_leave_free() -> None:
    assert all(bits(f"{number:04d}") > 13 for number in (0, 4711, 9999))


def test_what_stands_behind_a_long_text_costs_its_characters() -> None:
    said = "moon " * (LOOKED_CHARS_MAX // 5 + 1)
    assert bits(f"{said}q7w8", said) > 8 * 4


def test_a_text_that_the_users_words_hold_as_it_is_costs_nothing_however_long() -> None:
    said = base64.b85encode(bytes(range(256)) * 40).decode()
    assert bits(said, f"Send {said} please") == 0


def test_a_run_of_words_that_was_read_before_is_one_choice() -> None:
    earlier = read(("the old harbour of Landskrona lies in the sound", INTERNAL), ("x", SECRET))
    assert earlier.choice_bits == 4
    assert bits("old harbour of Landskrona", earlier=earlier) == 4
    assert bits("Landskrona harbour", earlier=earlier) == 8
    assert bits("moon of Landskrona", earlier=earlier) == 19 + 4


def test_spaces_and_signs_of_a_copy_are_those_of_what_was_read() -> None:
    earlier = read(("def area(x): return x", INTERNAL), ("x", SECRET))
    assert bits("def area(x): return x", earlier=earlier) == earlier.choice_bits == 3
    assert bits("def area(x):  return x", earlier=earlier) > 8
    assert bits("area(x", earlier=earlier) == 3, "as it stands between spaces, without what is around it"


def test_a_run_is_followed_to_its_end_and_no_further() -> None:
    said = " ".join(f"w{number}" for number in range(100))
    earlier = read((said, INTERNAL), ("x", SECRET))
    for length in (1, 2, 3, 7, 64, 99, 100):
        words = said.split()[:length]
        assert earlier.longest([*words, "moon"]) == length
    assert earlier.longest(["moon"]) == earlier.longest([]) == 0


def test_what_came_with_or_after_the_secret_explains_nothing_unless_it_is_public() -> None:
    earlier = read(("alpha", INTERNAL), ("x", SECRET), ("bravo", INTERNAL), ("charlie", PUBLIC))
    assert [bits(each, earlier=earlier) for each in ("alpha", "charlie")] == [2, 2]
    assert bits("bravo", earlier=earlier) == 24


def test_what_the_server_itself_answered_since_is_no_news_to_it() -> None:
    results = (("x", SECRET), ("bravo", INTERNAL), ("charlie", SECRET))
    earlier = read(*results, own=("c1", "c2"))
    assert (bits("bravo", earlier=earlier), bits("charlie", earlier=earlier)) == (1, 33)


def test_where_results_were_forgotten_none_is_known_to_have_come_before() -> None:
    earlier = read(("alpha", INTERNAL), ("x", SECRET), ("charlie", PUBLIC), whole=False)
    assert (bits("alpha", earlier=earlier), bits("charlie", earlier=earlier)) == (24, 1)


def test_a_call_that_read_a_credential_is_no_earlier_result_of_its_own() -> None:
    """A credential is noted behind the result that it stood in."""
    memory = SessionMemory()
    for label in (INTERNAL, SECRET):
        memory.waiting.append(Heard(body=b'{"text": "hunter seven"}', call_id="c", default=label, fields={}))
    index_waiting(memory)
    assert bits("hunter", earlier=Earlier(memory.index).read((), whole=True)) == 29


def test_whole_values_of_vouched_for_fields_cost_nothing() -> None:
    vouched = Label(Integrity.TRUSTED, Confidentiality.INTERNAL)
    earlier = read(("Ann Svensson", vouched), ("x", SECRET))
    assert bits("ann svensson", earlier=earlier) == bits("Ann Svensson", earlier=earlier) == 0
    assert bits("aNN svensson", earlier=earlier) == 20
    assert bits("ann\u200b svensson", earlier=earlier) == 26
    assert bits("Svensson", earlier=earlier) == 2


def test_a_word_of_the_tools_own_definition_is_one_choice_among_its_words() -> None:
    assert bits("Object") == 4
    assert bits("Object moon") == 4 + 19


def test_only_the_newest_words_are_kept_and_one_choice_among_them_stays_within_what_is_free() -> None:
    many = " ".join(f"w{number}" for number in range(WORDS_KEPT_MAX + 10))
    earlier = read(("alpha", INTERNAL), (many, INTERNAL), ("x", SECRET))
    assert bits("w7", earlier=earlier) == 13
    assert bits("alpha", earlier=earlier) == 24


def test_an_index_that_was_made_anew_is_read_anew() -> None:
    index = Index()
    assert Earlier(index).is_of(index)
    assert not Earlier(index).is_of(Index())


@pytest.mark.parametrize(
    ("effect", "arguments", "tells"),
    [
        (Effect.READ_ONLY, {"query": "x"}, True),
        (Effect.READ_ONLY, {"query": "x", "to": "ann@x.example"}, True),
        (Effect.REVERSIBLE, {"query": "x", "to": "ann@x.example"}, False),
        (Effect.REVERSIBLE, {"query": "x", "to": ""}, True),
        (Effect.REVERSIBLE, {"query": "x", "cc": "ann@x.example"}, True),  # it can do without
        (Effect.READ_ONLY, {"query": "x", "site_url": "https://x.example"}, True),
    ],
)
def test_a_call_tells_its_server_unless_it_is_sent_to_a_place(
    effect: Effect,
    arguments: dict[str, str],
    tells: bool,
) -> None:
    facts: Facts = labelled(SEARCH, writes=effect is not Effect.READ_ONLY, egress=True).facts
    assert tells_server(labelled(SEARCH, arguments=arguments).resolved, facts) is tells


def test_a_url_is_judged_as_a_destination_and_what_is_beside_it_as_told() -> None:
    def cost(**arguments: str) -> int:
        resolved = labelled(SEARCH, arguments=arguments).resolved
        return telling(resolved, Ground(words="", told=frozenset(), earlier=None)).bits

    assert cost(site_url="https://x.example/moon") == 0
    assert cost(site_url="https://x.example", query="moon") == 19


@given(WORDS, WORDS, st.sets(st.sampled_from(["moon", "ship", "harbour", "ann"])))
def test_what_was_told_before_never_makes_a_text_dearer(text: str, said: str, told: set[str]) -> None:
    assert bits(text, said, told=frozenset(told)) <= bits(text, said)


@given(WORDS, st.binary(min_size=5, max_size=40))
def test_what_is_enciphered_costs_more_than_the_profiles_leave_free(said: str, secret: bytes) -> None:
    assert bits(base64.b85encode(secret).decode(), said) > 13
