"""Objectives: what a step names, its bounds, decision-critical steps, who opens, moves and ends, what success is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.approvals_world import approval_of, ask_desk, sign_up
from tests.harness import AGENT, MANIFESTS, OPERATOR, WARD, World, code_of, open_world

from toolward.adapters.stores.memory import MemoryStore
from toolward.errors import Denied, Rejected
from toolward.governance.desk import invoke
from toolward.kernel.attempt import CONFIDENCE_META, PATH_META
from toolward.kernel.objectives.conduct import Ended
from toolward.model.call import Action, Reply
from toolward.model.principal import CredentialKind, Principal

REPORT = """\
name: report
purpose: write the report to /data/report
owner: finance
steps:
  - name: collect
    tools: [files/read*]
    bounds: {calls: 3, time_s: 60}
  - name: publish
    tools: [files/read, files/write]
    decision_critical: true
    bounds: {written: 1}
  - name: tell
    tools: [mail/*]
    bounds: {bytes_out: 60}
success:
  steps: [collect]
  tools: [files/write]
  verify:
    - {tool: files/read, arguments: {path: /data/report}, contains: done}
"""
FILES = {
    "toolward.yaml": WARD + "rollback: {on: [failure]}\n",
    "tools/files.yaml": MANIFESTS["files"].replace(
        "text: {role: content}}}",
        'text: {role: content}}, undo: {compensate: {tool: write, arguments: {path: /input/path, text: {value: ""}}}}}',
    ),
    "tools/mail.yaml": MANIFESTS["mail"],
    "objectives/report.yaml": REPORT,
}
SECOND = Principal(user="petra", agent="cli", credential="person-2", kind=CredentialKind.PERSON)
HOST = Principal(user="olga", agent="scripted", credential="host-1", kind=CredentialKind.HOST)
WRITE = {"path": "/data/report", "text": "x"}


def open_reports(folder: Path, **options: Any) -> Any:
    return open_world(folder, **{"files": FILES, **options})


async def approve(world: World, by: Principal = OPERATOR) -> None:
    _ = await invoke(world.house.desk, "objectives.approve", {"objective": "report"}, by)


async def step(world: World, session: str, name: str) -> None:
    _ = await world.house.conduct.step(session, name, by=AGENT)


async def finish(world: World, session: str) -> Ended:
    return await world.house.conduct.finish(session, by=AGENT)


async def add_policy(world: World, folder: Path, text: str) -> None:
    """Once the tools are known: a policy that names an unknown one does not validate."""
    (folder / "policies").mkdir()
    (folder / "policies" / "own.cedar").write_text(text)
    await world.house.desk.reload(OPERATOR)


async def listed(world: World, session: str) -> list[str]:
    reply = await world.perform(session, Action.LIST_TOOLS, {})
    assert reply.result is not None
    return [each["name"] for each in reply.result["tools"]]


async def said(world: World, session: str, key: str, arguments: Mapping[str, Any], **meta: Any) -> Reply:
    server, _, name = key.partition("/")
    params = {"name": name, "arguments": arguments, "_meta": meta}
    return await world.perform(session, Action.CALL_TOOL, params, server=server)


async def test_a_session_sees_and_calls_what_its_step_names_and_nothing_else(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session, control = await world.session(objective="report"), await world.session(objective="A report")
        assert await listed(world, session) == ["files__read", "files__read_secret"]
        assert (await world.call(session, "files/read", {"path": "/data/a"})).error is None
        refused = await world.call(session, "files/write", WRITE)
        assert code_of(refused) == "not_in_step"
        assert refused.error is not None
        assert refused.error.data["details"] == {
            "objective": "report",
            "step": "collect",
            "tools": "files/read*",
            "other_steps": "publish, tell",
        }
        assert [ran[0] for ran in world.upstreams.ran] == ["files/read"]
        assert (await world.call(control, "files/write", WRITE)).error is None
        await step(world, session, "tell")
        assert await listed(world, session) == ["mail__fetch", "mail__send"]
        assert code_of(await world.call(session, "files/read", {"path": "/data/a"})) == "not_in_step"


async def test_a_tool_that_a_step_does_not_name_is_not_even_asked_for(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session = await world.session(objective="report")
        assert code_of(await world.call(session, "files/none", {})) == "not_in_step"
        assert code_of(await world.call(session, "files/write", {"wrong": 1})) == "not_in_step"


async def test_resources_are_read_from_servers_of_the_step_and_never_in_a_critical_one(
    tmp_path: Path,
) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session = await world.session(objective="report")

        async def read(server: str) -> Reply:
            return await world.perform(session, Action.READ_RESOURCE, {"uri": "x:y"}, server=server)

        assert (await read("files")).error is None
        assert code_of(await read("mail")) == "not_in_step"
        await step(world, session, "publish")
        assert code_of(await read("files")) == "secure_path"


@pytest.mark.parametrize("name", ["reprot", "no-such-objective", "x"])
async def test_a_name_that_is_not_declared_opens_nothing(tmp_path: Path, name: str) -> None:
    async with open_reports(tmp_path) as world:
        with pytest.raises(Rejected) as refused:
            await world.session(objective=name)
        assert refused.value.reason.code.value == "unknown_objective"
        assert "report" in refused.value.reason.remedy


async def test_words_of_the_hosts_own_have_no_steps(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        session = await world.session(objective="tidy up")
        with pytest.raises(Rejected) as refused:
            await step(world, session, "collect")
        assert refused.value.reason.code.value == "unknown_step"


@pytest.mark.parametrize("name", ["pulbish", "", "verify"])
async def test_a_step_that_is_not_declared_is_not_entered(tmp_path: Path, name: str) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session = await world.session(objective="report")
        with pytest.raises((Denied, Rejected)) as refused:
            await step(world, session, name)
        assert refused.value.reason.code.value == "unknown_step"
        assert (await world.call(session, "files/read", {"path": "/data/a"})).error is None


async def test_the_bounds_of_a_step_hold_across_visits_and_restarts(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session = await world.session(objective="report")
        for _ in range(2):
            assert (await world.call(session, "files/read", {"path": "/data/a"})).error is None
        await step(world, session, "tell")
        await step(world, session, "collect")
        assert (await world.call(session, "files/read", {"path": "/data/a"})).error is None
        assert code_of(await world.call(session, "files/read", {"path": "/data/a"})) == "step_used_up"
        store: MemoryStore = world.store
    async with open_reports(tmp_path, store=store, approved=False) as again:
        await again.house.parts.drift.refresh("files")
        assert code_of(await again.call(session, "files/read", {"path": "/data/a"})) == "step_used_up"
        known = again.house.parts.sessions.current(session)
        assert known is not None
        assert [(run.name, run.calls) for run in known.runs] == [("collect", 3), ("tell", 0)]


async def test_calls_that_run_at_once_can_not_pass_a_bound_together(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session = await world.session(objective="report")
        calls = (world.call(session, "files/read", {"path": f"/data/{n}"}) for n in range(10))
        replies = await asyncio.gather(*calls)
        assert sum(reply.error is None for reply in replies) == 3


async def test_time_written_calls_and_bytes_out_are_bounded(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session = await world.session(objective="report", prompt="fetch https://example.org/1")
        world.clock.advance(61)
        assert code_of(await world.call(session, "files/read", {"path": "/data/a"})) == "step_used_up"
        await step(world, session, "publish")
        assert (await world.call(session, "files/write", WRITE)).error is None
        assert code_of(await world.call(session, "files/write", WRITE)) == "step_used_up"
        assert (await world.call(session, "files/read", {"path": "/data/a"})).error is None
        await step(world, session, "tell")
        short = {"url": "https://example.org/1"}
        assert (await world.call(session, "mail/fetch", short)).error is None
        assert code_of(await world.call(session, "mail/fetch", short)) == "step_used_up"


async def test_a_critical_step_goes_the_secure_path_and_says_why(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session, control = await world.session(objective="report"), await world.session()
        await step(world, session, "publish")
        # in a clean session too a target is asked about that nobody named; outside critical steps it is not
        elsewhere = {"path": "/elsewhere/b", "text": "x"}
        assert code_of(await world.call(session, "files/write", elsewhere)) == "approval_required"
        assert (await world.call(control, "files/write", elsewhere)).error is None
        _ = await world.call(session, "files/read", {"path": "/data/report"})
        _ = await world.call(control, "files/read", {"path": "/data/report"})
        critical, plain = world.records("call.merged")
        assert (critical["path"], critical["step"], critical["objective"]) == ("secure", "publish", "report")
        assert critical["path_why"] == "the step `publish` of `report` is decision-critical"
        assert (plain["path"], plain["path_why"]) == ("open", "an approved tool that only reads")
        assert "step" not in plain
        assert (await world.call(session, "files/write", WRITE)).error is None  # the purpose names it


async def test_the_host_and_a_policy_move_calls_to_the_secure_path_and_nobody_moves_them_back(
    tmp_path: Path,
) -> None:
    moving = """@id("careful") @path("secure")
permit (principal, action == Toolward::Action::"files/read", resource)
when { context.args.path like "/data/secret*" };
"""
    async with open_reports(tmp_path) as world:
        await add_policy(world, tmp_path, moving)
        session = await world.session()
        _ = await world.call(session, "files/read", {"path": "/data/secret-1"})
        _ = await world.call(session, "files/read", {"path": "/data/plain"})
        _ = await said(world, session, "files/read", {"path": "/data/plain"}, **{PATH_META: "secure"})
        assert [(each["path"], each["path_why"]) for each in world.records("call.merged")] == [
            ("secure", "policy `careful` moves it there"),
            ("open", "an approved tool that only reads"),
            ("secure", "the caller's host moved it there"),
        ]
        other = {"path": "/elsewhere/b", "text": "x"}
        moved = await said(world, session, "files/write", other, **{PATH_META: "secure"})
        assert code_of(moved) == "approval_required"
        for wish in ("open", "", None, True, 1):
            refused = await said(world, session, "files/read", {"path": "/data/a"}, **{PATH_META: wish})
            assert code_of(refused) == "malformed"


@pytest.mark.parametrize(
    ("sent", "recorded"),
    [(0.85, "0.8500"), (1, "1.0000"), (0, "0.0000"), (0.99999, "0.9999"), (1e-9, "0.0000")],
)
async def test_confidence_is_recorded_as_self_reported(tmp_path: Path, sent: float, recorded: str) -> None:
    async with open_reports(tmp_path) as world:
        session = await world.session()
        meta = {CONFIDENCE_META: sent}
        assert (await said(world, session, "files/read", {"path": "/data/a"}, **meta)).error is None
        assert world.records("call.merged")[0]["self_reported"] == {"confidence": recorded}


@pytest.mark.parametrize("sent", [-0.1, 1.1, True, "0.9", None, float("nan"), 10**30, [], {}])
async def test_a_confidence_that_is_none_is_refused(tmp_path: Path, sent: Any) -> None:
    async with open_reports(tmp_path) as world:
        session = await world.session()
        meta = {CONFIDENCE_META: sent}
        assert code_of(await said(world, session, "files/read", {"path": "/data/a"}, **meta)) == "malformed"


async def test_a_call_that_waited_for_a_person_is_judged_with_what_came_with_it(tmp_path: Path) -> None:
    unsure = """@id("sure") @ask("user") @execute("approval")
forbid (principal, action == Toolward::Action::"files/write", resource)
unless { context.call has confidence && context.call.confidence.greaterThan(decimal("0.9")) };
@id("unsure") forbid (principal, action == Toolward::Action::"files/write", resource)
unless { context.call has confidence };
"""
    async with open_reports(tmp_path) as world:
        await add_policy(world, tmp_path, unsure)
        session = await world.session()
        waits = await said(world, session, "files/write", WRITE, **{CONFIDENCE_META: 0.5})
        await sign_up(world, "alice")
        await ask_desk(world, "alice", "approvals.approve", approval=approval_of(waits))
        for _ in range(50):
            await asyncio.sleep(0)
        assert [ran[0] for ran in world.upstreams.ran] == ["files/write"]


async def test_success_is_what_the_objective_says(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        world.upstreams.answers["files/read"] = "it is done"
        session = await world.session(objective="report")
        _ = await world.call(session, "files/read", {"path": "/data/a"})
        await step(world, session, "publish")
        _ = await world.call(session, "files/write", WRITE)
        ended = await finish(world, session)
        assert (ended.outcome.value, ended.missing) == ("reached", ())
        end = world.records("objective.ended")[0]
        assert (end["how"], end["missing"], end["session_id"]) == ("reached", [], session)
        assert code_of(await world.call(session, "files/read", {"path": "/data/a"})) == "objective_ended"
        for again in (finish(world, session), step(world, session, "collect")):
            with pytest.raises(Denied) as refused:
                await again
            assert refused.value.reason.code.value == "objective_ended"


async def test_what_is_missing_is_named_and_a_failure_is_rolled_back(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        world.upstreams.answers["files/read"] = "nothing"
        session = await world.session(objective="report")
        await step(world, session, "publish")
        assert (await world.call(session, "files/write", WRITE)).error is None
        ended = await finish(world, session)
        assert ended.outcome.value == "failed"
        assert ended.missing == ("the step `collect` did nothing", "files/read answered without `done`")
        assert ended.rollback is not None
        assert ended.rollback["state"] == "COMPENSATED"
        assert [ran[0] for ran in world.upstreams.ran] == ["files/write", "files/read", "files/write"]


async def test_an_end_stands_after_a_restart(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        session = await world.session(objective="report")
        _ = await world.house.conduct.fail(session, "the books are closed", by=AGENT)
        store = world.store
    async with open_reports(tmp_path, store=store, approved=False) as again:
        assert code_of(await again.call(session, "files/read", {"path": "/data/a"})) == "objective_ended"


async def test_verifying_only_reads_whatever_its_tool_is_called(tmp_path: Path) -> None:
    wrong = REPORT.replace(
        "tool: files/read, arguments: {path: /data/report}",
        "tool: files/wipe, arguments: {path: /data/report}",
    )
    async with open_reports(tmp_path, files={**FILES, "objectives/report.yaml": wrong}) as world:
        await approve(world)
        ended = await finish(world, await world.session(objective="report"))
        assert "does more than read" in ended.missing[-1]
        assert world.upstreams.ran == []


async def test_in_production_critical_steps_are_for_approved_objectives_only(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        with pytest.raises(Denied) as refused:
            await world.session(objective="report")
        assert refused.value.reason.code.value == "objective_not_approved"
        await approve(world)
        session = await world.session(objective="report")
        await step(world, session, "publish")
        # one of its tools is another one now: what runs in the critical step is not what was approved
        _ = await invoke(world.house.desk, "tools.revoke", {"tool": "files/read_secret"}, OPERATOR)
        denied = await world.call(session, "files/write", WRITE)
        assert code_of(denied) == "objective_not_approved"
        assert denied.error is not None
        assert "the tool files/read_secret changed" in denied.error.data["reason"]
        await approve(world)
        assert (await world.call(session, "files/write", WRITE)).error is None


async def test_elsewhere_they_open_without_approval(tmp_path: Path) -> None:
    staging = FILES["toolward.yaml"] + "channel: staging\n"
    async with open_reports(tmp_path, files={**FILES, "toolward.yaml": staging}) as world:
        session = await world.session(objective="report")
        await step(world, session, "publish")
        assert (await world.call(session, "files/write", WRITE)).error is None


async def test_a_changed_file_and_a_policy_that_names_it_are_another_composition(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        own = '@id("mine") forbid (principal, action, resource) when { context.session.objective == "report" && context.call.writes };\n'
        (tmp_path / "objectives" / "report.yaml").write_text(REPORT.replace("written: 1", "written: 9"))
        await add_policy(world, tmp_path, own)
        found = await invoke(world.house.desk, "objectives.show", {"objective": "report"}, OPERATOR)
        assert found["standing"] == "changed"
        assert found["changed"] == ["the objective itself", "the policy mine"]


async def test_who_approves_and_promotes_and_with_what_evidence(tmp_path: Path) -> None:
    staging = FILES["toolward.yaml"] + "channel: staging\n"
    owned = REPORT.replace("owner: finance", "owner: olga")
    files = {**FILES, "toolward.yaml": staging, "objectives/report.yaml": owned}
    async with open_reports(tmp_path, files=files) as world:
        desk, named = world.house.desk, {"objective": "report"}

        async def refused(verb: str, by: Principal) -> str:
            with pytest.raises((Denied, Rejected)) as error:
                await invoke(desk, verb, named, by)
            return error.value.reason.text

        assert "owns the objective" in await refused("objectives.approve", OPERATOR)
        assert "person's credential" in await refused("objectives.approve", AGENT)
        assert "not approved for `staging`" in await refused("objectives.promote", OPERATOR)
        await approve(world, SECOND)
        assert "no session has reached" in await refused("objectives.promote", OPERATOR)
        world.upstreams.answers["files/read"] = "it is done"
        session = await world.session(objective="report")
        _ = await world.call(session, "files/read", {"path": "/data/a"})
        await step(world, session, "publish")
        _ = await world.call(session, "files/write", WRITE)
        assert (await finish(world, session)).outcome.value == "reached"
        assert "a second person promotes it" in await refused("objectives.promote", SECOND)
        pin = await invoke(desk, "objectives.promote", named, OPERATOR)
        assert (pin["channel"], pin["evidence"], pin["approved_by"]) == ("production", [session], "olga")
        assert world.records("objective.promoted")[0]["reached"] == 1


async def test_an_objective_that_was_changed_on_the_way_is_no_evidence(tmp_path: Path) -> None:
    staging = FILES["toolward.yaml"] + "channel: staging\n"
    async with open_reports(tmp_path, files={**FILES, "toolward.yaml": staging}) as world:
        session = await world.session(objective="report")
        simple = REPORT[: REPORT.index("success:")]
        (tmp_path / "objectives" / "report.yaml").write_text(simple)
        await world.house.desk.reload(OPERATOR)
        await approve(world)
        assert (await finish(world, session)).outcome.value == "reached"
        with pytest.raises(Denied, match="no session has reached"):
            await invoke(world.house.desk, "objectives.promote", {"objective": "report"}, SECOND)


async def test_a_hosts_key_conducts_its_agents_sessions_and_does_nothing_else(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        desk, opening = world.house.desk, {"key": "key-1", "objective": "report"}
        opened = await invoke(desk, "sessions.open", opening, HOST)
        assert opened["steps"] == ["collect", "publish", "tell"]
        handle = {"session": opened["session"]}
        assert (await world.call(opened["session"], "files/read", {"path": "/data/a"})).error is None
        assert (await invoke(desk, "sessions.step", {**handle, "step": "publish"}, HOST))["step"] == "publish"
        assert [each["by"]["credential"] for each in world.records("session.step")] == ["host-1", "host-1"]
        other = Principal(user="olga", agent="other", credential="host-2", kind=CredentialKind.HOST)
        for verb, parameters, by in (
            ("sessions.open", opening, other),
            ("sessions.step", {**handle, "step": "tell"}, other),
            ("sessions.finish", handle, AGENT),
            ("sessions.step", {**handle, "step": "tell"}, AGENT),
            ("sessions.open", {"objective": "report"}, HOST),
            ("tools.list", {}, HOST),
            ("objectives.approve", {"objective": "report"}, HOST),
            ("sessions.open", {"key": "key-9"}, OPERATOR),
        ):
            with pytest.raises((Denied, Rejected)):
                await invoke(desk, verb, parameters, by)
        assert (await invoke(desk, "sessions.finish", handle, HOST))["outcome"] == "failed"


async def test_explain_shows_the_step_the_path_and_why(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)

        async def explain(**parameters: Any) -> dict[str, Any]:
            asked = {"tool": "files/write", "arguments": WRITE, **parameters}
            found: dict[str, Any] = await invoke(world.house.desk, "explain", asked, OPERATOR)
            return found

        assert (await explain(objective="report"))["reason"]["code"] == "not_in_step"
        found = await explain(objective="report", step="publish")
        assert (found["decision"], found["path"]) == ("allow", "secure")
        assert found["path_why"] == "the step `publish` of `report` is decision-critical"
        assert (await explain())["path_why"] == "an approved tool that does more than read"
        assert (await explain(path="secure", arguments={"path": "/elsewhere/b", "text": "x"}))[
            "decision"
        ] == "ask"


async def test_a_revision_brings_back_what_was_approved_with_it(tmp_path: Path) -> None:
    async with open_reports(tmp_path) as world:
        await approve(world)
        before = world.house.revision.digest
        (tmp_path / "objectives" / "report.yaml").write_text(REPORT.replace("written: 1", "written: 9"))
        await world.house.desk.reload(OPERATOR)
        await approve(world)
        assert world.house.revision.digest != before
        restored = await invoke(world.house.desk, "revision.restore", {"revision": before}, OPERATOR)
        assert restored["current"] == before
        assert world.house.revision.objectives["report"].stands
