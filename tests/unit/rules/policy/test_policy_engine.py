"""Allow, Ask and Deny exactly as designed; errors deny; books know only what they were compiled with."""

from __future__ import annotations

import cedarpy
import pytest
from msgspec import structs
from typing_extensions import override

from policy_samples import labelled, principal, tool
from toolward.errors import ReasonCode, WardError
from toolward.model.call import Action
from toolward.model.decision import Allow, Ask, Deny
from toolward.model.signal import SignalFacts
from toolward.model.tool import Effect, ToolVersion
from toolward.rules.policy import Ceiling, PolicyBook
from toolward.rules.policy.names import mcp_action_id

READ = tool("read-file.v2", {"path": {"type": "string"}, "size": {"type": "integer"}}, required=("path",))
WRITE = tool("write", {"path": {"type": "string"}}, effect=Effect.REVERSIBLE)
DROP = tool("drop", effect=Effect.IRREVERSIBLE, server="db")
TOOLS = (READ, WRITE, DROP)
PERMIT = '@id("all") permit (principal, action, resource);\n'


def book(text: str, tools: tuple[ToolVersion, ...] = TOOLS, **more: object) -> PolicyBook:
    return PolicyBook.compile(tools=tools, policies={"ward.cedar": text}, **more)  # type: ignore[arg-type]


def test_without_a_permit_nothing_is_allowed() -> None:
    decision = book("").decide(labelled(READ, {"path": "/a"}))
    assert isinstance(decision, Deny)
    assert decision.reason.code is ReasonCode.DENIED
    assert decision.policy_digest == ""


def test_a_permit_allows_and_is_named() -> None:
    decision = book(PERMIT).decide(labelled(READ, {"path": "/a"}))
    assert isinstance(decision, Allow)
    assert decision.policies == ("all",)
    assert decision.policy_digest.startswith("sha256:")


def test_tool_names_with_hyphens_and_dots_are_action_ids_as_they_stand() -> None:
    text = 'permit (principal, action == Toolward::Action::"files/read-file.v2", resource);'
    assert isinstance(book(text).decide(labelled(READ, {"path": "/a"})), Allow)
    assert isinstance(book(text).decide(labelled(WRITE)), Deny)


@pytest.mark.parametrize(
    ("group", "allowed"),
    [
        ("call", {"read-file.v2", "write", "drop"}),
        ("writes", {"write", "drop"}),
        ("server:files", {"read-file.v2", "write"}),
        ("effect:irreversible", {"drop"}),
        ("effect:read_only", {"read-file.v2"}),
        ("mcp", set()),
    ],
)
def test_groups_hold_the_tools_they_name(group: str, allowed: set[str]) -> None:
    policies = book(f'permit (principal, action in Toolward::Action::"{group}", resource);')
    found = {t.name for t in TOOLS if isinstance(policies.decide(labelled(t, {"path": "/a"})), Allow)}
    assert found == allowed


def test_arguments_decide() -> None:
    policies = book(
        PERMIT + 'forbid (principal, action == Toolward::Action::"files/read-file.v2", resource)'
        ' unless { context.args.path like "/srv/*" };'
    )
    assert isinstance(policies.decide(labelled(READ, {"path": "/srv/a"})), Allow)
    decision = policies.decide(labelled(READ, {"path": "/etc/passwd"}))
    assert isinstance(decision, Deny)
    assert decision.reason.remedy == "`arguments.path` must match `/srv/*`"


ASK = (
    '@id("big") @ask("owner, user") @quorum("2") @expires("30m") @four_eyes @reason("it is big") '
    'forbid (principal, action in Toolward::Action::"call", resource) when { context.session.calls > 10 };\n'
)


def test_an_askable_forbid_over_a_permit_is_an_ask_with_what_it_needs() -> None:
    decision = book(PERMIT + ASK).decide(labelled(WRITE, calls=11))
    assert isinstance(decision, Ask)
    assert decision.policies == ("big",)
    assert decision.reason.code is ReasonCode.APPROVAL_REQUIRED
    assert decision.reason.text == "it is big"
    assert (decision.need.roles, decision.need.quorum) == (("owner", "user"), 2)
    assert (decision.need.four_eyes, decision.need.expires_s) == (True, 1800)


def test_an_ask_needs_a_permit_beneath_it() -> None:
    assert isinstance(book(ASK).decide(labelled(WRITE, calls=11)), Deny)


