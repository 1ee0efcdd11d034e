"""A call's values are looked at together first: that look never hides what a look at each of them finds."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import a_session
from tests.laws.test_lineage_laws import SECRET, identifiers, read, results, secrets

from toolward.lab.leaks.transforms import SEEN
from toolward.model.call import Action, Call, ResolvedCall
from toolward.model.lineage import Leaf
from toolward.model.tool import Manifest, ToolState
from toolward.rules.canonical import canonical
from toolward.rules.flow import label_call
from toolward.rules.lineage import probe, trace, views
from toolward.rules.lineage.atoms import all_pieces, pieces_of, tokens_of
from toolward.rules.lineage.grams import BLOCK, LETTERS_MIN, blocks_of, marks_of, runs_of
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.remember import index_waiting
from toolward.rules.lineage.spelling import canonical_text, squeezed, squeezed_lines
from toolward.rules.lineage.views import are_plain, views_of
from toolward.rules.version import make_version

slow = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
around = st.sampled_from(["", "x", "7", " and ", "a long way before it, 12 ", "id=", '"', "\n"])


@st.composite
def leaky(draw: st.DrawFn, secret: str) -> str:
    """A text with a secret, or a part of one, in it: in the open, encoded, or not at all."""
    start = draw(st.integers(0, len(secret) // 2))
    part = secret[start:] if draw(st.booleans()) else secret[: len(secret) - start]
    transform = draw(st.sampled_from([str, str, *SEEN.values()]))
    text = draw(
        st.sampled_from(
            [secret, secret, part, "an ordinary note of the 3rd week", draw(st.text(max_size=40))]
        )
    )
    return str(draw(around) + transform(text) + draw(around))


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Confidential values, and the values of a call, one of them perhaps in two parts."""
    known = draw(st.lists(secrets, min_size=1, max_size=3))
    texts = [draw(leaky(draw(st.sampled_from(known)))) for _ in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        whole = draw(st.sampled_from(known))
        at = draw(st.integers(0, len(whole)))
        texts += [whole[:at], whole[at:]]
    return known, texts


def leaves_of_call(texts: list[str], memory: SessionMemory) -> tuple[Leaf, ...]:
    arguments = {f"a{number}": text for number, text in enumerate(texts)}
    call = Call(
        call_id="c",
        action=Action.CALL_TOOL,
        session=replace(a_session(), taint=SECRET),
        target="do",
        server="srv",
        arguments_json=canonical(arguments),
        arguments=arguments,
        args_digest="d",
    )
    version = make_version("srv", {"name": "do"}, binding="b", manifest=Manifest())
    resolved = ResolvedCall(call=call, server="srv", name="do", version=version, state=ToolState.APPROVED)
    return label_call(resolved, call.session, memory, None)[0]


def never(*_: object) -> bool:
    return False


@slow
@given(calls(), results)
def test_what_is_found_is_the_same_with_the_common_look_and_without(call, earlier) -> None:
    known, texts = call
    memory = SessionMemory()
    for number, (value, label) in enumerate(earlier):
        read(memory, value, label, f"before-{number}")
    for number, value in enumerate(known):
        read(memory, value, SECRET, f"c{number}")
    together = leaves_of_call(texts, memory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "are_clear", never)
        patch.setattr(trace, "are_plain", never)
        patch.setattr(probe, "_are_clear", never)
        patch.setattr(probe, "_may_hide", lambda *_: True)
        assert leaves_of_call(texts, memory) == together


@slow
@given(calls())
def test_each_value_of_a_call_is_traced_as_if_it_were_alone(call) -> None:
    known, texts = call
    memory = SessionMemory()
    for number, value in enumerate(known):
        read(memory, value, SECRET, f"c{number}")
    together = leaves_of_call(texts, memory)
    alone = [leaves_of_call([text], memory)[0] for text in texts]
    assert [leaf.sources for leaf in together] == [leaf.sources for leaf in alone]


@given(identifiers, st.integers(0, 3))
def test_a_secret_at_the_edge_of_any_of_several_values_is_found(secret: str, at: int) -> None:
    memory = SessionMemory()
    read(memory, secret)
    for text in (f"{secret} at the front", f"at the end {secret}", secret):
        texts = ["an ordinary note", "/srv/reports/week.txt", "17"]
        texts.insert(at, text)
        confidential = [
            any(source.reference == "c1" for source in leaf.sources) for leaf in leaves_of_call(texts, memory)
        ]
        assert confidential == [number == at for number in range(4)]


def test_what_two_values_hold_only_together_is_in_neither() -> None:
    memory = SessionMemory()
    read(memory, "ab-123-4567-c")
    read(memory, "the merger with Northwind closes in May")
    for texts in (["ab-123", "4567-c"], ["zz-ab-1", "23-4567-c9"], ["the merger wi", "th northwind clo"]):
        assert not any(source.reference for leaf in leaves_of_call(texts, memory) for source in leaf.sources)


def test_a_text_that_is_long_only_before_it_is_compared_is_not_passed_over() -> None:
    memory = SessionMemory()
    read(memory, "ab-123-4567-c")
    text = "note" + "\u200b" * probe.READ_CHARS_MAX
    assert leaves_of_call([text], memory)[0].sources[-1].reference == "c1"


@pytest.mark.parametrize(
    ("secret", "texts"),
    [
        ("bob@own.example", ["see", "https://sink.example/bob@own.example/x"]),  # a piece between joints
        (
            "26 Nov 2026",
            ["see", base64.b64encode(b"26.11.2026").decode()],
        ),  # a day, alone in what was encoded
        ("ab-123-4567-c", ["7" * 5_000, "xab1234567cx"]),  # behind more digits than are looked at
        ("ab-123-4567-c", ["c-7654-321-ba", "see"]),  # read backwards
        ("bob.smith@own.example", ["see", "qbob.smith@own.example"]),  # a letter before it
    ],
)
def test_what_is_rare_is_asked_of_all_values_too(secret: str, texts: list[str]) -> None:
    memory = SessionMemory()
    read(memory, secret)
    assert any(source.reference == "c1" for leaf in leaves_of_call(texts, memory) for source in leaf.sources)


@given(st.text(max_size=80) | st.text("ab1 -\u00e9\u6f22", max_size=80))
def test_a_run_has_one_number_wherever_it_stands_and_from_either_end(text: str) -> None:
    letters = squeezed(canonical_text(text))
    runs, marks = runs_of(letters), marks_of(letters)
    assert list(marks) == [marks_of(run)[0] for run in runs] == [marks_of(run[::-1])[0] for run in runs]
    assert all(mark < 2**30 for mark in marks)


@pytest.mark.parametrize("how_many", [3, 27])
def test_an_identifier_whose_digits_all_stand_at_its_beginning_is_found_among_others(how_many: int) -> None:
    memory = SessionMemory()
    known = [f"{number}{chr(97 + number % 26)}-secretly" for number in range(how_many)]
    for secret in known:
        read(memory, secret)
    for secret in known:
        (leaf,) = leaves_of_call([f"see the note q{secret.replace('-', '')}z of monday"], memory)
        assert any(source.reference == "c1" for source in leaf.sources)
    (leaf,) = leaves_of_call(["see the note q97z of monday"], memory)
    assert not any(source.reference for source in leaf.sources)


@given(st.lists(st.text("abcd12\u00e9", min_size=16, max_size=70), min_size=1, max_size=4), st.data())
def test_a_block_is_found_in_both_directions_and_nothing_else_is(texts: list[str], data) -> None:
    memory = SessionMemory()
    for text in texts:
        read(memory, text)
    index_waiting(memory)
    blocks = {block for text in texts for block in blocks_of(squeezed(canonical_text(text)))}
    known = blocks | {block[::-1] for block in blocks}
    piece = data.draw(st.sampled_from(texts))[data.draw(st.integers(0, 20)) :]
    letters = squeezed(canonical_text(data.draw(st.sampled_from([piece, piece[::-1], "a1" + piece + "b"]))))
    held = [run for run in runs_of(letters) if run in known and len(set(run)) >= LETTERS_MIN]
    assert memory.index.blocks_in(letters) == held
    assert len(memory.index.marks) <= len(memory.index.blocks) <= len(blocks)
    assert all(len(block) == BLOCK for block in memory.index.blocks)


@given(st.lists(st.text().map(canonical_text), min_size=1, max_size=4))
def test_texts_are_squeezed_together_as_they_are_alone(texts: list[str]) -> None:
    assert squeezed_lines("\n".join(texts)).split("\n") == [squeezed(each) for each in texts]
    tokens = [token for each in texts for token in tokens_of(each)]
    assert tokens_of("\n".join(texts)) == tokens
    assert {piece for token in tokens for piece in pieces_of(token)} - {""} <= set(all_pieces(tokens))


@slow
@given(st.lists(st.text(max_size=60) | leaky("ab-123-4567-c wired to bob at 10:15"), min_size=1, max_size=4))
def test_texts_that_are_plain_together_have_no_view(texts: list[str]) -> None:
    if are_plain(texts):
        assert not [view for text in texts for view in views_of(text)]


@given(st.text(": ,.-0x\\aAf9gz\n\u00a0\u00e9", max_size=40))
def test_separated_hex_and_long_runs_are_told_as_their_expressions_tell(text: str) -> None:
    assert views._is_spaced_hex(text) == (views._SPACED_HEX.search(text) is not None)
    assert views._has_run(text, views._HEX_DIGITS) == (re.search("[0-9A-Fa-f]{10}", text) is not None)
    found = views._BASE32.search(text) is not None
    assert (views._has_run(text, views._CAPITALS) or views._has_run(text, views._SMALL)) == found
