"""Approvals told to places outside, and answers that come from there: forged, stale, replayed, nobody's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from tests.approvals_world import edit, person, ran, sign_off, state_of
from tests.console_world import HERE, Pages, Visitor, open_pages
from tests.harness import WARD

from toolward.bootstrap.webhooks import outgoing_of
from toolward.errors import Rejected
from toolward.governance.desk import invoke
from toolward.governance.webhooks import outgoing
from toolward.kernel.tasks import Background
from toolward.model.approval import ApprovalState
from toolward.model.egress import EgressCode, Refusal
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.egress import EgressRefused
from toolward.ports.store import Table
from toolward.ports.webhooks import Message
from toolward.rules.webhook import is_signed, key_of, sign, sign_slack

KEY = "a key of more than twenty-four bytes"
CONFIG = """\
approvals:
  webhooks:
    team:
      url: https://hooks.example/in
      secret: ${secret:TEAM}
      arguments: true
      people: {ext-1: alice, ext-2: sven}
    chat:
      url: https://chat.example/in
      secret: ${secret:CHAT}
      format: slack
      arguments: true
      people: {U1: alice}
"""
SECRETS = {"TEAM": KEY, "CHAT": KEY + " too"}


class FakeOutbox:
    """Takes messages, or answers as it was told."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.answers: dict[str, list[int | Exception]] = {}
        self.arrived = asyncio.Condition()

    async def post(self, message: Message) -> int:
        async with self.arrived:
            self.taken.append(message)
            self.arrived.notify_all()
        answers = self.answers.get(message.url, [])
        answer = answers.pop(0) if answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def to(self, host: str) -> list[Message]:
        return [each for each in self.taken if host in each.url]

    async def until(self, host: str, count: int) -> list[Message]:
        async with asyncio.timeout(5), self.arrived:
            await self.arrived.wait_for(lambda: len(self.to(host)) >= count)
        return self.to(host)


@asynccontextmanager
async def told(pages: Pages, outbox: FakeOutbox) -> AsyncIterator[None]:
    """The reader at work, as in the daemon; its pauses take one turn of the loop."""
    background = Background(_raise)
    reader = outgoing_of(pages.world.house, background, outbox)

    async def turn(_: float) -> None:
        await asyncio.sleep(0)

    from msgspec.structs import replace

    reader._senders = replace(reader._senders, pause=turn)
    task = background.start(reader.run())
    try:
        await until(lambda: pages.world.store.get(Table.HOOK, outgoing.CURSOR) is not None)
        yield
    finally:
        task.cancel()
        await background.drain()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- the store has no event for it
            await asyncio.sleep(0)


def _raise(error: BaseException) -> None:
    raise error


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    async with open_pages(tmp_path, config=CONFIG) as opened:
        opened.world.house.parts.settle.secrets.values.update(SECRETS)  # type: ignore[attr-defined]
        yield opened


# --- out ---------------------------------------------------------------------------------------------


async def test_a_question_is_told_signed_and_without_what_the_agent_wrote(pages: Pages) -> None:
    await edit(pages.world, {"toolward.yaml": WARD + CONFIG.replace("arguments: true", "arguments: false")})
    outbox = FakeOutbox()
    async with told(pages, outbox):
        approval = await pages.asked("mail/send", {"to": "bob", "text": "the secret plan"})
        [message] = await outbox.until("hooks.example", 1)
    headers = message.headers
    assert is_signed(
        key_of(KEY),
        message_id=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        body=message.body,
        signatures=headers["webhook-signature"],
    )
    said = orjson.loads(message.body)
    assert said["type"] == "approval.asked"
    assert (said["data"]["approval"], said["data"]["tool"]) == (approval, "mail/send")
    assert said["data"]["url"] == f"{HERE}/approvals/{approval}"
    assert b"secret plan" not in message.body
    assert b"bob" not in message.body


async def test_slack_gets_buttons_and_everything_as_plain_ascii_text(pages: Pages) -> None:
    outbox = FakeOutbox()
    async with told(pages, outbox):
        approval = await pages.asked("mail/send", {"to": "p\u0430ypal <!channel>", "text": "*a*\u202eb"})
        [message] = await outbox.until("chat.example", 1)
    said = json.loads(message.body)
    assert message.body.isascii()
    texts = [block["text"] for block in said["blocks"] if "text" in block]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert any("p\\u0430ypal" in text["text"] and "\\u202e" in text["text"] for text in texts)
    buttons = {each["action_id"]: each.get("value") for each in said["blocks"][-1]["elements"]}
    assert buttons == {"toolward.approve": approval, "toolward.refuse": approval, "toolward.look": None}


