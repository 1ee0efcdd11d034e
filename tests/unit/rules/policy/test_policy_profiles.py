"""The shipped profiles, one test for each row of the table of DESIGN section 6."""

from __future__ import annotations

from importlib import resources

import pytest

from policy_samples import labelled, principal, tool
from toolward.model.call import Action
from toolward.model.decision import Allow, Ask, Decision, Deny
from toolward.model.tool import Effect, ToolVersion
from toolward.rules.policy import (
    Book,
    Ceiling,
    PolicyBook,
    Profile,
    check_policies,
    compile_profile,
    read_vocabulary,
)

READ = tool("read", {"path": {"type": "string"}})
FETCH = tool("fetch", {"url": {"type": "string"}}, egress=True)
UNDO = tool("move", effect=Effect.REVERSIBLE)
COMPENSATE = tool("book", effect=Effect.COMPENSABLE)
WRITE = tool("write", {"path": {"type": "string"}}, effect=Effect.IDEMPOTENT_WRITE)
SEND = tool("send", {"to": {"type": "string"}}, effect=Effect.IRREVERSIBLE, egress=True)
TOOLS = (READ, FETCH, UNDO, COMPENSATE, WRITE, SEND)
SHIPPED = {
    p: (resources.files("toolward.catalogue") / "profiles" / f"{p.value}.cedar").read_text("utf-8")
    for p in Profile
}
BOOKS: dict[Profile, Book] = {p: compile_profile(p, shipped=SHIPPED, tools=TOOLS) for p in Profile}


def decide(profile: Profile, version: ToolVersion, **facts: object) -> Decision:
    return BOOKS[profile].decide(labelled(version, **facts))  # type: ignore[arg-type]


def short(decision: Decision) -> str:
    return type(decision).__name__


# (row, tool, facts, observe's `would`, guarded, strict)
ROWS = [
    ("confirmed read", READ, {}, "Allow", "Allow"),
    ("confirmed read, tainted", READ, {"tainted": True}, "Allow", "Allow"),
    ("confirmed read after a confidential one", READ, {"read_confidential": True}, "Allow", "Allow"),
    ("not confirmed", READ, {"approved": False}, "Deny", "Deny"),
    ("reversible write, clean", UNDO, {}, "Allow", "Ask"),
    ("reversible write, clean, proven", UNDO, {"proven": True}, "Allow", "Allow"),
    ("compensable write, clean", COMPENSATE, {}, "Allow", "Ask"),
    ("reversible write outside roots, clean", UNDO, {"outside_roots": True}, "Allow", "Ask"),
    ("write in roots, clean", WRITE, {"inside_roots": True, "proven": True}, "Allow", "Allow"),
    ("write without paths, clean", WRITE, {"proven": True}, "Allow", "Allow"),
    ("write outside roots, clean", WRITE, {"outside_roots": True, "proven": True}, "Ask", "Ask"),
    ("reversible write, tainted", UNDO, {"tainted": True}, "Ask", "Ask"),
    ("reversible write, tainted, proven", UNDO, {"tainted": True, "proven": True}, "Allow", "Allow"),
    ("write in roots, tainted", WRITE, {"tainted": True, "inside_roots": True}, "Ask", "Ask"),
    ("irreversible, clean", SEND, {}, "Ask", "Ask"),
    ("irreversible, clean, proven", SEND, {"proven": True}, "Ask", "Ask"),
    ("fetch, clean", FETCH, {"known_destination": False}, "Allow", "Ask"),
    ("fetch, known", FETCH, {"tainted": True}, "Allow", "Ask"),
    ("fetch, unknown, tainted", FETCH, {"tainted": True, "known_destination": False}, "Ask", "Ask"),
    (
        "unknown destination after a confidential read",
        FETCH,
        {"read_confidential": True, "known_destination": False, "proven": True},
        "Deny",
        "Deny",
    ),
    (
        "known destination after a confidential read",
        FETCH,
        {"read_confidential": True, "proven": True},
        "Allow",
        "Allow",
    ),
    ("confidential value to egress", FETCH, {"confidential_argument": True, "proven": True}, "Deny", "Deny"),
    ("confidential value, no egress", READ, {"confidential_argument": True}, "Allow", "Allow"),
    ("irreversible with confidential value", SEND, {"confidential_argument": True}, "Deny", "Deny"),
    ("critical, assumed", UNDO, {"critical": True}, "Ask", "Ask"),
    ("critical, proven", UNDO, {"critical": True, "proven": True}, "Allow", "Allow"),
]


