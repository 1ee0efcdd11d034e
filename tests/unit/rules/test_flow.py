"""Where a value came from, and the facts that follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import a_session

from toolward.model.call import Action, Call, Facts, LabelledCall, ResolvedCall
from toolward.model.label import CLEAN, UNKNOWN, Confidentiality, Integrity, Label
from toolward.model.server import ServerBinding
from toolward.model.tool import (
    Argument,
    ArgumentKind,
    ArgumentRole,
    BindingKind,
    Effect,
    Manifest,
    ToolState,
)
from toolward.rules.canonical import canonical
from toolward.rules.flow import label_call
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.remember import index_waiting, remember_result
from toolward.rules.places import destination_known, path_inside
from toolward.rules.spoken import stands_in
from toolward.rules.version import make_version

BINDING = ServerBinding(
    server="srv",
    kind=BindingKind.STDIO,
    roots=("/data",),
    destinations=("example.org", "*.corp.example", "olga@own.example"),
)
MANIFEST = Manifest(
    effect=Effect.REVERSIBLE,
    arguments={
        "path": Argument(kind=ArgumentKind.PATH),
        "to": Argument(kind=ArgumentKind.ADDRESS),
        "text": Argument(role=ArgumentRole.CONTENT),
    },
)


def facts(
    arguments: dict[str, object],
    *,
    prompt: str = "",
    taint: Label = CLEAN,
    memory: SessionMemory | None = None,
) -> Facts:
    session = replace(a_session(), prompt=prompt, taint=taint)
    version = make_version("srv", {"name": "do"}, binding="b", manifest=MANIFEST)
    call = Call(
        call_id="c",
        action=Action.CALL_TOOL,
        session=session,
        target="do",
        server="srv",
        arguments_json=canonical(arguments),
        arguments=arguments,
        args_digest="d",
    )
    resolved = ResolvedCall(
        call=call,
        server="srv",
        name="do",
        version=version,
        state=ToolState.APPROVED,
    )
    return label_call(resolved, session, memory or SessionMemory(), BINDING)[2]


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/data", True),
        ("/data/a/b", True),
        ("/data/../etc/passwd", False),
        ("/data/a/../../etc", False),
        ("/data/%2e%2e/etc", False),
        ("//data/a", True),
        ("/database", False),
        ("data/a", False),
        ("file:///data/a", True),
        ("/data/a\x00/../../etc", False),
        ("", False),
    ],
)
def test_a_path_is_inside_a_root_only_once_its_tricks_are_gone(path: str, *, inside: bool) -> None:
    assert path_inside(path, ("/data",)) is inside


@pytest.mark.parametrize(
    ("target", "known"),
    [
        ("https://example.org/x?y", True),
        ("https://EXAMPLE.org", True),
        ("https://example.org.evil.net/", False),
        ("https://evil.net/?u=example.org", False),
        ("https://example.org@evil.net/", False),
        ("https://a.corp.example/", True),
        ("https://corp.example.evil.net/", False),
        ("bob@example.org", True),
        ("bob@evil.net", False),
        ("Olga@own.example", True),
        ("mallory@own.example", False),
        ("", False),
    ],
)
def test_a_destination_is_known_only_by_its_host_or_its_whole_address(target: str, *, known: bool) -> None:
    assert destination_known(target, BINDING.destinations) is known


def test_what_the_user_said_is_proven_as_a_whole_word_only() -> None:
    assert facts({"to": "bob"}, prompt="write to Bob please").proven
    assert not facts({"to": "bob"}, prompt="write to bobby please").proven
    assert stands_in("dan@x.y", "mail dan@x.y, now")


def test_without_a_prompt_values_are_assumed_until_something_untrusted_was_read() -> None:
    clean = facts({"to": "x@evil.net"})
    assert (clean.proven, clean.assumed) == (False, True)
    tainted = facts({"to": "x@evil.net"}, taint=UNKNOWN)
    assert (tainted.proven, tainted.assumed, tainted.tainted) == (False, False, True)


def test_the_operators_own_values_stay_proven_in_a_tainted_session() -> None:
    assert facts({"path": "/data/a"}, taint=UNKNOWN).proven
    assert facts({"path": "/data/a"}, taint=UNKNOWN).inside_roots


def test_content_needs_no_proof() -> None:
    assert facts({"text": "anything at all"}, taint=UNKNOWN).proven


def test_an_argument_nobody_described_is_authority() -> None:
    assert not facts({"mystery": "xyz"}, taint=UNKNOWN).proven


def test_a_value_read_from_a_confidential_result_is_known_again() -> None:
    memory = SessionMemory()
    secret = Manifest(result=Label(Integrity.TRUSTED, Confidentiality.CONFIDENTIAL))
    result = {"content": [{"type": "text", "text": "the code is ZX-81-7734, keep it"}]}
    label = remember_result(memory, result, call_id="c1", manifest=secret)
    assert label.confidentiality is Confidentiality.CONFIDENTIAL
    assert facts({"text": "zx-81-7734"}, memory=memory).confidential_argument
    assert not facts({"text": "something else"}, memory=memory).confidential_argument


def test_a_field_label_holds_for_its_field_and_the_rest_keeps_the_default() -> None:
    memory = SessionMemory()
    manifest = Manifest(
        result_fields={"/structuredContent/sender": Label(Integrity.TRUSTED, Confidentiality.INTERNAL)}
    )
    result = {"structuredContent": {"sender": "bob@own.example", "body": "wire money"}}
    remember_result(memory, result, call_id="c1", manifest=manifest)
    index_waiting(memory)
    assert [page.label.integrity for page in memory.pages("bob@own.example")] == [Integrity.TRUSTED]
    assert [page.label.integrity for page in memory.pages("wire money")] == [Integrity.UNTRUSTED]


CONFIDENTIAL = Label(Integrity.TRUSTED, Confidentiality.CONFIDENTIAL)
SECRETIVE = Manifest(result=CONFIDENTIAL)


def read(result: dict[str, object], manifest: Manifest = SECRETIVE) -> SessionMemory:
    memory = SessionMemory()
    remember_result(memory, result, call_id="c1", manifest=manifest)
    return memory


def text_of(text: str) -> dict[str, object]:
    return {"content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize(
    "result",
    [
        text_of("API_KEY=zx-81-7734"),
        text_of("<b>zx-81-7734</b>"),
        text_of("a|zx-81-7734|b"),
        text_of("token:zx-81-7734"),
        {"structuredContent": {"zx-81-7734": 1}},
        {"content": [], "elsewhere": {"deep": ["zx-81-7734"]}},
    ],
)
def test_a_confidential_value_is_known_again_wherever_it_stood(result: dict[str, object]) -> None:
    assert facts({"text": "ZX-81-7734"}, memory=read(result), taint=CONFIDENTIAL).confidential_argument


def test_a_confidential_value_is_known_as_a_member_name_too() -> None:
    memory = read(text_of("zx-81-7734 is it"))
    assert facts({"text": {"zx-81-7734": True}}, memory=memory, taint=CONFIDENTIAL).confidential_argument
    assert not facts({"text": {"other-name": True}}, memory=memory, taint=CONFIDENTIAL).confidential_argument


def test_the_protocols_own_words_are_no_secret() -> None:
    assert not facts({"text": "text"}, memory=read(text_of("zx")), taint=CONFIDENTIAL).confidential_argument


def test_a_memory_with_holes_makes_the_sessions_confidentiality_count() -> None:
    """Else a restart, or a flood of values, would make a confidential value anybody's."""
    whole, holed = SessionMemory(), SessionMemory(holes=True)
    assert not facts({"text": "zx-81-7734"}, memory=whole, taint=CONFIDENTIAL).confidential_argument
    assert facts({"text": "zx-81-7734"}, memory=holed, taint=CONFIDENTIAL).confidential_argument
    assert not facts({"text": "zx-81-7734"}, memory=holed, taint=UNKNOWN).confidential_argument
    assert not facts(
        {"text": "zx-81-7734"}, memory=holed, taint=CONFIDENTIAL, prompt="send zx-81-7734"
    ).confidential_argument


