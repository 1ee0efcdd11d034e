"""No call that BASE denies is ever asked about or run, whatever people agree to."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.approvals_world import ROLES, ask_desk, policy, sign_up
from tests.harness import WARD, World, code_of, open_world

from toolward.errors import ToolwardError
from toolward.kernel import gateway
from toolward.kernel.attempt import Attempt
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.stages.decide import decide
from toolward.model.call import Action, LabelledCall
from toolward.model.decision import ApprovalNeed, Ask, Decision, Deny
from toolward.ports.store import Table
from toolward.rules.policy.engine import PolicyBook

CALLS = (
    ("files/write", {"path": "/data/a", "text": "x"}),
    ("files/wipe", {"path": "/data/a"}),
    ("files/read", {"path": "/data/a"}),
)
PEOPLE = ("alice", "olga", "otto", "sven", "greta")
WHEN = (
    "",
    "context.session.tainted",
    "context.call.writes",
    "!context.call.proven",
    "context.session.calls < 3",
)
rules = st.lists(
    st.tuples(
        st.sampled_from(
            ["", '@ask("user")', '@ask("owner")', '@ask("owner") @quorum("2")', '@ask("security") @four_eyes']
        ),
        st.sampled_from([call[0] for call in CALLS]),
        st.sampled_from(WHEN),
    ),
    max_size=4,
)
deeds = st.lists(
    st.tuples(st.sampled_from(["approve", "refuse", "break", "grant", "call"]), st.sampled_from(PEOPLE)),
    max_size=8,
)


def text_of(drawn: list[tuple[str, str, str]], *, base: bool) -> str:
    """The rules, or only what no person can lift."""
    return "".join(
        policy(f"rule-{number}", annotations, tool=tool, when=when)
        for number, (annotations, tool, when) in enumerate(drawn)
        if not (base and annotations)
    )


async def denied_by_base(world: World, session: str, call: tuple[str, dict[str, str]]) -> bool:
    """What the plain rules alone say, by a book that never heard of the others."""
    parts, revision = world.house.parts, world.house.revision
    server, _, name = call[0].partition("/")
    live = parts.sessions.current(session)
    assert live is not None
    attempt = Attempt(
        principal=live.principal,
        session_id=session,
        action=Action.CALL_TOOL,
        params={"name": name, "arguments": call[1]},
        server=server,
    )
    resolved = await parts.resolve(parts.admit(attempt, live), revision)
    plain = [each for each in revision.book.policies if each.ask is None]
    book = PolicyBook(revision.book.vocabulary, plain)
    return isinstance(book.decide(parts.label(resolved, revision)), Deny)


async def do(world: World, deed: str, by: str) -> None:
    """One person does something about everything that waits."""
    for shown in await ask_desk(world, by, "approvals.list", state=""):
        verb, more = {
            "approve": ("approvals.approve", {}),
            "refuse": ("approvals.refuse", {}),
            "break": ("approvals.break_glass", {"reason": "because"}),
            "grant": ("grants.make", {"arguments": {"/path": {"anything": True}}}),
        }[deed]
        try:
            await ask_desk(world, by, verb, approval=shown["approval"], **more)
        except ToolwardError:
            continue


async def play(drawn: list[tuple[str, str, str]], acts: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {"toolward.yaml": WARD + ROLES, "policies/a.cedar": text_of(drawn, base=False)}
        async with open_world(Path(folder), files=files) as world:
            await sign_up(world, *PEOPLE)
            session = await world.session()
            for deed, by in [("call", ""), *acts, ("call", "")]:
                if deed != "call":
                    await do(world, deed, by)
                    continue
                for call in CALLS:
                    never = await denied_by_base(world, session, call)
                    before = (len(world.upstreams.ran), len(list(world.store.scan(Table.APPROVAL))))
                    reply = await world.call(session, *call)
                    if never:
                        # what ran before the session was tainted is told again, which is no second run
                        assert (reply.receipt or {}).get("replayed") or code_of(reply) == "denied"
                        after = (len(world.upstreams.ran), len(list(world.store.scan(Table.APPROVAL))))
                        assert after == before, "neither run nor asked about"


@settings(max_examples=40, deadline=None)
@given(rules, deeds)
def test_ask_never_escalates(drawn: list[tuple[str, str, str]], acts: list[tuple[str, str]]) -> None:
    asyncio.run(play(drawn, acts))


def test_the_law_notices_a_question_about_what_base_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(labelled: LabelledCall, revision: ActiveRevision) -> Decision:
        decision = decide(labelled, revision)
        if not isinstance(decision, Deny):
            return decision
        need = ApprovalNeed(policies=("rule-0",), roles=("user",))
        return Ask(need=need, reason=decision.reason, policies=need.policies, policy_digest="")

    monkeypatch.setattr(gateway, "decide", lenient)
    with pytest.raises(AssertionError, match="approval_required"):
        asyncio.run(play([("", "files/write", "")], []))