async def test_nobody_agrees_where_the_arguments_are_not_shown(pages: Pages) -> None:
    await edit(pages.world, {"toolward.yaml": WARD + CONFIG.replace("arguments: true", "arguments: false")})
    outbox = FakeOutbox()
    async with told(pages, outbox):
        await pages.asked()
        [message] = await outbox.until("chat.example", 1)
    actions = [each["action_id"] for each in json.loads(message.body)["blocks"][-1]["elements"]]
    assert actions == ["toolward.look", "toolward.refuse"]


async def test_an_answer_is_told_once_and_a_vote_that_does_not_decide_is_not(pages: Pages) -> None:
    outbox = FakeOutbox()
    async with told(pages, outbox):
        approval = await pages.asked()
        await outbox.until("hooks.example", 1)
        with pytest.raises(Exception, match="sven"):
            await invoke(pages.world.house.desk, "approvals.approve", {"approval": approval}, person("sven"))
        await invoke(pages.world.house.desk, "approvals.approve", {"approval": approval}, person("alice"))
        messages = await outbox.until("hooks.example", 2)
    said = [orjson.loads(each.body) for each in messages]
    assert [(each["type"], each["data"]["state"]) for each in said] == [
        ("approval.asked", "pending"),
        ("approval.ended", "approved"),
    ]


async def test_a_message_that_is_not_taken_is_sent_again_under_the_same_id(pages: Pages) -> None:
    outbox = FakeOutbox()
    outbox.answers["https://hooks.example/in"] = [503, OSError("no route"), 200]
    async with told(pages, outbox):
        await pages.asked()
        messages = await outbox.until("hooks.example", 3)
        await until(lambda: len(pages.world.records("webhook.sent")) == 2)
    assert len({each.headers["webhook-id"] for each in messages}) == 1
    assert pages.world.records("webhook.failed") == []


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (500, 5),
        (429, 5),
        (302, 5),
        (410, 1),
        (404, 1),
        (TimeoutError(), 5),
        (EgressRefused(Refusal(EgressCode.FORBIDDEN_ADDRESS, "inside")), 5),
    ],
    ids=str,
)
async def test_tries_are_bounded_and_giving_up_is_on_record(
    pages: Pages, answer: int | Exception, tries: int
) -> None:
    outbox = FakeOutbox()
    outbox.answers["https://hooks.example/in"] = [answer] * 20
    async with told(pages, outbox):
        approval = await pages.asked()
        await until(lambda: pages.world.records("webhook.failed"))
    assert len(outbox.to("hooks.example")) == tries
    [failed] = pages.world.records("webhook.failed")
    assert (failed["webhook"], failed["approval"], failed["moment"]) == ("team", approval, "asked")


async def test_a_secret_that_is_missing_holds_up_nobody_else(pages: Pages) -> None:
    del pages.world.house.parts.settle.secrets.values["TEAM"]  # type: ignore[attr-defined]
    pages.world.house.parts.settle.secrets.values["TEAM"] = "short"  # type: ignore[attr-defined]
    outbox = FakeOutbox()
    async with told(pages, outbox):
        await pages.asked()
        await outbox.until("chat.example", 1)
        await until(lambda: pages.world.records("webhook.failed"))
    assert outbox.to("hooks.example") == []


async def test_a_restart_goes_on_where_the_reader_was(pages: Pages) -> None:
    outbox = FakeOutbox()
    async with told(pages, outbox):
        await pages.asked()
        await outbox.until("hooks.example", 1)
        await until(lambda: len(pages.world.records("webhook.sent")) == 2)
        cursor = pages.world.store.get(Table.HOOK, outgoing.CURSOR)
        assert cursor is not None
        await until(lambda: pages.world.store.get(Table.HOOK, outgoing.CURSOR) != cursor)
    missed = await pages.asked("mail/send", {"to": "bob", "text": "x"})
    again = FakeOutbox()
    async with told(pages, again):
        [message] = await again.until("hooks.example", 1)
    assert orjson.loads(message.body)["data"]["approval"] == missed


