"""When votes are enough, and what a grant covers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import a_permit, a_version

from toolward.model.approval import Grant, Pattern, Voter
from toolward.model.call import LabelledCall
from toolward.model.decision import ApprovalNeed
from toolward.model.tool import Argument, ArgumentRole
from toolward.rules.approval import is_satisfied, may_answer, question_of, subject_of
from toolward.rules.grant import covers
from toolward.rules.policy.wording import approval_need


def part(name: str, *roles: str, quorum: int = 1, four_eyes: bool = False) -> ApprovalNeed:
    return ApprovalNeed(policies=(name,), roles=roles, quorum=quorum, four_eyes=four_eyes)


def voter(user: str, *roles: str) -> Voter:
    return Voter(user=user, roles=frozenset(roles))


ALICE = voter("alice")
OLGA, OTTO = voter("olga", "owner"), voter("otto", "owner")
SVEN = voter("sven", "security")


@pytest.mark.parametrize(
    ("need", "voters", "enough"),
    [
        (part("a", "user"), [], False),
        (part("a", "user"), [ALICE], True),
        (part("a", "user"), [OLGA], False),
        (part("a", "user"), [voter("mallory", "user")], False),  # the role `user` is no role of the ward
        (part("a", "user", "owner"), [OLGA], True),
        (part("a", "owner", quorum=2), [OLGA], False),
        (part("a", "owner", quorum=2), [OLGA, OLGA], False),  # persons, not votes
        (part("a", "owner", quorum=2), [OLGA, OTTO], True),
        (part("a", "owner", four_eyes=True), [voter("alice", "owner")], False),
        (part("a", "owner", quorum=2, four_eyes=True), [voter("alice", "owner"), OLGA], False),
        (part("a", "owner", four_eyes=True), [OLGA], True),
    ],
)
def test_one_forbids_demand(need: ApprovalNeed, voters: list[Voter], enough: bool) -> None:
    assert is_satisfied(need, voters, asker="alice") is enough


@pytest.mark.parametrize(
    ("parts", "voters", "enough"),
    [
        ([part("a", "user"), part("b", "security")], [ALICE], False),
        ([part("a", "user"), part("b", "security")], [ALICE, SVEN], True),
        ([part("a", "user"), part("b", "security", four_eyes=True)], [ALICE, SVEN], True),
        ([part("a", "owner", quorum=2), part("b", "security")], [OLGA, SVEN], False),
        ([part("a", "owner", quorum=2), part("b", "security")], [OLGA, OTTO, SVEN], True),
        ([part("a", "owner", "user"), part("b", "owner")], [ALICE], False),
        ([part("a", "owner", "user"), part("b", "owner")], [OLGA], True),
    ],
)
def test_several_forbids_at_once_each_have_their_demand(
    parts: list[ApprovalNeed], voters: list[Voter], enough: bool
) -> None:
    assert is_satisfied(approval_need(parts), voters, asker="alice") is enough


def test_who_stands_in_counts_once_and_not_for_itself_under_four_eyes() -> None:
    need = part("a", "owner", quorum=2, four_eyes=True)
    carla, asker = voter("carla", "chief"), voter("alice", "chief")
    assert not is_satisfied(need, [OLGA, carla], asker="alice")
    assert is_satisfied(need, [OLGA, carla], asker="alice", stand_ins=("chief",))
    assert not is_satisfied(need, [carla, carla], asker="alice", stand_ins=("chief",)), "the quorum stays"
    assert not is_satisfied(need, [carla, asker], asker="alice", stand_ins=("chief",)), "four eyes stay"
    assert may_answer(need, asker, asker="alice", stand_ins=("chief",)) == ""


# --- what an approval is bound to ------------------------------------------------------------------------


def asked(arguments: dict[str, Any], **extra: Any) -> LabelledCall:
    return a_permit("files", "wipe", arguments, **extra).labelled


def test_the_question_is_another_one_for_another_session_version_or_set_of_policies() -> None:
    call = asked({"path": "/a"})
    subject = subject_of(call, retry_digest="")
    assert subject == subject_of(asked({"path": "/a"}), retry_digest="")
    assert subject != subject_of(asked({"path": "/a"}, session_id="other"), retry_digest="")
    assert subject != subject_of(call, retry_digest="hmac-sha256:1")
    question = question_of(subject, call, policy_digest="sha256:1")
    assert question != question_of(subject, call, policy_digest="sha256:2")
    longer = asked({"path": "/a"}, arguments_json=b"{}")
    assert question == question_of(subject, longer, policy_digest="sha256:1")


# --- grants ----------------------------------------------------------------------------------------------

CONTENT = Argument(role=ArgumentRole.CONTENT)


def grant(session_id: str = "", **arguments: Pattern) -> Grant:
    return Grant(
        grant_id="g",
        by="alice",
        credential="c",
        user="alice",
        agent="scripted",
        session_id=session_id,
        tool="files/write",
        version=a_version("files", "write", arguments={"note": CONTENT}).digest,
        arguments={f"/{name}": pattern for name, pattern in arguments.items()},
        parts=(),
        uses=1,
        made_ms=0,
        expires_ms=1,
    )


def writing(arguments: dict[str, Any], name: str = "write") -> LabelledCall:
    version = a_version("files", name, arguments={"note": CONTENT})
    return a_permit("files", name, arguments, version=version).labelled


@pytest.mark.parametrize(
    ("pattern", "value", "covered"),
    [
        (Pattern(equals="/data/a"), "/data/a", True),
        (Pattern(equals="/data/a"), "/data/b", False),
        (Pattern(equals=1), True, False),  # JSON tells a number from a truth value
        (Pattern(equals=["a"]), ["a"], False),  # patterns are for single values
        (Pattern(under="/data"), "/data/x/y", True),
        (Pattern(under="/data"), "/data", True),
        (Pattern(under="/data"), "/database", False),  # a prefix of the path, not of the text
        (Pattern(under="/data"), "/data/../etc/passwd", False),
        (Pattern(under="/data"), "/data/%2e%2e/etc", False),
        (Pattern(under="example.org"), "https://example.org/x", True),
        (Pattern(under="example.org"), "https://example.org.evil.test/x", False),
        (Pattern(under="example.org"), "ann@example.org", True),
        (Pattern(anything=True), {"deep": []}, False),  # one value, not whatever hangs below it
        (Pattern(anything=True), "whatever", True),
    ],
)
def test_a_pattern_covers_values_and_not_texts_that_look_alike(
    pattern: Pattern, value: Any, covered: bool
) -> None:
    assert covers(grant(path=pattern), writing({"path": value})) is covered


def test_what_a_grant_does_not_name_it_does_not_cover() -> None:
    exact = grant(path=Pattern(equals="/data/a"))
    assert covers(exact, writing({"path": "/data/a"}))
    assert not covers(exact, writing({"path": "/data/a", "force": True})), "an argument more"
    assert not covers(exact, writing({"path": "/data/a", "also": []})), "an empty list may mean all"
    assert not covers(exact, writing({})), "an argument less"
    assert not covers(exact, writing({"path": "/data/a"}, name="wipe")), "another tool"
    assert not covers(grant(), writing({"path": "/data/a"})), "no pattern at all"
    assert not covers(grant("other", path=Pattern(anything=True)), writing({"path": "/x"})), "another session"


def test_content_is_free_unless_a_pattern_names_it() -> None:
    call = writing({"path": "/data/a", "note": "x"})
    assert covers(grant(path=Pattern(equals="/data/a")), call)
    assert not covers(grant(path=Pattern(equals="/data/a"), note=Pattern(equals="y")), call)