def test_a_plain_forbid_beside_an_askable_one_denies() -> None:
    plain = '@id("no") forbid (principal, action, resource);\n'
    decision = book(PERMIT + ASK + plain).decide(labelled(WRITE, calls=11))
    assert isinstance(decision, Deny)
    assert decision.policies == ("no",)


def test_an_approval_lifts_exactly_the_forbids_it_names() -> None:
    second = (
        '@id("also") @ask("user") forbid (principal, action, resource) when { context.session.tainted };\n'
    )
    policies = book(PERMIT + ASK + second)
    call = labelled(WRITE, calls=11, tainted=True)
    asked = policies.decide(call)
    assert isinstance(asked, Ask)
    assert set(asked.policies) == {"big", "also"}
    assert asked.need.roles == ("user",)
    half = policies.decide(call, lifted=frozenset({"big"}))
    assert isinstance(half, Ask)
    assert half.policies == ("also",)
    assert isinstance(policies.decide(call, lifted=frozenset({"big", "also"})), Allow)
    plain = book(PERMIT + ASK + '@id("no") forbid (principal, action, resource);')
    assert isinstance(plain.decide(call, lifted=frozenset({"big", "no"})), Deny)


ERRING = (
    '@id("sum") forbid (principal, action == Toolward::Action::"files/read-file.v2", resource)'
    " when { context.args has size && context.args.size + 9223372036854775807 > 0 };"
)


def test_a_forbid_that_errs_denies_though_the_bare_engine_allows() -> None:
    bare = cedarpy.is_authorized(
        {
            "principal": 'User::"a"',
            "action": 'Action::"b"',
            "resource": 'Tool::"c"',
            "context": {"size": 1},
        },
        "permit (principal, action, resource);"
        "forbid (principal, action, resource) when { context.size + 9223372036854775807 > 0 };",
        [],
    )
    assert bare.allowed  # the control: an erring forbid is skipped
    decision = book(PERMIT + ERRING).decide(labelled(READ, {"path": "/a", "size": 1}))
    assert isinstance(decision, Deny)
    assert decision.reason.code is ReasonCode.RULE_ERROR
    assert decision.policies == ("sum",)
    assert "9223372036854775807" not in decision.reason.sentence()
    assert isinstance(book(PERMIT + ERRING).decide(labelled(READ, {"path": "/a"})), Allow)


def test_a_permit_that_errs_denies_beside_one_that_holds() -> None:
    erring = ERRING.replace("forbid", "permit")
    assert isinstance(book(PERMIT + erring).decide(labelled(READ, {"path": "/a", "size": 1})), Deny)


def test_a_version_that_the_book_does_not_know_is_denied() -> None:
    later = tool("read-file.v2", {"path": {"type": "string"}, "new": {"type": "string"}})
    decision = book(PERMIT).decide(labelled(later, {"path": "/a"}))
    assert isinstance(decision, Deny)
    assert decision.reason.code is ReasonCode.RULE_ERROR
    assert not book(PERMIT).visible(principal(), later)


def test_each_version_of_a_tool_is_judged_with_its_own_effect() -> None:
    wilder = tool(
        "read-file.v2", {"path": {"type": "string"}, "all": {"type": "boolean"}}, effect=Effect.IRREVERSIBLE
    )
    policies = book(
        'permit (principal, action in Toolward::Action::"effect:read_only", resource);', (READ, wilder)
    )
    assert isinstance(policies.decide(labelled(READ, {"path": "/a"})), Allow)
    assert isinstance(policies.decide(labelled(wilder, {"path": "/a", "all": True})), Deny)


@pytest.mark.parametrize("action", [a for a in Action if a is not Action.CALL_TOOL])
def test_every_action_of_mcp_is_decided_by_policy(action: Action) -> None:
    arguments = {"uri": "file:///a", "name": "x", "level": "debug"}
    call = labelled(None, arguments, action=action, server="files")
    text = f'permit (principal, action == Toolward::Action::"{mcp_action_id(action)}", resource == Toolward::Server::"files");'
    assert isinstance(book(text).decide(call), Allow)
    assert isinstance(book("").decide(call), Deny)
    assert isinstance(book(text).decide(labelled(None, action=action, server="db")), Deny)


def test_a_resource_is_decided_by_its_uri() -> None:
    text = (
        'permit (principal, action == Toolward::Action::"mcp:resources/read", resource)'
        ' when { context.args has uri && context.args.uri like "file:///pub/*" };'
    )
    policies = book(text)
    read = Action.READ_RESOURCE
    assert isinstance(policies.decide(labelled(None, {"uri": "file:///pub/a"}, action=read)), Allow)
    assert isinstance(policies.decide(labelled(None, {"uri": "file:///priv"}, action=read)), Deny)


