"""The official client of both eras lives through an approval, on a real daemon; and a person in a real browser."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp_types import ElicitResult

import browser as webdriver
from cli_world import Terminal, made, terminal
from daemon_world import Daemon, daemon, environment, over_http

__all__ = ["daemon", "made", "terminal"]

pytestmark = pytest.mark.e2e
MODERN = "2026-07-28"
NO_PATIENCE = {"Prefer": "wait=0"}


class Waiting:
    """Somebody at the terminal who agrees as soon as an agent is seen to wait."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.urls: list[str] = []
        self.said: list[str] = []

    def agree(self) -> str:
        [row] = self.terminal.ok("approvals", "list", "--json").json
        self.terminal.ok("approvals", "approve", row["approval"])
        return str(row["approval"])

    async def elicit(self, context: Any, params: Any) -> ElicitResult:
        self.urls.append(params.url)
        self.agree()
        return ElicitResult(action="accept")

    async def progress(self, done: float, total: float | None, text: str | None) -> None:
        if not self.said:
            self.agree()
        self.said.append(text or "")

    def executions(self) -> int:
        rows = self.terminal.ok("audit", "query", "--limit", "500", "--json").json
        records = [row["record"] for row in rows]
        return sum(each["kind"] == "call.intent" and each["tool"] == "tiny/wipe" for each in records)


def started(daemon: Daemon) -> tuple[Waiting, str, str]:
    url = daemon.ready()["url"]
    return Waiting(daemon.terminal), url, daemon.terminal.ok("keys", "create", "bot", "--json").json["token"]


def text_of(result: Any) -> str:
    return str(result.content[0].text)


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_client_that_can_be_sent_to_a_page_is_and_the_call_runs_once(
    daemon: Daemon, mode: Any
) -> None:
    person, url, key = started(daemon)
    async with over_http(url, key, mode=mode, elicitation_callback=person.elicit) as client:
        result = await client.call_tool("tiny__wipe", {"what": "it"})
        assert (result.is_error, text_of(result)) == (False, "wipe it")
    assert len(person.urls) == 1
    assert person.urls[0].startswith(url.removesuffix("/mcp") + "/approvals/")
    assert person.executions() == 1


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_client_that_can_not_is_held_until_a_person_agrees(daemon: Daemon, mode: Any) -> None:
    person, url, key = started(daemon)
    async with over_http(url, key, mode=mode) as client:
        result = await client.call_tool("tiny__wipe", {"what": "it"}, progress_callback=person.progress)
        assert (result.is_error, text_of(result)) == (False, "wipe it")
    assert "/approvals/" in person.said[0]
    assert person.executions() == 1


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_client_that_will_not_wait_is_told_and_asks_again(daemon: Daemon, mode: Any) -> None:
    person, url, key = started(daemon)
    async with over_http(url, key, headers=NO_PATIENCE, mode=mode) as client:
        first = await client.call_tool("tiny__wipe", {"what": "it"})
        assert first.is_error
        denial = (first.meta or {})["dev.toolward/denial"]
        assert (denial["code"], denial["retryable"]) == ("approval_required", True)
        assert denial["approval"]["url"] in text_of(first)
        assert first.structured_content["approval"]["approval"] == denial["approval"]["approval"]
        assert person.agree() == denial["approval"]["approval"]
        results = [await client.call_tool("tiny__wipe", {"what": "it"}) for _ in range(3)]
        assert {text_of(each) for each in results} == {"wipe it"}
    assert person.executions() == 1


async def test_a_client_on_stdio_is_held_until_a_person_agrees(daemon: Daemon) -> None:
    person, _, _ = started(daemon)
    bridge = StdioServerParameters(
        command=sys.executable, args=["-m", "toolward", "stdio"], env=environment(daemon.terminal)
    )
    async with Client(bridge) as client:
        result = await client.call_tool("tiny__wipe", {"what": "it"}, progress_callback=person.progress)
        assert (result.is_error, text_of(result)) == (False, "wipe it")
    assert person.executions() == 1


async def test_a_refusal_reaches_the_client_that_is_held(daemon: Daemon) -> None:
    person, url, key = started(daemon)

    async def refuse(done: float, total: float | None, text: str | None) -> None:
        if not person.said:
            [row] = person.terminal.ok("approvals", "list", "--json").json
            person.terminal.ok("approvals", "refuse", row["approval"], "--note", "not that one")
        person.said.append(text or "")

    async with over_http(url, key) as client:
        result = await client.call_tool("tiny__wipe", {"what": "it"}, progress_callback=refuse)
        assert result.is_error
        assert "not that one" in text_of(result)
    assert person.executions() == 0


@pytest.mark.skipif(bool(webdriver.missing()), reason=webdriver.missing() or "there is a browser")
async def test_a_person_answers_in_a_browser_and_the_page_hears_of_it_by_itself(daemon: Daemon) -> None:
    person, url, key = started(daemon)
    pages = url.removesuffix("/mcp") + "/approvals"
    listed, answered = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    link = person.terminal.ok("approvals", "open", "--json").json["url"]

    def look() -> list[str]:
        with webdriver.browser() as window:
            window.go(link)
            window.click("button.approve")
            window.until("document.querySelector('#lists .empty') !== null")
            loop.call_soon_threadsafe(listed.set)
            window.until("document.querySelector('.card') !== null")  # nobody loaded the page again
            assert "tiny/wipe" in window.text(".card")
            window.click(".card")
            assert window.text("h1") == "May this run?"
            window.type("#note", "seen in a browser")
            window.click("button.approve")
            window.until("document.querySelector('.state.approved, .state.used') !== null")
            assert "seen in a browser" in window.text("#standing")
            loop.call_soon_threadsafe(answered.set)
            window.go(pages)
            window.until("document.querySelector('.state.used') !== null")
            return window.log()

    async with over_http(url, key) as client, asyncio.TaskGroup() as group:
        looking = group.create_task(asyncio.to_thread(look))
        await listed.wait()
        result = await client.call_tool("tiny__wipe", {"what": "it"})
        assert (result.is_error, text_of(result)) == (False, "wipe it")
    assert answered.is_set()
    assert [line for line in looking.result() if "Content Security Policy" in line] == []
    assert person.executions() == 1
