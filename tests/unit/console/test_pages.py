"""The approval page: who gets in, what can be done there, and what it looks like to a program."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.approvals_world import person, policy, sign_off, state_of
from tests.console_world import HERE, Pages, Visitor, open_pages

from toolward.console.app import ROOT
from toolward.console.views import preview_of
from toolward.errors import Rejected
from toolward.governance.desk import invoke
from toolward.model.approval import ApprovalState
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.store import Table

HOUR = 3600


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    async with open_pages(tmp_path) as opened:
        yield opened


# --- signing in --------------------------------------------------------------------------------------


async def test_nobody_sees_anything_before_signing_in(pages: Pages) -> None:
    approval = await pages.asked()
    stranger = Visitor(pages.front)
    for path in (ROOT, f"{ROOT}/{approval}", f"{ROOT}/events"):
        page = await stranger.get(path)
        assert page.status == 401
        assert approval not in page.text
    assert "toolward approvals open" in (await stranger.get(ROOT)).text


async def test_a_link_signs_in_once_as_whom_it_was_made_for(pages: Pages) -> None:
    link = await pages.link("alice")
    visitor = Visitor(pages.front)
    done = await visitor.sign_in(link)
    assert (done.status, done.header("location")) == (303, ROOT)
    assert "alice" in (await visitor.get(ROOT)).text
    assert pages.kinds()[-2:] == ["link.made", "sign_in.made"]
    second = Visitor(pages.front)
    token = link.split("token=")[1]
    assert (await second.get(f"{ROOT}/sign-in?token={token}")).status == 401
    assert (await second.post(f"{ROOT}/sign-in", {"token": token})).status == 401
    assert pages.kinds()[-1] == "sign_in.failed"


async def test_looking_at_a_link_does_not_use_it_up(pages: Pages) -> None:
    link = await pages.link()
    preview = Visitor(pages.front)
    path = link.removeprefix(HERE)
    for _ in range(3):
        page = await preview.get(path)
        assert (page.status, page.header("set-cookie")) == (200, "")
    assert (await Visitor(pages.front).sign_in(link)).status == 303


async def test_two_at_once_with_one_link_and_one_is_signed_in(pages: Pages) -> None:
    token = (await pages.link()).split("token=")[1]
    both = [Visitor(pages.front).post(f"{ROOT}/sign-in", {"token": token}) for _ in range(2)]
    assert sorted(page.status for page in await asyncio.gather(*both)) == [303, 401]


@pytest.mark.parametrize(("seconds", "status"), [(299, 303), (301, 401)])
async def test_a_link_is_good_for_five_minutes(pages: Pages, seconds: int, status: int) -> None:
    token = (await pages.link()).split("token=")[1]
    pages.world.clock.advance(seconds)
    assert (await Visitor(pages.front).post(f"{ROOT}/sign-in", {"token": token})).status == status


@pytest.mark.parametrize(("seconds", "status"), [(8 * HOUR - 1, 200), (8 * HOUR + 1, 401)])
async def test_a_browser_is_signed_in_for_eight_hours(pages: Pages, seconds: int, status: int) -> None:
    visitor = await pages.visitor()
    pages.world.clock.advance(seconds)
    assert (await visitor.get(ROOT)).status == status


async def test_the_browser_is_signed_out_with_the_credential_it_came_from(pages: Pages) -> None:
    alice, olga = await pages.visitor("alice"), await pages.visitor("olga")
    await sign_off(pages.world, "alice")
    assert (await alice.get(ROOT)).status == 401
    assert (await olga.get(ROOT)).status == 200


async def test_signing_out_ends_the_cookie_itself(pages: Pages) -> None:
    visitor = await pages.visitor()
    token = (await visitor.get(ROOT)).field("token")
    kept = visitor.cookie
    done = await visitor.post(f"{ROOT}/sign-out", {"token": token})
    assert "Max-Age=0" in done.header("set-cookie")
    visitor.cookie = kept
    assert (await visitor.get(ROOT)).status == 401
    assert pages.kinds()[-1] == "sign_in.ended"


async def test_tokens_are_kept_as_hashes_and_none_stands_for_the_other(pages: Pages) -> None:
    token = (await pages.link()).split("token=")[1]
    visitor = await pages.visitor()
    cookie = visitor.cookie.split("=")[1]
    rows = list(pages.world.store.scan(Table.LINK))
    assert not any(
        token in row.key + row.body.decode() or cookie in row.key + row.body.decode() for row in rows
    )
    assert (await Visitor(pages.front, cookie=f"toolward={token}").get(ROOT)).status == 401
    assert (await Visitor(pages.front).post(f"{ROOT}/sign-in", {"token": cookie})).status == 401
    by_hash = Visitor(pages.front, cookie=f"toolward={rows[-1].key}")
    assert (await by_hash.get(ROOT)).status == 401


async def test_old_links_are_swept_away_when_a_new_one_is_made(pages: Pages) -> None:
    await pages.link()
    pages.world.clock.advance(HOUR)
    await pages.link()
    assert len(list(pages.world.store.scan(Table.LINK))) == 1


@pytest.mark.parametrize("kind", [CredentialKind.API_KEY, CredentialKind.OS_USER, CredentialKind.IN_PROCESS])
async def test_an_agent_can_not_make_a_link(pages: Pages, kind: CredentialKind) -> None:
    agent = Principal(user="alice", agent="coder", credential="person:cli:alice", kind=kind)
    with pytest.raises(Rejected, match="person"):
        await invoke(pages.world.house.desk, "links.make", {}, agent)


async def test_the_cookie_is_for_this_site_only_and_no_script_reads_it(pages: Pages) -> None:
    done = await Visitor(pages.front).sign_in(await pages.link())
    cookie = done.header("set-cookie")
    assert cookie.startswith("toolward=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/approvals", "Max-Age=28800"} <= set(cookie.split("; "))


async def test_over_tls_the_cookie_is_bound_to_the_host(tmp_path: Path) -> None:
    config = "approvals: {url: 'https://gate.example'}\n"
    async with open_pages(tmp_path, config=config) as pages:
        link = await pages.link()
        assert link.startswith("https://gate.example/approvals/sign-in?token=")
        visitor = Visitor(pages.front, host="gate.example", origin="https://gate.example")
        done = await visitor.sign_in(link)
        cookie = done.header("set-cookie")
        assert cookie.startswith("__Host-toolward=")
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert (await visitor.get(ROOT)).status == 200


async def test_a_second_cookie_of_that_name_that_somebody_planted_signs_nobody_in(pages: Pages) -> None:
    visitor = await pages.visitor()
    visitor.cookie = f"{visitor.cookie}; toolward=planted"
    assert (await visitor.get(ROOT)).status == 401


async def test_a_link_can_lead_to_one_approval_and_nowhere_else(pages: Pages) -> None:
    approval = await pages.asked()
    done = await Visitor(pages.front).sign_in(await pages.link(approval=approval))
    assert done.header("location") == f"{ROOT}/{approval}"
    token = (await pages.link()).split("token=")[1]
    away = await Visitor(pages.front).post(f"{ROOT}/sign-in", {"token": token, "next": "//evil.example"})
    assert away.header("location") == ROOT
    with pytest.raises(Rejected):
        await pages.link(approval="//evil.example")


async def test_who_comes_by_a_link_from_elsewhere_is_looked_at_again(pages: Pages) -> None:
    """A strict cookie is not shown when another site's link leads here; the page then asks itself."""
    stranger = Visitor(pages.front)
    assert 'http-equiv="refresh"' in (await stranger.get(ROOT, sec_fetch_site="cross-site")).text
    assert 'http-equiv="refresh"' not in (await stranger.get(ROOT, sec_fetch_site="same-origin")).text