async def test_a_question_that_was_answered_meanwhile_is_not_told_as_open(pages: Pages) -> None:
    outbox = FakeOutbox()
    async with told(pages, outbox):
        pass
    approval = await pages.asked()
    await invoke(pages.world.house.desk, "approvals.refuse", {"approval": approval}, person("alice"))
    async with told(pages, outbox):
        [message] = await outbox.until("hooks.example", 1)
    assert orjson.loads(message.body)["type"] == "approval.ended"


# --- in ----------------------------------------------------------------------------------------------


class Sender:
    """Somebody who has the webhook's secret."""

    def __init__(self, pages: Pages, name: str = "team", key: str = KEY) -> None:
        self.pages, self.name, self.key = pages, name, key.encode()
        self.visitor = Visitor(pages.front)
        self.count = 0

    @property
    def now(self) -> int:
        return self.pages.world.clock.now_ns() // 1_000_000_000

    async def send(self, said: Mapping[str, Any], *, changed: Mapping[str, str] | None = None) -> Any:
        self.count += 1
        body, message_id, at = orjson.dumps(said), f"msg_{self.count}", str(self.now)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": at,
            "webhook-signature": sign(self.key, message_id=message_id, timestamp=at, body=body),
            **(changed or {}),
        }
        return await self.visitor._ask("POST", f"/approvals/hooks/{self.name}", body, headers)

    async def press(self, approval: str, action: str = "toolward.approve", user: str = "U1") -> Any:
        payload = {
            "type": "block_actions",
            "user": {"id": user},
            "actions": [{"action_id": action, "value": approval}],
        }
        body, at = urlencode({"payload": json.dumps(payload)}).encode(), str(self.now)
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": at,
            "x-slack-signature": sign_slack(self.key, timestamp=at, body=body),
        }
        return await self.visitor._ask("POST", f"/approvals/hooks/{self.name}", body, headers)


def yes(approval: str, **changed: Any) -> dict[str, Any]:
    return {"approval": approval, "verdict": "approve", "person": "ext-1", **changed}


async def test_an_answer_counts_as_its_person_s_and_says_by_which_way_it_came(pages: Pages) -> None:
    session = await pages.world.session()
    from tests.approvals_world import WIPE, approval_of

    approval = approval_of(await pages.world.call(session, *WIPE))
    answer = await Sender(pages).send(yes(approval, note="go"))
    assert (answer.status, answer.json) == (200, {"state": "approved"})
    [voted] = pages.world.records("approval.voted")
    assert (voted["by"]["user"], voted["by"]["kind"], voted["by"]["credential"]) == (
        "alice",
        "webhook",
        "webhook:team",
    )
    await pages.world.call(session, *WIPE)
    assert ran(pages.world) == 1


async def test_slack_s_buttons_answer(pages: Pages) -> None:
    sender = Sender(pages, "chat", SECRETS["CHAT"])
    first, second = await pages.asked(), await pages.asked()
    assert (await sender.press(first)).json == {"state": "approved"}
    assert (await sender.press(second, "toolward.refuse")).json == {"state": "refused"}
    assert (await sender.press(second, "toolward.look")).status == 400


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("another id", {"webhook-id": "msg_other"}),
        ("no signature", {"webhook-signature": ""}),
        ("a forged signature", {"webhook-signature": "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}),
        ("another time", {"webhook-timestamp": "1"}),
    ],
)
async def test_a_forged_answer_is_refused_and_on_record(
    pages: Pages, what: str, changed: dict[str, str]
) -> None:
    approval = await pages.asked()
    sender = Sender(pages)
    refused = await sender.send(yes(approval), changed=changed)
    assert (refused.status, refused.json["error"]["code"]) == (401, "unauthenticated"), what
    assert state_of(pages.world, approval) is ApprovalState.PENDING
    assert pages.world.records("sign_in.failed")[-1]["door"] == "webhook"
    assert (await sender.send(yes(approval))).status == 200  # control


async def test_an_answer_that_is_old_is_refused_though_its_signature_holds(pages: Pages) -> None:
    approval = await pages.asked()
    for offset, status in ((-301, 401), (301, 401), (-299, 200)):
        sender = Sender(pages)
        sender.count = abs(offset)
        at, message_id = str(sender.now + offset), f"msg_{offset}"
        body = orjson.dumps(yes(approval))
        signature = sign(sender.key, message_id=message_id, timestamp=at, body=body)
        changed = {"webhook-timestamp": at, "webhook-id": message_id, "webhook-signature": signature}
        assert (await sender.send(yes(approval), changed=changed)).status == status


