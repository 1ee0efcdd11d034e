"""Where a value comes from: labels only rise, a respelling is the same value, and no encoding hides it."""

from __future__ import annotations

import base64
import unicodedata

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import a_session

from toolward.lab.leaks.transforms import SEEN
from toolward.model.call import Action, Call, ResolvedCall
from toolward.model.label import CLEAN, Confidentiality, Integrity, Label
from toolward.model.lineage import PROVES, Handle, How, Leaf, SourceKind
from toolward.model.tool import Manifest, ToolState
from toolward.rules.canonical import canonical
from toolward.rules.flow import label_call
from toolward.rules.lineage import atoms, pages
from toolward.rules.lineage.handles import value_at
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.remember import remember_result
from toolward.rules.lineage.spelling import canonical_text, squeezed
from toolward.rules.version import make_version
from toolward.rules.worded import lowered

SECRET = Label(Integrity.TRUSTED, Confidentiality.CONFIDENTIAL)

labels = st.builds(Label, st.sampled_from(Integrity), st.sampled_from(Confidentiality))
numbers = st.from_regex(r"[a-z]{2}-[0-9]{3}-[0-9]{4}-[a-z]", fullmatch=True)
mails = st.from_regex(r"[a-z]{3,8}\.[a-z]{3,8}@[a-z]{4,9}\.example", fullmatch=True)
words = [
    "the",
    "merger",
    "with",
    "Northwind",
    "closes",
    "in",
    "May",
    "for",
    "four",
    "hundred",
    "million",
    "crowns",
    "at",
    "noon",
    "of",
    "Monday",
]
sentences = st.permutations(words).map(" ".join)
identifiers = st.one_of(
    numbers, mails, st.uuids().map(str), st.from_regex(r"DE[0-9]{2}( [0-9]{4}){4} [0-9]{2}", fullmatch=True)
)
secrets = identifiers | sentences
results = st.lists(
    st.tuples(st.sampled_from(["ab-123-4567-c", "bob@own.example", "wire money", "4711"]), labels), max_size=6
)


def traced(
    value: object, memory: SessionMemory, taint: Label = SECRET, handles: tuple[Handle, ...] = ()
) -> Leaf:
    session = replace(a_session(), taint=taint)
    arguments = {"text": value}
    call = Call(
        call_id="c",
        action=Action.CALL_TOOL,
        session=session,
        target="do",
        server="srv",
        arguments_json=canonical(arguments),
        arguments=arguments,
        args_digest="d",
        handles=handles,
    )
    version = make_version("srv", {"name": "do"}, binding="b", manifest=Manifest())
    resolved = ResolvedCall(call=call, server="srv", name="do", version=version, state=ToolState.APPROVED)
    return label_call(resolved, session, memory, None)[0][0]


def read(memory: SessionMemory, value: object, label: Label = SECRET, call_id: str = "c1") -> Label:
    result = {"content": [], "structuredContent": {"rows": [{"field": value}, {"other": "nothing to see"}]}}
    return remember_result(memory, result, call_id=call_id, manifest=Manifest(result=label))


def found(value: object, memory: SessionMemory) -> bool:
    return any(
        source.kind is SourceKind.RESULT and source.label.confidentiality is Confidentiality.CONFIDENTIAL
        for source in traced(value, memory).sources
    )


@pytest.mark.parametrize("transform", SEEN.values(), ids=list(SEEN))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(secret=secrets)
def test_every_encoding_of_a_confidential_value_is_seen_through(transform, secret: str) -> None:
    memory = SessionMemory()
    read(memory, secret)
    assert found(transform(secret), memory)


@pytest.mark.parametrize("secret", ["ebub@zpk.test", "hfbe@dkf.test", "uluaj@lubu.example"])
def test_labels_of_a_name_that_read_like_words_are_read_as_base32_too(secret: str) -> None:
    memory = SessionMemory()
    read(memory, secret)
    sent = SEEN["labels of a DNS name"](secret)
    assert sent.replace(".", "").isalpha()
    assert found(sent, memory)
    other = SessionMemory()
    read(other, "the weather at mail.google.example and www.docs.example")
    assert not found(sent, other)


def test_names_of_hosts_do_not_hide_what_stands_behind_them() -> None:
    memory = SessionMemory()
    read(memory, "ab-123-4567-c")
    labels = "metrics.internal.cluster.zone.west.prod.corp.node.rack.hall.site.example"
    names = " ".join(labels.replace(".", f"{letter}.") for letter in "abcd")
    sent = base64.b64encode(base64.b64encode(b"ab-123-4567-c")).decode()
    assert found(f"{names} {sent}", memory)


def test_a_copied_log_of_identifiers_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(
        pages, "keys_in", lambda text, tokens: looked.append(text) or atoms.keys_in(text, tokens)
    )
    memory = SessionMemory()
    log = " ".join(f"2026-03-{n % 28 + 1:02} id-{n:05}-x +49 30 {n:07}" for n in range(200))
    read(memory, log)
    assert found(log[5:], memory)
    assert len(looked) <= 4 * 2, "each field of the one result, and not each identifier"


def test_an_identifier_past_those_whose_place_is_remembered_is_found_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "SPELLED_MAX", 1)
    memory = SessionMemory()
    read(memory, "4 May 2026 and zx-81-7734")
    remember_result(
        memory,
        {"a": ["DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19"]},
        call_id="c2",
        manifest=Manifest(result=SECRET),
    )
    for iban, placed in (("DE89370400440532013000", True), ("GB29NWBK60161331926819", False)):
        sources = [each for each in traced(iban, memory).sources if each.reference]
        assert {each.reference for each in sources} == {"c2"}
        assert all(each.pointer for each in sources) is placed