# --- answering ---------------------------------------------------------------------------------------


async def test_a_person_approves_and_the_vote_is_that_person_s(pages: Pages) -> None:
    approval = await pages.asked()
    visitor = await pages.visitor()
    done = await visitor.answer(approval, "approve", note="fine by me")
    assert (done.status, done.header("location")) == (303, f"{ROOT}/{approval}")
    assert state_of(pages.world, approval) is ApprovalState.APPROVED
    [voted] = pages.world.records("approval.voted")
    assert (voted["by"]["user"], voted["by"]["credential"], voted["note"]) == (
        "alice",
        "person:cli:alice",
        "fine by me",
    )
    assert "fine by me" in (await visitor.get(f"{ROOT}/{approval}")).text


async def test_a_person_refuses(pages: Pages) -> None:
    approval = await pages.asked()
    await (await pages.visitor()).answer(approval, "refuse", note="wrong directory")
    assert state_of(pages.world, approval) is ApprovalState.REFUSED


async def test_agreeing_to_like_calls_makes_a_grant_for_this_session_and_target(pages: Pages) -> None:
    approval = await pages.asked()
    await (await pages.visitor()).answer(approval, "approve", grant="session")
    [grant] = await invoke(pages.world.house.desk, "grants.list", {}, person("alice"))
    assert grant["session"] != ""
    assert grant["arguments"] == {"/path": {"equals": "/data/a"}}


