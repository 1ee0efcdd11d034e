"""After a confidential read, what a call tells the server itself has to come from elsewhere than the secret."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.approvals_world import approval_of, person, sign_up
from tests.harness import MANIFESTS, OPERATOR, WARD, World, code_of, open_world, tool

from toolward.governance.desk import invoke
from toolward.lab.leaks.transforms import UNSEEN
from toolward.model.call import Action

SECRET = "zx-81-7734-q"
PROMPT = "Read the secret, then look for the weather in Malmo and for letters of thanks to a supplier."
PAGE = "Landskrona has harbours, parks and a citadel. Order 7781-A was shipped."
WEB = """\
server: mail
tools:
  search: {{effect: read_only, egress: true{clearance}, result: {{confidentiality: public}}, arguments: {{query: {{role: content}}, account: {{role: authority, kind: address}}}}}}
  post: {{effect: reversible, egress: true, arguments: {{to: {{role: authority, kind: address}}, text: {{role: content}}}}}}
"""
SEARCH: dict[str, Any] = {
    "name": "search",
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "account": {"type": "string"},
            "safe": {"enum": ["strictest", "none"]},
            "page": {"type": "integer"},
        },
    },
}
TOOLS: dict[str, list[dict[str, Any]]] = {
    "files": [tool("read", "path"), tool("read_secret"), tool("write", "path", "text")],
    "mail": [SEARCH, tool("post", "to", "text")],
}
ANSWERS = {"files/read_secret": f"the code is {SECRET}", "files/read": PAGE}


def files(profile: str = "guarded", *, clearance: str = "") -> dict[str, str]:
    return {
        "toolward.yaml": WARD.replace("guarded", profile),
        "tools/mail.yaml": WEB.format(clearance=clearance),
        "tools/files.yaml": MANIFESTS["files"],
    }


async def told(world: World, session: str, query: str, **more: Any) -> str:
    """How a search for it ends."""
    reply = await world.call(session, "mail/search", {"query": query, **more})
    return "ran" if reply.error is None else code_of(reply)


async def after_the_secret(world: World, prompt: str = PROMPT, *, page: bool = False) -> str:
    session = await world.session(prompt=prompt)
    if page:
        await world.call(session, "files/read", {"path": "/data/page"})
    await world.call(session, "files/read_secret")
    return session


async def test_what_no_matching_sees_is_asked_about_where_no_destination_stands_in_the_way(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        for name, transform in UNSEEN.items():
            assert await told(world, session, transform(SECRET)) == "approval_required", name
        assert "mail/search" not in [key for key, _, _ in world.upstreams.ran]


async def test_without_the_rule_all_of_it_gets_out(tmp_path: Path) -> None:
    """The control: the same session where the profile only observes."""
    async with open_world(tmp_path, files=files("observe"), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        for name, transform in UNSEEN.items():
            assert await told(world, session, transform(SECRET)) == "ran", name


async def test_before_the_secret_was_read_anything_may_be_looked_for(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        assert await told(world, await world.session(), "moons of the alphabet") == "ran"


@pytest.mark.parametrize(
    "query",
    [
        "weather in Malmo",
        "Is there weather in Malmo?",
        "letter of thanks to suppliers",
        "looking for the weather in Malmo, and for letters",
    ],
)
async def test_what_the_users_words_explain_passes_unasked(tmp_path: Path, query: str) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        assert [await told(world, session, query, safe="strictest") for _ in range(3)] == ["ran"] * 3


@pytest.mark.parametrize(
    "query",
    [
        "weather in Malmo on the moon",  # a word from nowhere
        "wEaTHer iN mALmo",
        "weather  in  Malmo",
        "weather\u200b in Malmo",
        "weather weather weather Malmo weather",
        "by the weather of this or that as it was",
        "weather, in! Malmo; letter: thanks!",
        "weather 4711",
    ],
)
async def test_nothing_is_told_by_how_the_users_words_are_written(tmp_path: Path, query: str) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        assert await told(world, await after_the_secret(world), query) == "approval_required"


async def test_what_was_read_before_is_lent_by_the_choice_that_it_leaves(tmp_path: Path) -> None:
    """A page of some dozen words: to name one of them tells four bits, and a page may be an alphabet."""
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world, page=True)
        asked = [await told(world, session, each) for each in ("weather in Landskrona", "7781-A", "citadel")]
        assert asked == ["ran", "ran", "ran"]
        assert await told(world, session, "harbours") == "approval_required"
        assert await told(world, session, "letters of thanks in Landskrona") == "ran", "it was told before"


async def test_what_was_read_after_the_secret_explains_nothing(tmp_path: Path) -> None:
    """Else an agent would put the secret into a file, in other words, and read it back."""
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        laundered = base64.b85encode(SECRET.encode()).decode()
        world.upstreams.answers["files/read"] = laundered
        await world.call(session, "files/read", {"path": "/data/note"})
        assert await told(world, session, laundered) == "approval_required"


async def test_the_same_text_read_before_the_secret_may_be_told(tmp_path: Path) -> None:
    """The control: it is when it was read that counts."""
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await world.session(prompt=PROMPT)
        code = base64.b85encode(b"9-44-1290-m").decode()
        world.upstreams.answers["files/read"] = f"the number of the offer is {code}"
        await world.call(session, "files/read", {"path": "/data/note"})
        await world.call(session, "files/read_secret")
        assert await told(world, session, code) == "ran"


async def test_what_the_operator_calls_public_explains_later_too(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        world.upstreams.answers["mail/search"] = "Malmo: see Turning Torso"
        assert await told(world, session, "Turning Torso") == "approval_required"
        assert await told(world, session, "weather in Malmo") == "ran"
        assert await told(world, session, "Turning Torso") == "ran"


async def test_what_a_server_answered_may_be_told_to_it_and_to_no_other(tmp_path: Path) -> None:
    """But not what a tool answers that stays here: it may have been put there by the agent."""
    web = WEB.replace("result: {{confidentiality: public}}, ", "") + (
        "  look: {{effect: read_only, egress: {egress}, result: {{integrity: trusted}}}}\n"
    )
    tools = {**TOOLS, "files": [*TOOLS["files"], SEARCH], "mail": [*TOOLS["mail"], tool("look")]}
    search = "  search: {effect: read_only, egress: true, arguments: {query: {role: content}}}\n"
    for egress, here in (("true", "ran"), ("false", "approval_required")):
        more = files() | {"tools/mail.yaml": web.format(clearance="", egress=egress)}
        more["tools/files.yaml"] += search
        folder = tmp_path / egress
        folder.mkdir()
        async with open_world(folder, files=more, tools=tools, answers=dict(ANSWERS)) as world:
            session = await after_the_secret(world)
            world.upstreams.answers["mail/look"] = "order Turning-77120-Torso"
            await world.call(session, "mail/look")
            assert await told(world, session, "Turning-77120-Torso") == here
            other = await world.call(session, "files/search", {"query": "Turning-77120-Torso"})
            assert code_of(other) == "approval_required"


async def test_an_address_that_nothing_is_sent_to_is_no_destination(tmp_path: Path) -> None:
    prompt = f"{PROMPT} My account is ann@example.org."
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world, prompt)
        assert await told(world, session, "moons", account="ann@example.org") == "approval_required"
        assert await told(world, session, "weather", account="ann@example.org") == "ran"


async def test_a_named_destination_is_judged_as_one(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world, f"{PROMPT} Post a message to ann@example.org.")
        post = {"to": "ann@example.org", "text": "see you on the moon"}
        assert (await world.call(session, "mail/post", post)).error is None


async def test_a_cleared_tool_may_be_told_anything(tmp_path: Path) -> None:
    cleared = files(clearance=", clearance: confidential")
    async with open_world(tmp_path, files=cleared, tools=TOOLS, answers=dict(ANSWERS)) as world:
        assert await told(world, await after_the_secret(world), "moons of the alphabet") == "ran"


async def test_resources_prompts_and_completion_tell_a_server_as_well(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        clean, session = await world.session(), await after_the_secret(world)
        for text, code in (
            (SECRET, "denied"),
            (base64.b85encode(SECRET.encode()).decode(), "approval_required"),
        ):
            for action, params in (
                (Action.READ_RESOURCE, {"uri": f"mail://{text}"}),
                (Action.GET_PROMPT, {"name": "greet", "arguments": {"who": text}}),
                (
                    Action.COMPLETE,
                    {
                        "ref": {"type": "ref/prompt", "name": "greet"},
                        "argument": {"name": "who", "value": text},
                    },
                ),
            ):
                assert (await world.perform(clean, action, params, server="mail")).error is None, action
                reply = await world.perform(session, action, params, server="mail")
                assert code_of(reply) == code, (action, text)


async def test_what_a_person_agreed_to_costs_nothing_and_may_be_said_again(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        await sign_up(world, "alice")
        session = await after_the_secret(world)
        query = {"query": "moons of Saturn"}
        approval = approval_of(await world.call(session, "mail/search", query))
        await world.house.parts.approvals.voting.approve(approval, person("alice"))
        assert (await world.call(session, "mail/search", query)).error is None
        assert await told(world, session, "weather of Saturn") == "ran"
        assert await told(world, session, "rings of Saturn") == "approval_required"
        assert await told(world, session, "letter 12") == "ran", "all of what is free is left"


async def test_calls_at_once_do_not_pass_the_bound_together(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        ends = await asyncio.gather(*(told(world, session, f"letter {number}") for number in range(100, 110)))
        assert Counter(ends)["ran"] == 1, "three digits are ten bits"


async def test_a_restart_forgets_not_what_was_told(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world, page=True)
        assert await told(world, session, "letter 123") == "ran"
        store, clock = world.store, world.clock
    async with open_world(tmp_path, tools=TOOLS, store=store, clock=clock) as again:
        assert again.house.parts.sessions.histories.of(session).unexplained == {"mail": 10}
        assert await told(again, session, "letter 456") == "denied", (
            "what the secret was is not known any more"
        )
        assert await told(again, session, "weather in Malmo") == "ran"


async def test_each_server_is_told_by_itself(tmp_path: Path) -> None:
    tools = {**TOOLS, "files": [*TOOLS["files"], SEARCH]}
    more = files()
    more["tools/files.yaml"] += (
        "  search: {effect: read_only, egress: true, arguments: {query: {role: content}}}\n"
    )
    async with open_world(tmp_path, files=more, tools=tools, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        assert await told(world, session, "letter 123") == "ran"
        assert (await world.call(session, "files/search", {"query": "letter 456"})).error is None
        assert await told(world, session, "letter 456") == "approval_required"


async def test_explain_says_which_words_come_from_nowhere(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files(), tools=TOOLS, answers=dict(ANSWERS)) as world:
        session = await after_the_secret(world)
        asked = {"tool": "mail/search", "arguments": {"query": "weather on the moon"}, "session": session}
        found = await invoke(world.house.desk, "explain", asked, OPERATOR)
        assert found["decision"] == "ask"
        assert found["unexplained"] == {"server": "mail", "bits": 19, "of_this_call": 19, "words": ["moon"]}
        plain = asked | {"arguments": {"query": "weather in Malmo"}}
        assert (await invoke(world.house.desk, "explain", plain, OPERATOR))["unexplained"]["bits"] == 0
        before = asked | {"session": await world.session()}
        assert (await invoke(world.house.desk, "explain", before, OPERATOR))["unexplained"] is None