def test_what_only_begins_like_the_prompt_is_not_the_prompt() -> None:
    said = "x" * 5_000
    assert facts({"to": said[:4_000]}, prompt=said[:4_000], taint=UNKNOWN).proven
    assert not facts({"to": said[:4_096] + "@evil.net"}, prompt=said, taint=UNKNOWN).proven


def test_a_vouched_for_tool_that_echoes_does_not_launder_what_it_was_told() -> None:
    memory = SessionMemory()
    session = replace(a_session(), taint=UNKNOWN)
    version = make_version("srv", {"name": "calc"}, binding="b", manifest=Manifest())
    arguments = {"expression": "mallory@evil.net"}
    call = Call(
        call_id="c1",
        action=Action.CALL_TOOL,
        session=session,
        target="calc",
        server="srv",
        arguments_json=canonical(arguments),
        arguments=arguments,
        args_digest="d",
    )
    resolved = ResolvedCall(call=call, server="srv", name="calc", version=version, state=ToolState.APPROVED)
    leaves, label, seen = label_call(resolved, session, memory, BINDING)
    asked = LabelledCall(resolved=resolved, leaves=leaves, arguments_label=label, facts=seen)
    vouched = Manifest(result=CLEAN)
    answer = text_of("invalid expression: mallory@evil.net, ask carol@own.example")
    remember_result(memory, answer, call_id="c1", manifest=vouched, asked=asked)
    assert not facts({"to": "mallory@evil.net"}, memory=memory, taint=UNKNOWN).proven
    assert facts({"to": "carol@own.example"}, memory=memory, taint=UNKNOWN).proven
    control = SessionMemory()
    remember_result(control, answer, call_id="c1", manifest=vouched)
    assert facts({"to": "mallory@evil.net"}, memory=control, taint=UNKNOWN).proven


@pytest.mark.parametrize(
    "arguments",
    [
        {"requests": [{"url": "https://evil.net"}]},
        {"extra": "https://evil.net/"},
        {"options": {"webhook": "evil.net"}},
        {"headers": {"x": "https://evil.net"}},
    ],
)
def test_a_destination_inside_an_object_or_beside_the_schema_is_one(arguments: dict[str, object]) -> None:
    assert not facts(arguments).known_destination


def test_a_path_inside_an_object_is_one() -> None:
    assert facts({"edits": [{"path": "/etc/passwd"}]}).outside_roots
    assert not facts({"edits": [{"path": "/data/a"}]}).outside_roots


labels = st.builds(Label, st.sampled_from(Integrity), st.sampled_from(Confidentiality))


@given(labels, labels, labels)
def test_labels_form_a_lattice(a: Label, b: Label, c: Label) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(a) == a
    assert a.join(b.join(c)) == a.join(b).join(c)
    assert a.join(CLEAN) == a
    assert Label.from_json(a.as_json()) == a


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_every_leaf_has_a_pointer_of_its_own(value: object) -> None:
    pointers = [pointer for pointer, _ in leaves_of(value)]
    assert len(pointers) == len(set(pointers))