async def test_a_grant_that_could_not_be_made_is_told_as_that_and_the_answer_stands(tmp_path: Path) -> None:
    rule = {"policies/a.cedar": policy("two", '@ask("owner") @quorum("2")', tool="files/write")}
    async with open_pages(tmp_path, files=rule) as pages:
        approval = await pages.asked("files/write", {"path": "/data/a", "text": "x"})
        done = await (await pages.visitor("olga")).answer(approval, "approve", grant="session")
        assert done.status == 403
        assert "Your answer was taken, but no grant was made" in done.text
        assert "could not approve such calls alone" in done.text
        assert "Your answer was not taken" not in done.text
        shown = await invoke(pages.world.house.desk, "approvals.show", {"approval": approval}, person("olga"))
        assert [vote["by"] for vote in shown["votes"]] == ["olga"]


async def test_approving_alone_makes_no_grant(pages: Pages) -> None:
    await (await pages.visitor()).answer(await pages.asked(), "approve")
    assert await invoke(pages.world.house.desk, "grants.list", {}, person("alice")) == []


async def test_who_may_not_answer_is_told_so_on_the_page(pages: Pages) -> None:
    approval = await pages.asked()
    done = await (await pages.visitor("sven")).answer(approval, "approve")
    assert done.status == 403
    assert "Your answer was not taken" in done.text
    assert "sven is not one of those who can answer this" in done.text
    assert state_of(pages.world, approval) is ApprovalState.PENDING


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("a page of another site", {"origin": "https://evil.example"}),
        ("a page on another port", {"origin": "http://127.0.0.1:9999"}),
        ("a page that hides where it is", {"origin": "null"}),
        ("no word of where it is", {"origin": None}),
        ("another sign-in's form", {"token": "x"}),
        ("a form without a token", {"token": None}),
        ("json", {"content_type": "application/json"}),
        ("text", {"content_type": "text/plain"}),
    ],
)
async def test_only_our_own_page_can_post_an_answer(pages: Pages, what: str, changes: dict[str, Any]) -> None:
    approval = await pages.asked()
    visitor = await pages.visitor()
    token = (await visitor.get(f"{ROOT}/{approval}")).field("token")
    visitor.origin = changes.get("origin", visitor.origin)
    form = {} if changes.get("token", token) is None else {"token": changes.get("token", token)}
    headers = {"content-type": changes["content_type"]} if "content_type" in changes else {}
    done = await visitor.post(f"{ROOT}/{approval}/approve", form, **headers)
    assert done.status in (403, 415), what
    assert state_of(pages.world, approval) is ApprovalState.PENDING
    visitor.origin = HERE
    done = await visitor.post(f"{ROOT}/{approval}/approve", {"token": token})  # control
    assert done.status == 303


async def test_an_allowed_origin_may_call_the_gateway_but_not_answer(tmp_path: Path) -> None:
    config = "allowed_origins: ['https://app.example']\n"
    async with open_pages(tmp_path, config=config) as pages:
        approval = await pages.asked()
        visitor = await pages.visitor()
        visitor.origin = "https://app.example"
        assert (await visitor.answer(approval, "approve")).status == 403


async def test_nothing_is_answered_by_following_a_link(pages: Pages) -> None:
    approval = await pages.asked()
    visitor = await pages.visitor()
    for verdict in ("approve", "refuse"):
        assert (await visitor.get(f"{ROOT}/{approval}/{verdict}")).status == 404
    assert state_of(pages.world, approval) is ApprovalState.PENDING


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
async def test_a_name_that_was_turned_to_this_machine_is_not_served(pages: Pages, host: str) -> None:
    visitor = await pages.visitor()
    visitor.host = host
    assert (await visitor.get(ROOT)).status == 403


