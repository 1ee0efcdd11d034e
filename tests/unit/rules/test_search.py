"""Words find texts: by rarity, by name before description, and only what may be shown."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolward.rules.search import K1, B, TextIndex, words_of


def index(**texts: str) -> TextIndex:
    made = TextIndex()
    for key, text in texts.items():
        made.put(key, words_of(text))
    return made


def find(made: TextIndex, query: str, *, limit: int = 10) -> list[str]:
    return made.find(query, shown=lambda _: True, limit=limit)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("readFile", ["read", "file"]),
        ("read_multiple_files", ["read", "multiple", "file"]),
        ("HTTPServer2go", ["http", "server2go"]),
        ("is gas bus", ["is", "gas", "bus"]),
        ("Grüße an ΑΘΗΝΑ", ["grüsse", "an", "αθηνα"]),
        ("", []),
    ],
)
def test_words_are_taken_apart(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_rare_word_says_more_than_a_common_one() -> None:
    made = index(a="send a mail", b="send a letter", c="send a message to mars")
    assert find(made, "send mail")[0] == "a"
    assert find(made, "send mars")[0] == "c"


def test_nothing_that_is_not_shown_is_given_and_others_take_its_place() -> None:
    made = index(a="mail mail mail", b="mail and more", c="mail and still more of it")
    assert made.find("mail", shown=lambda key: key != "a", limit=2) == ["b", "c"]


def test_a_text_that_is_dropped_or_replaced_leaves_nothing_behind() -> None:
    made = index(a="mail", b="letter")
    made.put("a", words_of("parcel"))
    made.drop("b")
    made.drop("never-there")
    assert find(made, "mail letter") == []
    assert find(made, "parcel") == ["a"]
    made.drop("a")
    assert len(made) == 0
    assert find(made, "parcel") == []


def test_one_text_can_not_crowd_out_the_others_by_saying_a_word_without_end() -> None:
    made = index(flood="weather " * 100_000, honest="weather forecast for a city")
    assert find(made, "weather forecast")[0] == "honest"


TEXTS = st.dictionaries(
    st.text("abc", min_size=1, max_size=2), st.lists(st.sampled_from("pqrst"), max_size=8), max_size=8
)


@given(TEXTS, st.lists(st.sampled_from("pqrst"), min_size=1, max_size=3))
def test_the_order_is_that_of_the_formula(texts: dict[str, list[str]], query: list[str]) -> None:
    made = TextIndex()
    for key, words in texts.items():
        made.put(key, ["other"])
        made.put(key, words)  # what it was before does not count
    average = sum(map(len, texts.values())) / max(len(texts), 1)

    def score(words: list[str]) -> float:
        total = 0.0
        for word in set(query):
            having = sum(word in each for each in texts.values())
            count = Counter(words)[word]
            if count:
                rarity = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
                total += rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * len(words) / average))
        return total

    found = find(made, " ".join(query))
    assert set(found) == {key for key, words in texts.items() if set(words) & set(query)}
    scores = [score(texts[key]) for key in found]
    assert scores == pytest.approx(sorted(scores, reverse=True))
