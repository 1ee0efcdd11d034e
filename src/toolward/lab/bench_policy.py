"""Decision CPU by number of policies: thread CPU time of the decide stage's book, schema-validated.

Run `python -m toolward.lab.bench_policy`. The policies are a plausible mix over 200 tools of 20 servers:
rules for one tool, one server, one role, one user, conditions on arguments, plus the `guarded` profile.
Every question is put to the engine; what remembering answers saves has a row of its own.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from importlib import resources

import orjson

from toolward.lab.quiet import Slowness
from toolward.lab.report import Row, write_report
from toolward.model.call import Action, Call, Facts, LabelledCall, ResolvedCall
from toolward.model.decision import Allow, Ask
from toolward.model.label import CLEAN
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import Effect, Manifest, Path, ToolState, ToolVersion
from toolward.rules.policy import PolicyBook

SIZES = (10, 100, 1_000, 10_000)
GOALS_US = {1_000: 250.0, 10_000: 300.0}
SERVERS, TOOLS = 20, 200
CHUNKS, CALLS = 7, 600
EFFECTS = (Effect.READ_ONLY, Effect.IDEMPOTENT_WRITE, Effect.REVERSIBLE, Effect.IRREVERSIBLE)
SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "amount": {"type": "integer"},
        "rate": {"type": "number"},
        "recipient": {"type": "string"},
        "labels": {"type": "array", "items": {"type": "string"}},
        "options": {
            "type": "object",
            "properties": {"dry_run": {"type": "boolean"}, "region": {"type": "string"}},
            "required": ["dry_run"],
        },
    },
    "required": ["path"],
}


def tools() -> list[ToolVersion]:
    """`TOOLS` tools over `SERVERS` servers."""
    found = []
    for i in range(TOOLS):
        name = f"tool-{i}"
        found.append(
            ToolVersion(
                server=f"srv-{i % SERVERS}",
                name=name,
                definition=orjson.dumps({"name": name, "inputSchema": SCHEMA}),
                definition_digest="sha256:0",
                binding="stdio bench",
                manifest=Manifest(effect=EFFECTS[i % len(EFFECTS)], egress=i % 3 == 0),
                digest=f"sha256:{i}",
            )
        )
    return found


def policies(count: int, versions: Sequence[ToolVersion]) -> str:
    """`count` policies, each kind as often as the others."""
    kinds: tuple[Callable[[int, ToolVersion], str], ...] = (
        lambda i, v: (
            f'permit (principal in Toolward::Role::"role-{i % 17}",'
            f' action == Toolward::Action::"{v.key}", resource)'
            f" when {{ context.args has amount && context.args.amount <= {i}"
            f' && context.args has recipient && context.args.recipient like "*@corp{i}.example" }};'
        ),
        lambda i, v: (
            f'@ask("user") forbid (principal, action == Toolward::Action::"{v.key}", resource)'
            f' when {{ context.args.path like "/secret/{i}/*" }};'
        ),
        lambda i, _v: (
            f'permit (principal == Toolward::User::"user-{i}", action in Toolward::Action::"call", resource)'
            " when { context.call.approved && !context.session.tainted };"
        ),
        lambda i, v: (
            f'forbid (principal in Toolward::Role::"role-{i % 17}",'
            f' action, resource in Toolward::Server::"{v.server}")'
            f" when {{ context.session.calls > {1_000 + i} }};"
        ),
        lambda i, v: (
            f'forbid (principal, action, resource == Toolward::Tool::"{v.key}")'
            f' when {{ context.agent == Toolward::Agent::"agent-{i % 50}" && context.call.egress }};'
        ),
    )
    spread = [versions[(i // len(kinds) * 7) % TOOLS] for i in range(count)]  # each kind meets every tool
    return "\n".join(f'@id("p{i}")\n{kinds[i % len(kinds)](i, version)}' for i, version in enumerate(spread))


def call(version: ToolVersion, number: int) -> LabelledCall:
    """One ordinary call of `version`."""
    arguments = {
        "path": f"/srv/data/{number}.txt",
        "amount": number % 90,
        "rate": 1.25,
        "recipient": "bo@corp0.example",
        "labels": ["a", "b"],
        "options": {"dry_run": False, "region": "eu"},
    }
    who = Principal(
        user="user-2",
        agent="agent-7",
        roles=("role-0", "role-3"),
        credential="bench",
        kind=CredentialKind.API_KEY,
    )
    admitted = Call(
        call_id="bench",
        action=Action.CALL_TOOL,
        session=Session(
            session_id="s", principal=who, origin=SessionOrigin.HANDLE, opened_ns=0, last_used_ns=0
        ),
        target=version.name,
        server=version.server,
        arguments_json=orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS),
        arguments=arguments,
        args_digest="hmac-sha256:0",
    )
    effect = version.manifest.effect
    facts = Facts(
        effect=effect.value,
        writes=effect is not Effect.READ_ONLY,
        egress=version.manifest.egress,
        approved=True,
        path=Path.OPEN,
        inside_roots=True,
        outside_roots=False,
        known_destination=True,
        proven=True,
        assumed=True,
        confidential_argument=False,
        tainted=False,
        read_confidential=False,
        calls=number,
    )
    resolved = ResolvedCall(
        call=admitted,
        server=version.server,
        name=version.name,
        version=version,
        state=ToolState.APPROVED,
    )
    return LabelledCall(resolved=resolved, leaves=(), arguments_label=CLEAN, facts=facts)


def cpu_us(work: Callable[[int], object], count: int) -> float:
    """Thread CPU per call in microseconds: the best of `CHUNKS` chunks, since other load only ever adds."""
    best = float("inf")
    for _ in range(CHUNKS):
        start = time.thread_time_ns()
        for i in range(count):
            work(i)
        best = min(best, (time.thread_time_ns() - start) / count / 1_000)
    return best


def measure(count: int, versions: Sequence[ToolVersion], profile: str, slow: Slowness) -> list[Row]:
    """Rows for one size: warm decision, first decision of a new question, compilation."""
    own = policies(count, versions)
    start = time.thread_time_ns()
    book = PolicyBook.compile(tools=versions, policies={"guarded": profile, "own": own}, answers_max=0)
    compile_ms = (time.thread_time_ns() - start) / 1e6
    calls = [call(versions[(i * 4) % TOOLS], i) for i in range(64)]
    start = time.thread_time_ns()
    answers = {type(book.decide(c)) for c in calls}
    cold_us = (time.thread_time_ns() - start) / len(calls) / 1_000
    if not answers & {Allow, Ask}:
        sys.exit("the benchmark's calls are all denied; it would measure the wrong thing")
    gc.collect()
    gc.disable()
    warm = cpu_us(lambda i: book.decide(calls[i % len(calls)]), CALLS)
    gc.enable()
    kept = sum(len(book.explain(c).considered) for c in calls) / len(calls)
    goal, what = GOALS_US.get(count), f"decision CPU, {count} policies"
    slow.look()
    return [
        *(slow.judged(what, warm, goal) if goal else [Row(what, round(warm, 1), "us")]),
        Row(what=f"policies kept by slicing, {count}", figure=round(kept, 1), unit="", goal="", holds=True),
        Row(
            what=f"first decision of a question, {count}",
            figure=round(cold_us, 1),
            unit="us",
            goal="",
            holds=True,
        ),
        Row(
            what=f"compile and validate, {count}", figure=round(compile_ms, 1), unit="ms", goal="", holds=True
        ),
    ]


def pruning_gain(versions: Sequence[ToolVersion], profile: str) -> list[Row]:
    """What it saves that only the mentioned part of the context is built, and that answers are remembered."""
    book = PolicyBook.compile(tools=versions, policies={"guarded": profile}, answers_max=0)
    one = call(versions[0], 1)
    whole_rule = "forbid (principal, action, resource) when { context != context };"  # looks at all of it
    pruned = cpu_us(lambda _i: book.decide(one), CALLS)
    whole = PolicyBook.compile(
        tools=versions, policies={"guarded": profile, "whole": whole_rule}, answers_max=0
    )
    full = cpu_us(lambda _i: whole.decide(one), CALLS)
    remembering = PolicyBook.compile(tools=versions, policies={"guarded": profile})
    again = cpu_us(lambda _i: remembering.decide(one), CALLS)
    return [
        Row(what="decision CPU, guarded, same question again", figure=round(again, 1), unit="us"),
        Row(
            what="decision CPU, guarded, pruned context",
            figure=round(pruned, 1),
            unit="us",
            goal="",
            holds=True,
        ),
        Row(
            what="decision CPU, guarded, whole context", figure=round(full, 1), unit="us", goal="", holds=True
        ),
    ]


def measure_all(sizes: Sequence[int] = SIZES) -> list[Row]:
    """Every size, and what pruning saves."""
    profile = (resources.files("toolward.catalogue") / "profiles" / "guarded.cedar").read_text("utf-8")
    versions = tools()
    slow = Slowness()
    rows = [row for count in sizes for row in measure(count, versions, profile, slow)]
    return [*rows, slow.row(), *pruning_gain(versions, profile)]


def main() -> None:
    """Measure, print, write `build/reports/bench_policy.json`."""
    write_report("bench_policy", measure_all())


if __name__ == "__main__":
    main()