@pytest.mark.parametrize("transform", SEEN.values(), ids=list(SEEN))
def test_what_was_never_read_is_found_in_no_encoding(transform) -> None:
    memory = SessionMemory()
    read(memory, "ab-123-4567-c")
    read(memory, "the merger with Northwind closes in May for four hundred million crowns at noon")
    assert not found(transform("an ordinary note about the weather of the 3rd week"), memory)


@given(st.text())
def test_the_form_in_which_values_are_compared_is_a_fixed_point(text: str) -> None:
    once = canonical_text(text)
    assert canonical_text(once) == once
    assert squeezed(squeezed(once)) == squeezed(once)


@given(st.text(min_size=1), st.data())
def test_what_is_not_seen_does_not_change_a_value(text: str, data: st.DataObject) -> None:
    invisible = data.draw(st.sampled_from(["\u200b", "\u00ad", "\ufeff", "\u2060", "\U000e0041", "\x00"]))
    assume(unicodedata.is_normalized("NFKC", text))
    at = data.draw(st.integers(0, len(text)))
    # between a letter and its mark there is no place: they would no longer be one letter
    assume(at == len(text) or not unicodedata.combining(text[at]))
    assert canonical_text(text[:at] + invisible + text[at:]) == canonical_text(text)


respellings = st.sampled_from(
    [
        str.upper,
        str.title,
        "\u200b".join,
        lambda text: f"  {text}\n",
        lambda text: text.replace(" ", " \t "),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
        lambda text: unicodedata.normalize("NFD", text),
    ]
)


@given(identifiers | sentences | st.text(min_size=3), labels, respellings)
def test_a_respelling_comes_from_where_the_value_comes_from(value: str, label: Label, respell) -> None:
    again = respell(value)
    assume(canonical_text(again) == canonical_text(value))
    memory = SessionMemory()
    read(memory, value, label)
    before, after = traced(value, memory), traced(again, memory)
    assert set(before.sources) <= set(after.sources)
    assert after.label == before.label


@given(results, results)
def test_the_label_of_what_was_read_only_rises(earlier, later) -> None:
    memory, taint = SessionMemory(), CLEAN
    for number, (value, label) in enumerate(earlier):
        taint = taint.join(read(memory, value, label, f"c{number}"))
    probes = ["ab-123-4567-c", "note: ab-123-4567-c", "bob@own.example", "wire money", "4711"]
    before = {probe: traced(probe, memory, taint) for probe in probes}
    was_found = {probe: found(probe, memory) for probe in probes}
    risen = taint
    for number, (value, label) in enumerate(later):
        risen = risen.join(read(memory, value, label, f"d{number}"))
    assert risen.join(taint) == risen
    known = {value for value, _ in earlier}
    for probe in probes:
        after = traced(probe, memory, risen)
        if probe in known:  # what was not read yet may be vouched for later
            assert before[probe].label.join(after.label) == after.label
        assert found(probe, memory) >= was_found[probe]


@given(identifiers, labels)
def test_only_a_whole_value_can_be_proven(value: str, label: Label) -> None:
    memory = SessionMemory()
    read(memory, value, replace(label, integrity=Integrity.TRUSTED))
    tainted = Label(Integrity.UNTRUSTED, Confidentiality.INTERNAL)
    assert traced(value, memory, tainted).label.integrity is Integrity.TRUSTED
    for longer in (f"{value}, and more", f"x{value}", SEEN["base64"](value)):
        leaf = traced(longer, memory, tainted)
        assert leaf.label.integrity is Integrity.UNTRUSTED
        assert all(source.how not in PROVES for source in leaf.sources if source.kind is SourceKind.RESULT)


@given(identifiers, labels)
def test_a_source_names_the_call_and_the_field(value: str, label: Label) -> None:
    memory = SessionMemory()
    read(memory, value, label, "the-call")
    source = next(each for each in traced(value, memory).sources if each.kind is SourceKind.RESULT)
    assert (source.reference, source.how) == ("the-call", How.EXACT)
    assert source.pointer == "/structuredContent/rows/0/field"


@given(
    st.dictionaries(st.sampled_from("abc"), identifiers | sentences | st.integers(100, 10**6), min_size=1),
    labels,
    labels,
    st.booleans(),
    st.data(),
)
def test_a_handle_and_the_value_itself_are_judged_alike(
    fields: dict[str, object], label: Label, other: Label, repeated: bool, data: st.DataObject
) -> None:
    memory = SessionMemory()
    result = {"structuredContent": fields}
    remember_result(memory, result, call_id="c1", manifest=Manifest(result=label))
    if repeated:
        remember_result(memory, result, call_id="c2", manifest=Manifest(result=other))
    taint = label.join(other) if repeated else label
    name = data.draw(st.sampled_from(sorted(fields)))
    handle = Handle(at="/text", call="c1", pointer=f"/structuredContent/{name}")
    value = value_at(handle, result)
    assert value == fields[name]
    by_value = traced(value, memory, taint)
    by_handle = traced(value, memory, taint, (handle,))
    assert by_handle.label == by_value.label
    assert set(by_value.sources) <= set(by_handle.sources)
    [source] = [each for each in by_handle.sources if each.how is How.HANDLE]
    assert (source.reference, source.pointer) == ("c1", handle.pointer)
    assert source.label == lowered(handle.pointer, str(value), label)
