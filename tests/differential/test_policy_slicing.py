"""Slicing, pruning and agent substitution never change a decision.

Three judges must agree on random wards: the engine as it runs (sliced, pruned), the engine given every
policy, and an evaluator of our own written from Cedar's rules, which shares no code with either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from policy_samples import labelled, principal, tool
from toolward.model.call import LabelledCall
from toolward.model.decision import Allow, Ask, Decision, Deny
from toolward.model.tool import Effect, ToolVersion
from toolward.rules.policy import PolicyBook

ARGUMENTS = {
    "path": {"type": "string"},
    "size": {"type": "integer"},
    "deep": {"type": "object", "properties": {"flag": {"type": "boolean"}}},
}
TOOLS = tuple(
    tool(name, ARGUMENTS, server=server, effect=effect, egress=effect is Effect.IRREVERSIBLE)
    for server in ("one", "two")
    for name, effect in (
        ("read", Effect.READ_ONLY),
        ("put", Effect.REVERSIBLE),
        ("drop", Effect.IRREVERSIBLE),
    )
)
USERS, ROLES, AGENTS = ("ann", "bob"), ("dev", "ops"), ("a1", "a2")


@dataclass(frozen=True)
class Condition:
    """Cedar text and what it means: True, False, or an error as None."""

    text: str
    kind: str
    value: Any = None

    def holds(self, call: LabelledCall) -> bool | None:
        args, facts = call.call.arguments, call.facts
        match self.kind:
            case "agent":
                return call.call.session.principal.agent == self.value
            case "fact":
                return bool(getattr(facts, self.value))
            case "path":
                return str(args.get("path", "")).startswith(self.value) and "path" in args
            case "size":
                return "size" in args and args["size"] > self.value
            case "overflow":
                return None if "size" in args and args["size"] > 0 else False
            case "deep":
                return bool(args.get("deep", {}).get("flag", False))
            case "role":
                return self.value in call.call.session.principal.roles
            case "server":
                return call.resolved.server == self.value
            case "whole":
                return bool(facts.tainted or facts.read_confidential)
            case other:
                raise AssertionError(other)


CONDITIONS = [
    *(Condition(f'context.agent == Toolward::Agent::"{a}"', "agent", a) for a in AGENTS),
    *(
        Condition(f"context.{where}.{name}", "fact", name)
        for where, name in (
            ("call", "writes"),
            ("call", "proven"),
            ("session", "tainted"),
            ("call", "egress"),
        )
    ),
    Condition('(context.args has path && context.args.path like "/srv*")', "path", "/srv"),
    Condition("(context.args has size && context.args.size > 5)", "size", 5),
    Condition(
        "(context.args has size && context.args.size > -5 && context.args.size + 9223372036854775807 < 0)",
        "overflow",
    ),
    Condition("(context.args has deep.flag && context.args.deep.flag)", "deep"),
    *(Condition(f'principal in Toolward::Role::"{r}"', "role", r) for r in ROLES),
    *(Condition(f'resource in Toolward::Server::"{s}"', "server", s) for s in ("one", "two")),
    Condition(
        "(if [context.session].contains(context.session)"
        " then context.session.tainted || context.session.read_confidential else false)",
        "whole",
    ),
]

ERRING = [c for c in CONDITIONS if c.kind == "overflow"]  # more often, since only some calls make it err


@dataclass(frozen=True)
class Rule:
    effect: str
    ask: bool
    principal: str
    action: str
    resource: str
    clauses: tuple[tuple[str, tuple[Condition, ...], str], ...]  # (when|unless, conditions, && or ||)

    def text(self, number: int) -> str:
        clauses = " ".join(
            f"{word} {{ {f' {joint} '.join(c.text for c in cs)} }}" for word, cs, joint in self.clauses
        )
        ask = '@ask("user") ' if self.ask else ""
        return (
            f'@id("r{number}") {ask}{self.effect} (principal{self.principal}, action{self.action},'
            f" resource{self.resource}) {clauses};"
        )

    def in_scope(self, call: LabelledCall) -> bool:
        who, version = call.call.session.principal, call.resolved.version
        assert version is not None
        groups = {
            "call",
            f"server:{version.server}",
            f"effect:{version.manifest.effect.value}",
            *(["writes"] if version.manifest.effect is not Effect.READ_ONLY else []),
        }
        names = {
            "": True,
            **{f' == Toolward::User::"{u}"': u == who.user for u in USERS},
            **{f' in Toolward::Role::"{r}"': r in who.roles for r in ROLES},
            " is Toolward::User": True,
            **{f' is Toolward::User in Toolward::Role::"{r}"': r in who.roles for r in ROLES},
            **{f' == Toolward::Action::"{t.key}"': t.key == version.key for t in TOOLS},
            **{
                f' in Toolward::Action::"{g}"': g in groups
                for g in ("call", "writes", "server:one", "effect:read_only", "mcp")
            },
            ' in [Toolward::Action::"one/read", Toolward::Action::"effect:irreversible"]': (
                version.key == "one/read" or version.manifest.effect is Effect.IRREVERSIBLE
            ),
            **{f' == Toolward::Tool::"{t.key}"': t.key == version.key for t in TOOLS},
            **{f' in Toolward::Server::"{s}"': s == version.server for s in ("one", "two")},
            " is Toolward::Tool": True,
        }
        return names[self.principal] and names[self.action] and names[self.resource]

    def holds(self, call: LabelledCall) -> bool | None:
        """Cedar joins the clauses with `&&`, left to right, and stops at the first false or error."""
        for word, conditions, joint in self.clauses:
            value = _joined(conditions, joint, call)
            if value is None:
                return None
            if value is (word == "unless"):
                return False
        return True


def _joined(conditions: tuple[Condition, ...], joint: str, call: LabelledCall) -> bool | None:
    stop = joint == "||"
    for condition in conditions:
        value = condition.holds(call)
        if value is None or value is stop:
            return value
    return not stop


def naive(rules: list[Rule], call: LabelledCall) -> str:
    """Allow, Ask or Deny straight from the design's words."""
    answers = [(r, r.holds(call)) for r in rules if r.in_scope(call)]
    if any(value is None for _, value in answers):
        return "Deny"
    holding = [r for r, value in answers if value]
    permitted = any(r.effect == "permit" for r in holding)
    plain = any(r.effect == "forbid" and not r.ask for r in holding)
    asking = any(r.ask for r in holding)
    if not permitted or plain:
        return "Deny"
    return "Ask" if asking else "Allow"