# --- what is shown -----------------------------------------------------------------------------------


async def test_an_approval_shows_who_why_what_and_how_it_is_undone(pages: Pages) -> None:
    text = (await (await pages.visitor()).get(f"{ROOT}/{await pages.asked()}")).text
    for piece in (
        "scripted",
        "alice",
        "files/wipe",
        "What this tool does can not be undone",
        "guarded/irreversible",
        "tidy up the data directory",
        "/data/a",
        "left to answer",
    ):
        assert piece in text


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</bdi></div><form action=//evil.example>",
        "{{ 7 * 7 }}",
    ],
)
async def test_what_an_agent_wrote_is_text_and_nothing_else(pages: Pages, hostile: str) -> None:
    approval = await pages.asked("mail/send", {"to": hostile, "text": hostile})
    visitor = await pages.visitor()
    for path in (f"{ROOT}/{approval}", ROOT):
        text = (await visitor.get(path)).text
        assert hostile not in text or hostile.startswith("{{")
        for tag in ("<script>", "<img src=x", "<form action"):
            assert tag not in text
    assert (await visitor.get(f"{ROOT}/{approval}.json")).json["arguments"]["to"] == hostile


async def test_names_and_notes_are_shown_with_the_same_care(pages: Pages) -> None:
    approval = await pages.asked()
    visitor = await pages.visitor()
    await visitor.answer(approval, "refuse", note="no\u202e<b>way</b>")
    text = (await visitor.get(f"{ROOT}/{approval}")).text
    assert "\u202e" not in text
    assert "U+202E" in text
    assert "<b>way" not in text