def test_a_tool_call_without_a_version_is_denied() -> None:
    assert isinstance(book(PERMIT).decide(labelled(None)), Deny)


def test_the_user_and_the_agent_must_both_be_permitted() -> None:
    limits = {"coder": Ceiling(servers=("files",), effects=("read_only",))}
    policies = book(PERMIT, ceilings=limits)
    assert isinstance(policies.decide(labelled(READ, {"path": "/a"})), Allow)
    outside = policies.decide(labelled(DROP))
    assert isinstance(outside, Deny)
    assert outside.reason.text == "agent `coder` is not registered for this"
    assert isinstance(policies.decide(labelled(WRITE)), Deny)
    assert isinstance(policies.decide(labelled(DROP, who=principal(agent="other"))), Allow)
    assert isinstance(policies.decide(labelled(None, action=Action.LIST_TOOLS, server="")), Allow)
    assert isinstance(
        policies.decide(labelled(None, {"uri": "x"}, action=Action.READ_RESOURCE, server="db")), Deny
    )
    assert isinstance(policies.decide(labelled(None, {"uri": "x"}, action=Action.READ_RESOURCE)), Allow)


def test_a_ceiling_that_names_nothing_allows_nothing_and_none_sets_no_limit() -> None:
    nothing = book(PERMIT, ceilings={"coder": Ceiling(tools=(), effects=())})
    assert isinstance(nothing.decide(labelled(READ, {"path": "/a"})), Deny)
    assert isinstance(book(PERMIT, ceilings={"coder": Ceiling()}).decide(labelled(DROP)), Allow)
    quoted = book(PERMIT, ceilings={'x"; permit (principal, action, resource); //': Ceiling(tools=())})
    assert len(quoted.policies) == 3


def test_roles_and_agents_with_strange_names_are_compared_and_never_parsed() -> None:
    odd = 'a"b\\c\n::Role::"x'
    who = principal(user=odd, agent=odd, roles=(odd,))
    assert isinstance(book(PERMIT).decide(labelled(WRITE, who=who)), Allow)
    policies = book('permit (principal in Toolward::Role::"x", action, resource);')
    assert isinstance(policies.decide(labelled(WRITE, who=who)), Deny)


VISIBLE = [
    ("", False),
    (PERMIT, True),
    ('permit (principal, action == Toolward::Action::"db/drop", resource);', False),
    ('permit (principal in Toolward::Role::"staff", action, resource);', True),
    ('permit (principal in Toolward::Role::"root", action, resource);', False),
    (PERMIT + 'forbid (principal, action in Toolward::Action::"writes", resource);', False),
    (PERMIT + '@ask("user") forbid (principal, action in Toolward::Action::"writes", resource);', True),
    (PERMIT + "forbid (principal, action, resource) when { context.session.tainted };", True),
    ("permit (principal, action, resource) when { context.session.tainted };", True),
    ("permit (principal, action, resource) when { !context.call.approved };", False),
    (PERMIT + "forbid (principal, action, resource) unless { context.call.approved };", True),
    (
        PERMIT + 'forbid (principal, action, resource) when { context.agent == Toolward::Agent::"coder" };',
        False,
    ),
    (
        PERMIT + 'forbid (principal, action, resource) when { context.agent == Toolward::Agent::"else" };',
        True,
    ),
    (PERMIT + 'forbid (principal, action, resource) when { principal in Toolward::Role::"staff" };', False),
    (PERMIT + 'forbid (principal, action, resource) unless { resource in Toolward::Server::"files" };', True),
    (
        PERMIT
        + "forbid (principal, action, resource) when { context.session.tainted || context.call.writes };",
        False,
    ),
    (
        PERMIT + "forbid (principal, action, resource) when { if context.call.writes then true else false };",
        False,
    ),
]


@pytest.mark.parametrize(("text", "seen"), VISIBLE)
def test_lists_show_what_policy_could_allow(text: str, seen: bool) -> None:
    policies = book(text)
    assert policies.visible(principal(), WRITE) is seen
    assert policies.visible(principal(), WRITE) is seen  # from the cache