def scopes(*extra: str) -> st.SearchStrategy[str]:
    return st.just("") | st.just("") | st.sampled_from(extra)


rules = st.builds(
    lambda effect, ask, who, action, resource, clauses: Rule(
        effect, ask and effect == "forbid", who, action, resource, tuple(clauses)
    ),
    st.sampled_from(["permit", "permit", "forbid"]),
    st.booleans(),
    scopes(
        *(f' == Toolward::User::"{u}"' for u in USERS),
        *(f' in Toolward::Role::"{r}"' for r in ROLES),
        *(f' is Toolward::User in Toolward::Role::"{r}"' for r in ROLES),
        " is Toolward::User",
    ),
    # Always some tool action: `args` has these members for tools only, and a rule for all would not validate.
    st.sampled_from(
        [
            *(f' == Toolward::Action::"{t.key}"' for t in TOOLS),
            *(
                f' in Toolward::Action::"{g}"'
                for g in ("call", "call", "call", "writes", "server:one", "effect:read_only")
            ),
            ' in [Toolward::Action::"one/read", Toolward::Action::"effect:irreversible"]',
        ]
    ),
    scopes(
        *(f' == Toolward::Tool::"{t.key}"' for t in TOOLS),
        *(f' in Toolward::Server::"{s}"' for s in ("one", "two")),
        " is Toolward::Tool",
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["when", "unless"]),
            st.lists(st.sampled_from([*CONDITIONS, *ERRING * 3]), min_size=1, max_size=3).map(tuple),
            st.sampled_from(["&&", "||"]),
        ),
        max_size=2,
    ),
)

ALL = Rule("permit", False, "", ' in Toolward::Action::"call"', "", ())
# Half of the wards permit everything first: otherwise most calls are denied for want of a permit.
wards = st.tuples(st.sampled_from([(), (ALL,)]), st.lists(rules, min_size=1, max_size=8)).map(
    lambda parts: [*parts[0], *parts[1]]
)

calls = st.builds(
    lambda version, user, roles, agent, args, facts: labelled(
        version, args, who=principal(user, agent, tuple(sorted(roles))), **facts
    ),
    st.sampled_from(TOOLS),
    st.sampled_from(USERS),
    st.sets(st.sampled_from(ROLES)),
    st.sampled_from(AGENTS),
    st.fixed_dictionaries(
        {},
        optional={
            "path": st.sampled_from(["/srv/a", "/etc"]),
            "size": st.sampled_from([6, 7, 0, -10]),
            "deep": st.fixed_dictionaries({}, optional={"flag": st.booleans()}),
        },
    ),
    st.fixed_dictionaries(
        {}, optional={k: st.booleans() for k in ("tainted", "proven", "read_confidential")}
    ),
)


def name(decision: Decision) -> str:
    return type(decision).__name__


def compiled(some: list[Rule]) -> tuple[PolicyBook, PolicyBook]:
    text = "\n".join(rule.text(i) for i, rule in enumerate(some))
    book = PolicyBook.compile(tools=TOOLS, policies={"r.cedar": text})
    return book, PolicyBook(book.vocabulary, book.policies, sliced=False)


@given(wards, st.lists(calls, min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_sliced_whole_and_naive_judges_agree(some: list[Rule], asked: list[LabelledCall]) -> None:
    sliced, whole = compiled(some)
    for call in asked:
        quick, full = sliced.decide(call), whole.decide(call)
        assert quick == full
        assert name(quick) == naive(some, call)
        assert sliced.decide(call) == quick  # and the cached answer is the same


@given(wards, st.lists(calls, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_could_be_allowed_or_asked_is_never_hidden(some: list[Rule], asked: list[LabelledCall]) -> None:
    book, _ = compiled(some)
    for call in asked:
        version = call.resolved.version
        assert isinstance(version, ToolVersion)
        if not isinstance(book.decide(call), Deny):
            assert book.visible(call.call.session.principal, version)


@given(wards, rules, st.lists(calls, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_one_more_forbid_never_allows_more(some: list[Rule], more: Rule, asked: list[LabelledCall]) -> None:
    forbid = Rule("forbid", more.ask, more.principal, more.action, more.resource, more.clauses)
    before, _ = compiled(some)
    after, _ = compiled([*some, forbid])
    rank = {Deny: 0, Ask: 1, Allow: 2}
    for call in asked:
        assert rank[type(after.decide(call))] <= rank[type(before.decide(call))]
