"""`check_policies` finds what is wrong, says on which line, and what to do."""

from __future__ import annotations

import pytest

from policy_samples import tool
from toolward.model.tool import Effect
from toolward.rules.policy import Severity, check_policies, read_vocabulary
from toolward.rules.policy.answerable import unanswerable
from toolward.rules.policy.check import read_files
from toolward.rules.policy.policy_text import split_policies

VOCABULARY = read_vocabulary(
    [
        tool(
            "read",
            {"path": {"type": "string"}, "size": {"type": "integer"}, "free": {}},
            required=("path",),
        ),
        tool("drop", effect=Effect.IRREVERSIBLE, server="db"),
    ]
)
READ = 'permit (principal, action == Toolward::Action::"files/read", resource)'

CASES = [
    ("permit (principal, action, resource) when { 1 + };", 1, "does not parse", "mend the policy"),
    ("// c\n\npermit (principal, action, resource)", 3, "has no `;`", "mend"),
    (
        '\npermit (principal, action == Toolward::Action::"files/raed", resource);',
        2,
        "unrecognized action",
        'did you mean `Toolward::Action::"files/read"`',
    ),
    (f'{READ}\nwhen {{\n  context.args.pth == "x" }};', 3, "`args.pth`", "did you mean `context.args.path`"),
    (f"{READ}\nwhen {{ context.args.size > 3 }};", 2, "optional", "`context.args has size && …`"),
    (f"{READ}\nwhen {{ context.args.free == 1 }};", 2, "not found", "its type is not stated"),
    (f"{READ} when {{ context.args.path > 3 }};", 1, "expected Long", "--schema"),
    ("permit (principal is Toolward::Tool, action, resource);", 1, "a principal is never", "context.agent"),
    (
        'permit (principal, action == Toolward::Action::"call", resource);',
        1,
        "never `==` a group",
        "`action in`",
    ),
    (
        'permit (principal == Toolward::Agent::"a", action, resource);',
        1,
        "a principal is never",
        "context.agent",
    ),
    ("permit (principal, action, resource is Toolward::Role);", 1, "a resource is never", "resources are"),
    ('@ask("user") permit (principal, action, resource);', 1, "stands on a permit", ""),
    ("@rollback permit (principal, action, resource);", 1, "`@rollback` is what follows when a forbid", ""),
    ('@ask("user") @rollback forbid (principal, action, resource);', 1, "`@rollback` is what follows", ""),
    ('@rollback("here") forbid (principal, action, resource);', 1, "`@rollback` takes no value", ""),
    ('@aks("user") forbid (principal, action, resource);', 1, "unknown annotation `@aks`", ""),
    ('@quorum("2") forbid (principal, action, resource);', 1, '`@ask("role")` is missing', ""),
    ('@ask("u") @quorum("0") forbid (principal, action, resource);', 1, "is not a number from 1", ""),
    ('@ask("u") @quorum("²") forbid (principal, action, resource);', 1, "is not a number from 1", ""),
    ('@ask("u") @expires("soon") forbid (principal, action, resource);', 1, "is not a duration", ""),
    ('@ask("u") @expires("0s") forbid (principal, action, resource);', 1, "is not a duration", ""),
    ('@ask("u") @four_eyes("no") forbid (principal, action, resource);', 1, "takes no value", ""),
    ("@ask forbid (principal, action, resource);", 1, "names no role", ""),
    ("permit (principal == ?principal, action, resource);", 1, "templates are not supported", ""),
    (
        '@id("a") permit (principal, action, resource);\n@id("a") forbid (principal, action, resource);',
        2,
        "policy id `a` is taken by ward.cedar:1",
        "",
    ),
]


@pytest.mark.parametrize(("text", "line", "words", "remedy"), CASES)
def test_an_error_is_found_with_its_line_and_remedy(text: str, line: int, words: str, remedy: str) -> None:
    found = check_policies({"ward.cedar": text}, VOCABULARY)
    assert len(found) == 1
    assert found[0].severity is Severity.ERROR
    assert (found[0].file, found[0].line) == ("ward.cedar", line)
    assert words in found[0].text
    assert remedy in found[0].remedy


@pytest.mark.parametrize(
    "text",
    [
        'forbid (principal, action, resource == Toolward::Tool::"files/gone");',
        'forbid (principal, action, resource in Toolward::Server::"gone");',
        'permit (principal, action in Toolward::Action::"call", resource is Toolward::Server);',
        "permit (principal, action, resource) when { false };",
        "permit (principal, action, resource) unless { 1 == 1 };",
    ],
)
def test_a_policy_that_can_never_apply_is_a_warning(text: str) -> None:
    (found,) = check_policies({"ward.cedar": text}, VOCABULARY)
    assert found.severity is Severity.WARNING
    assert "never applies" in found.text


def test_a_rule_about_a_group_that_has_no_tool_yet_is_no_finding() -> None:
    text = 'forbid (principal, action in Toolward::Action::"effect:compensable", resource);'
    assert check_policies({"ward.cedar": text}, VOCABULARY) == []


def test_findings_of_several_files_come_in_their_order_and_all_at_once() -> None:
    files = {"b.cedar": "permit (;\nforbid (;", "a.cedar": "permit (;"}
    found = check_policies(files, VOCABULARY)
    assert [(f.file, f.line) for f in found] == [("b.cedar", 1), ("b.cedar", 2), ("a.cedar", 1)]


def test_sound_policies_have_no_findings() -> None:
    text = f'{READ} when {{ context.args has size && context.args.size > 3 }}; @id("x;// \\"") {READ};'
    assert check_policies({"ward.cedar": text, "empty.cedar": "// nothing;\n"}, VOCABULARY) == []


def test_statements_are_split_where_semicolons_end_them_and_nowhere_else() -> None:
    text = '// a; b\npermit (x) when { "a;\\";b" }; // tail; \n\n  forbid "//";\nrest'
    chunks = [(c.line, c.text) for c in split_policies(text)]
    assert chunks == [(2, 'permit (x) when { "a;\\";b" };'), (4, 'forbid "//";'), (5, "rest")]


@pytest.mark.parametrize(
    ("annotations", "warned"),
    [
        ('@ask("user")', ""),
        ('@ask("owner")', ""),
        ('@ask("owner") @quorum("2")', "that can be 1"),
        ('@ask("owner, user") @quorum("2")', ""),
        ('@ask("user") @four_eyes', "that can be nobody"),
        ('@ask("ghost")', "that can be nobody"),
    ],
)
def test_a_question_that_too_few_people_could_answer_is_warned_of(annotations: str, warned: str) -> None:
    [policy] = read_files({"a.cedar": f'@id("a") {annotations} forbid (principal, action, resource);'})[0]
    found = list(unanswerable([policy], {"owner": ("olga",)}))
    assert [warned in each.text for each in found] == ([True] if warned else [])


@pytest.mark.parametrize("value", ["retry", "approval"])
def test_execute_says_when_an_approved_call_runs(value: str) -> None:
    text = f'@ask("user") @execute("{value}") forbid (principal, action, resource);'
    [policy], findings = read_files({"a.cedar": text})
    assert findings == []
    assert policy.ask is not None
    assert policy.ask.at_once is (value == "approval")
    for wrong in (text.replace(value, "now"), text.replace('@ask("user") ', "")):
        assert read_files({"a.cedar": wrong})[1]