async def test_an_answer_counts_once_however_often_it_comes_and_after_a_restart_too(tmp_path: Path) -> None:
    async with open_pages(tmp_path, config=CONFIG) as pages:
        pages.world.house.parts.settle.secrets.values.update(SECRETS)  # type: ignore[attr-defined]
        approval = await pages.asked()
        sender = Sender(pages)
        await sender.send(yes(approval, person="ext-2"))  # sven may not, but the answer is used up
        sender.count = 0
        replayed = await sender.send(yes(approval, person="ext-2"))
        assert (replayed.status, replayed.json["error"]["reason"]) == (401, "the answer came before")
        rows = [row.key for row in pages.world.store.scan(Table.HOOK, "team/")]
        assert len(rows) == 1


async def test_of_two_copies_at_once_one_is_refused(pages: Pages) -> None:
    approval = await pages.asked()
    first, second = Sender(pages), Sender(pages)
    answers = await asyncio.gather(first.send(yes(approval)), second.send(yes(approval)))
    assert sorted(each.status for each in answers) == [200, 401]


async def test_a_press_of_slack_is_replayed_in_vain(pages: Pages) -> None:
    sender = Sender(pages, "chat", SECRETS["CHAT"])
    approval = await pages.asked()
    assert (await sender.press(approval)).status == 200
    assert (await sender.press(approval)).json["error"]["reason"] == "the answer came before"


@pytest.mark.parametrize("someone", ["ext-9", "", "alice", "__proto__"])
async def test_who_is_nobody_of_the_ward_can_not_answer(pages: Pages, someone: str) -> None:
    approval = await pages.asked()
    refused = await Sender(pages).send(yes(approval, person=someone))
    assert refused.status == 401
    assert state_of(pages.world, approval) is ApprovalState.PENDING


async def test_one_webhook_s_secret_does_not_open_another(pages: Pages) -> None:
    approval = await pages.asked()
    assert (await Sender(pages, "chat").press(approval)).status == 401
    assert (await Sender(pages, "none").send(yes(approval))).status == 401


async def test_a_person_without_the_role_is_refused_as_everywhere(pages: Pages) -> None:
    approval = await pages.asked()
    refused = await Sender(pages).send(yes(approval, person="ext-2"))
    assert (refused.status, refused.json["error"]["code"]) == (403, "not_an_approver")
    assert pages.world.records("approval.voted")[-1]["counted"] is False


@pytest.mark.parametrize("lost", ["credential", "mapping", "webhook"])
async def test_a_vote_by_webhook_ends_with_what_it_rests_on(pages: Pages, lost: str) -> None:
    approval = await pages.asked()
    assert (await Sender(pages).send(yes(approval))).json["state"] == "approved"
    if lost == "credential":
        await sign_off(pages.world, "alice")
    elif lost == "mapping":
        await edit(pages.world, {"toolward.yaml": WARD + CONFIG.replace("ext-1: alice, ", "")})
    else:
        await edit(pages.world, {"toolward.yaml": WARD + CONFIG.replace("team:", "other:")})
    assert state_of(pages.world, approval) is ApprovalState.PENDING


@pytest.mark.parametrize(
    "verb", ["keys.create", "links.make", "tools.approve", "grants.make", "approvals.break_glass"]
)
async def test_a_webhook_s_word_is_good_for_answers_and_nothing_else(pages: Pages, verb: str) -> None:
    by = Principal(user="alice", agent="webhook", credential="webhook:team", kind=CredentialKind.WEBHOOK)
    with pytest.raises(Rejected, match="person"):
        await invoke(pages.world.house.desk, verb, {}, by)


@pytest.mark.parametrize(
    "said", [{}, {"approval": 1}, [1], {"approval": "a", "verdict": "maybe", "person": "ext-1"}]
)
async def test_an_answer_that_says_nothing_is_refused(pages: Pages, said: Any) -> None:
    assert (await Sender(pages).send(said)).status == 400


async def test_answers_are_posted_and_small(pages: Pages) -> None:
    visitor = Visitor(pages.front)
    assert (await visitor.get("/approvals/hooks/team")).status == 405
    big = await visitor._ask("POST", "/approvals/hooks/team", b"x" * 70_000, {})
    assert big.status == 413