def test_an_explanation_names_the_policies_their_place_and_what_they_saw() -> None:
    why = book("\n" + PERMIT + ERRING).explain(labelled(READ, {"path": "/a", "size": 1}))
    assert isinstance(why.decision, Deny)
    assert why.errors
    assert {p.policy_id: p.line for p in why.considered} == {"all": 2, "sum": 3}
    assert why.context == '{"args":{"size":1}}'
    allowed = book(PERMIT).explain(labelled(WRITE))
    assert [p.policy_id for p in allowed.determining] == ["all"]


def test_an_unrelated_edit_keeps_the_digest_of_a_decision_and_changes_the_books() -> None:
    one, two = (
        book(PERMIT),
        book(PERMIT + 'forbid (principal, action == Toolward::Action::"db/drop", resource);'),
    )
    first, second = one.decide(labelled(WRITE)), two.decide(labelled(WRITE))
    assert isinstance(first, Allow)
    assert isinstance(second, Allow)
    assert first.policy_digest == second.policy_digest
    assert one.digest != two.digest


@pytest.mark.parametrize(
    "text",
    [
        "permit (principal, action, resource",
        'permit (principal, action == Toolward::Action::"files/none", resource);',
        "permit (principal, action, resource) when { context.typo };",
        'forbid (principal, action == Toolward::Action::"files/write", resource) when { context.args.path == "x" };',
        '@ask("user") permit (principal, action, resource);',
    ],
)
def test_a_book_with_a_wrong_policy_does_not_compile(text: str) -> None:
    with pytest.raises(WardError) as caught:
        book(text)
    assert caught.value.file == "ward.cedar"
    assert caught.value.line == 1


@pytest.mark.parametrize("server", ["mcp:resources", "a/b"])
def test_a_server_name_that_could_pass_for_something_else_is_refused(server: str) -> None:
    with pytest.raises(WardError):
        book(PERMIT, (tool("read", server=server),))


def test_remembered_answers_are_those_of_the_engine_whatever_came_before() -> None:
    text = (
        PERMIT
        + ASK
        + 'forbid (principal, action == Toolward::Action::"files/read-file.v2", resource)'
        + ' unless { context.args.path like "/srv/*" };'
        + 'forbid (principal == Toolward::User::"eve", action, resource) when { context.session.tainted };'
    )
    remembering, asking = book(text), book(text, answers_max=0)
    who = [principal(user) for user in ("ann", "eve")]
    for _ in range(2):
        for one in who:
            for tainted in (False, True):
                for calls in (0, 11):
                    for path in ("/srv/a", "/etc/passwd"):
                        call = labelled(READ, {"path": path}, who=one, tainted=tainted, calls=calls)
                        assert remembering.decide(call) == asking.decide(call)


def test_only_what_policies_look_at_makes_a_question_another_one() -> None:
    policies = book(PERMIT + ASK)
    first = policies.decide(labelled(READ, {"path": "/a"}, calls=1))
    assert policies.decide(labelled(READ, {"path": "/b"}, calls=1)) is first
    assert isinstance(policies.decide(labelled(READ, {"path": "/a"}, calls=11)), Ask)


class Unread(SignalFacts):
    """Signals that nobody may look for."""

    @property
    @override
    def secret(self) -> bool:
        raise AssertionError("what no rule at hand can ask about was looked for")


LEAVES = (
    PERMIT + "forbid (principal, action, resource) when { context.call.egress && context.signals.secret };"
)


def test_what_only_idle_rules_look_at_is_not_looked_for() -> None:
    quiet = structs.replace(labelled(WRITE), signals=Unread())
    assert isinstance(book(LEAVES).decide(quiet), Allow)
    sends = structs.replace(quiet, facts=structs.replace(quiet.facts, egress=True))
    with pytest.raises(AssertionError, match="looked for"):
        book(LEAVES).decide(sends)
    assert len(book(LEAVES).explain(labelled(WRITE)).considered) == 2, "an explanation shows idle ones too"


@pytest.mark.parametrize(
    ("condition", "decision"),
    [
        ("context.call.egress && context.args.size + 9223372036854775807 < 0", Allow),
        ("context.args.size + 9223372036854775807 < 0 && context.call.egress", Deny),
    ],
)
def test_a_rule_is_idle_only_if_nothing_before_the_certain_fact_can_err(
    condition: str, decision: type[Allow | Deny]
) -> None:
    rules = book(
        f"{PERMIT}forbid (principal, action, resource) when {{ context.args has size && {condition} }};",
        (READ,),
    )
    assert isinstance(rules.decide(labelled(READ, {"path": "/a", "size": 1})), decision)