@pytest.mark.parametrize(("row", "version", "facts", "guarded", "strict"), ROWS, ids=[r[0] for r in ROWS])
def test_each_row_of_the_table(
    row: str, version: ToolVersion, facts: dict[str, object], guarded: str, strict: str
) -> None:
    assert short(decide(Profile.GUARDED, version, **facts)) == guarded
    assert short(decide(Profile.STRICT, version, **facts)) == strict
    observed = decide(Profile.OBSERVE, version, **facts)
    if facts.get("approved") is False:
        assert short(observed) == "Deny"
        return
    assert isinstance(observed, Allow)
    would = {"Allow": None, "Ask": "approval_required", "Deny": "denied"}[guarded]
    assert (observed.would.code.value if observed.would else None) == would


def test_observe_allows_because_of_its_own_permits_and_tells_why_guarded_would_not() -> None:
    decision = decide(Profile.OBSERVE, SEND)
    assert isinstance(decision, Allow)
    assert decision.policies == ("observe/approved-tools",)
    assert decision.would is not None
    assert decision.would.text == "what this tool does can not be undone"
    why = BOOKS[Profile.OBSERVE].explain(labelled(SEND))
    assert [p.policy_id for p in why.determining] == ["guarded/irreversible"]


def test_while_observing_a_wards_own_forbid_only_speaks_and_a_ceiling_holds() -> None:
    own = {"own.cedar": '@id("own") forbid (principal, action, resource);'}
    limits = {"coder": Ceiling(tools=("files/read",))}
    book = compile_profile(Profile.OBSERVE, shipped=SHIPPED, tools=TOOLS, policies=own, ceilings=limits)
    decision = book.decide(labelled(READ))
    assert isinstance(decision, Allow)
    assert decision.would is not None
    assert isinstance(book.decide(labelled(WRITE)), Deny)
    assert book.visible(principal(), READ)
    assert not book.visible(principal(), WRITE)


@pytest.mark.parametrize("profile", [Profile.GUARDED, Profile.STRICT])
def test_the_other_actions_pass_and_a_servers_requests_are_watched(profile: Profile) -> None:
    book = BOOKS[profile]
    for action in Action:
        if action in (Action.CALL_TOOL, Action.SAMPLE):
            continue
        if (
            action is Action.PROPOSE_SERVER
        ):  # a stranger's server is nothing that a profile lets an agent name
            assert isinstance(book.decide(labelled(None, action=action)), Deny)
            continue
        assert isinstance(book.decide(labelled(None, action=action)), Allow), action
    sampling = book.decide(labelled(None, action=Action.SAMPLE, read_confidential=True))
    assert isinstance(sampling, Ask)
    clean = book.decide(labelled(None, action=Action.SAMPLE))
    assert short(clean) == ("Allow" if profile is Profile.GUARDED else "Ask")


@pytest.mark.parametrize("profile", list(Profile))
def test_every_shipped_policy_is_found_sound_and_has_its_words(profile: Profile) -> None:
    assert check_policies({profile.value: SHIPPED[profile]}, read_vocabulary(TOOLS)) == []
    book = PolicyBook.compile(tools=TOOLS, policies={profile.value: SHIPPED[profile]})
    for policy in book.policies:
        assert policy.policy_id.startswith(f"{profile.value}/")
        assert policy.annotations["reason"]
        assert policy.permits or policy.annotations["remedy"]


@pytest.mark.parametrize("profile", list(Profile))
def test_a_profile_compiles_for_a_ward_without_any_tool(profile: Profile) -> None:
    compile_profile(profile, shipped=SHIPPED, tools=())