async def test_nothing_on_a_page_comes_from_elsewhere_or_stands_inline(pages: Pages) -> None:
    visitor = await pages.visitor()
    for path in (ROOT, f"{ROOT}/{await pages.asked()}", f"{ROOT}/nowhere"):
        page = await visitor.get(path)
        policy = page.header("content-security-policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"\son\w+=|<style|style=|javascript:|https?://", page.text)
        assert all("src=" in script for script in re.findall(r"<script[^>]*>", page.text))
        assert page.header("cache-control") == "no-store"


async def test_everything_a_page_loads_is_there(pages: Pages) -> None:
    visitor = await pages.visitor()
    found = set(re.findall(r'(?:src|href)="(/approvals/static/[^"]+)"', (await visitor.get(ROOT)).text))
    assert len(found) == 4
    for path in found:
        page = await Visitor(pages.front).get(path)
        assert (page.status, "immutable" in page.header("cache-control")) == (200, True)
    for path in ("static/../app.py", "static/none", "static/"):
        assert (await visitor.get(f"{ROOT}/{path}")).status == 404


async def test_the_licences_of_what_we_carry_are_carried_too(pages: Pages) -> None:
    text = (await Visitor(pages.front).get(f"{ROOT}/static/LICENSES.txt")).text
    assert "htmx" in text
    assert text.lower().count("permission to use, copy, modify") == 2


async def test_an_empty_list_says_what_will_appear(pages: Pages) -> None:
    text = (await (await pages.visitor()).get(ROOT)).text
    assert "Nothing waits" in text
    assert "Nothing was answered yet" in text


async def test_an_answered_approval_offers_no_buttons(pages: Pages) -> None:
    approval = await pages.asked()
    visitor = await pages.visitor()
    await visitor.answer(approval, "refuse")
    text = (await visitor.get(f"{ROOT}/{approval}")).text
    assert "This was refused" in text
    assert "/approve" not in text.replace("/approvals", "")
    assert "Answered lately" in (await visitor.get(ROOT)).text


async def test_every_form_field_has_a_label_and_every_page_one_heading(pages: Pages) -> None:
    visitor = await pages.visitor()
    for path in (ROOT, f"{ROOT}/{await pages.asked()}", f"{ROOT}/nowhere"):
        text = (await visitor.get(path)).text
        assert text.count("<h1") == 1
        assert '<html lang="en">' in text
        for found in re.findall(r"<textarea[^>]*>", text):
            assert f'for="{re.search(r"id=.([^ ]+?).( |>)", found)[1]}"' in text  # type: ignore[index]


# --- for programs ------------------------------------------------------------------------------------


async def test_every_page_has_a_json_twin(pages: Pages) -> None:
    approval = await pages.asked()
    visitor = await pages.visitor()
    for listed in (await visitor.get(f"{ROOT}.json"), await visitor.get(ROOT, accept="application/json")):
        assert [row["approval"] for row in listed.json] == [approval]
    for page in (
        await visitor.get(f"{ROOT}/{approval}.json"),
        await visitor.get(f"{ROOT}/{approval}", accept="application/json"),
    ):
        assert page.header("content-type") == "application/json"
        assert (page.json["approval"], page.json["arguments"]) == (approval, {"path": "/data/a"})
        assert page.json["url"] == f"{HERE}{ROOT}/{approval}"


async def test_the_json_twin_is_ascii(pages: Pages) -> None:
    approval = await pages.asked("mail/send", {"to": "p\u0430ypal", "text": "\u202e"})
    page = await (await pages.visitor()).get(f"{ROOT}/{approval}.json")
    assert page.body.isascii()
    assert page.json["arguments"]["to"] == "p\u0430ypal"


async def test_a_refusal_has_a_json_twin_too(pages: Pages) -> None:
    stranger = Visitor(pages.front)
    page = await stranger.get(ROOT, accept="application/json")
    assert (page.status, page.json["error"]["code"]) == (401, "unauthenticated")
    page = await (await pages.visitor()).get(f"{ROOT}/none.json")
    assert (page.status, page.json["error"]["code"]) == (404, "not_pending")


async def test_a_person_s_bearer_token_reads_the_twin_and_an_agent_s_does_not(pages: Pages) -> None:
    made = {
        kind: await invoke(
            pages.world.house.desk, "keys.create", {"kind": kind, "agent": "x"}, person("alice")
        )
        for kind in ("person", "api_key")
    }
    stranger = Visitor(pages.front)
    for kind, status in (("person", 200), ("api_key", 401)):
        token = f"Bearer {made[kind]['token']}"
        page = await stranger.get(ROOT, accept="application/json", authorization=token)
        assert page.status == status
    assert pages.kinds()[-1] == "sign_in.failed"


# --- pages that stay open ----------------------------------------------------------------------------


class Open:
    """A page that listens."""

    def __init__(self, pages: Pages, visitor: Visitor) -> None:
        self.said: list[bytes] = []
        self.heard = asyncio.Condition()
        self.left = asyncio.Event()
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{ROOT}/events",
            "headers": [(b"host", b"127.0.0.1:7420"), (b"cookie", visitor.cookie.encode())],
        }
        self.task = asyncio.create_task(pages.front(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Any) -> None:
        async with self.heard:
            self.said.append(event.get("body", b""))
            self.heard.notify_all()

    async def until(self, word: bytes) -> None:
        async with asyncio.timeout(5), self.heard:
            await self.heard.wait_for(lambda: any(word in each for each in self.said))


async def test_an_open_page_hears_of_what_is_asked_and_answered(pages: Pages) -> None:
    page = Open(pages, await pages.visitor())
    await page.until(b"event: tick")
    await pages.asked()
    await page.until(b"event: changed")
    page.left.set()
    await page.task


async def test_an_open_page_is_told_nothing_after_the_credential_was_revoked(pages: Pages) -> None:
    page = Open(pages, await pages.visitor())
    await page.until(b"event: tick")
    await sign_off(pages.world, "alice")
    await pages.asked()
    async with asyncio.timeout(5):
        await page.task
    assert not any(b"event: changed" in each for each in page.said)


async def test_a_daemon_that_stops_does_not_wait_for_open_pages(pages: Pages) -> None:
    page = Open(pages, await pages.visitor())
    await page.until(b"event: tick")
    pages.front.end_streams()
    async with asyncio.timeout(5):
        await page.task


# --- what a tool says of itself ----------------------------------------------------------------------


def test_a_preview_is_shown_as_what_its_tool_says() -> None:
    said = preview_of({"tool": "files/diff", "result": {"content": [{"type": "text", "text": "-a\n+b"}]}})
    assert said is not None
    assert [line.value.parts[0].text for line in said["lines"]] == ["-a"]
    why_not = preview_of({"tool": "files/diff", "why_not": "no policy simply allows the preview"})
    assert why_not is not None
    assert (why_not["why_not"], preview_of(None)) == ("no policy simply allows the preview", None)
