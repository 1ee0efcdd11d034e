"""The desk over HTTP: who gets in, what a refusal looks like, and what a health probe is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import OPERATOR, World, open_world

from toolward.doors.admin import AdminDoor, status_of
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.errors import (
    AuditUnavailable,
    BadArguments,
    Denied,
    InvariantBroken,
    Rejected,
    ToolFailed,
    ToolwardError,
    WardError,
)
from toolward.errors import ReasonCode as Code
from toolward.governance.desk import invoke


class Desk:
    """The door with a person's and an agent's credential at hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.person = self.agent = ""
        self.sent: list[dict[str, Any]] = []
        settings = McpDoorSettings(state_key=bytes(32), allowed_origins=frozenset({"https://ops.example"}))
        self.door = AdminDoor(world.house.desk, world.house.identity, settings=settings)

    async def post(
        self,
        verb: str,
        body: bytes = b"{}",
        *,
        key: str = "",
        uid: int | None = None,
        method: str = "POST",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> tuple[int, Any]:
        sent = self.sent = []
        given = [(b"host", b"localhost"), (b"content-type", b"application/json"), *headers]
        if key:
            given.append((b"authorization", f"Bearer {key}".encode()))
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": verb if verb.startswith("/") else f"/admin/{verb}",
            "headers": [
                pair for i, pair in enumerate(given) if pair[0] not in {p[0] for p in given[i + 1 :]}
            ],
        }
        if uid is not None:
            scope["extensions"] = {"toolward": {"os_uid": uid}}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(event: Any) -> None:
            sent.append(event)

        await self.door(scope, receive, send)
        return sent[0]["status"], orjson.loads(sent[1]["body"])


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_world(tmp_path) as world:
        desk = Desk(world)
        for name, parameters in (("person", {"kind": "person"}), ("agent", {"agent": "bot"})):
            made = await invoke(world.house.desk, "keys.create", parameters, OPERATOR)
            setattr(desk, name, made["token"])
        yield desk


async def test_a_person_runs_a_verb_and_gets_its_result(desk: Desk) -> None:
    status, body = await desk.post("tools.list", b'{"server": "files"}', key=desk.person)
    assert status == 200
    assert {row["server"] for row in body["result"]} == {"files"}


async def test_the_sockets_user_may_look_but_not_change(desk: Desk) -> None:
    assert (await desk.post("status", uid=0))[0] == 200
    status, body = await desk.post("tools.revoke", b'{"tool": "files/read"}', uid=0)
    assert (status, body["error"]["code"]) == (401, "unauthenticated")
    # control: the same request of a person is done
    assert (await desk.post("tools.revoke", b'{"tool": "files/read"}', key=desk.person))[0] == 200


async def test_an_agents_key_is_no_way_to_the_desk_and_the_attempt_is_recorded(desk: Desk) -> None:
    status, body = await desk.post("status", key=desk.agent, uid=0)
    assert (status, body["error"]["code"]) == (401, "unauthenticated")
    assert len(desk.world.records("sign_in.failed")) == 1


@pytest.mark.parametrize(("key", "uid"), [("", None), ("tw_wrong", None), ("tw_wrong", 0)])
async def test_nobody_gets_in_without_a_credential_or_with_a_bad_one(
    desk: Desk, key: str, uid: int | None
) -> None:
    assert (await desk.post("status", key=key, uid=uid))[0] == 401


@pytest.mark.parametrize("headers", [((b"host", b"evil.example"),), ((b"origin", b"https://evil.example"),)])
async def test_a_web_page_of_somebody_else_is_refused_even_with_a_credential(
    desk: Desk, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    status, body = await desk.post("status", key=desk.person, headers=headers)
    assert (status, body["error"]["code"]) == (403, "foreign_origin")
    ours = ((b"origin", b"https://ops.example"),)  # control: an allowed origin gets in
    assert (await desk.post("status", key=desk.person, headers=ours))[0] == 200


@pytest.mark.parametrize(
    ("verb", "body", "status", "code"),
    [
        ("no.such", b"{}", 404, "unknown_method"),
        ("tools.show", b'{"tool": "files/nope"}', 404, "unknown_tool"),
        ("tools.show", b'{"tool": 1}', 400, "malformed"),
        ("tools.show", b'{"tool": "a", "tool": "b"}', 400, "duplicate_key"),
        ("tools.show", b"[]", 400, "malformed"),
        ("tools.show", b'{"tool": ', 400, "malformed"),
        ("tools.show", b"\xff", 400, "not_unicode"),
    ],
)
async def test_a_bad_request_has_its_code(desk: Desk, verb: str, body: bytes, status: int, code: str) -> None:
    answered, value = await desk.post(verb, body, key=desk.person)
    assert (answered, value["error"]["code"]) == (status, code)


async def test_what_waits_for_people_is_a_verb_like_any_other(desk: Desk) -> None:
    assert await desk.post("approvals.list", key=desk.person) == (200, {"result": []})
    status, value = await desk.post("approvals.approve", b'{"approval": "none"}', key=desk.person)
    assert (status, value["error"]["code"]) == (403, "not_pending")


async def test_only_json_by_post_is_taken(desk: Desk) -> None:
    form = ((b"content-type", b"application/x-www-form-urlencoded"),)
    assert (await desk.post("status", key=desk.person, headers=form))[0] == 415
    assert (await desk.post("status", key=desk.person, method="GET"))[0] == 405


async def test_health_says_whether_and_nothing_else(desk: Desk) -> None:
    assert await desk.post("/health", method="GET") == (200, {"healthy": True})
    desk.world.store.fail_at = frozenset({desk.world.store.commits + 1})
    with pytest.raises(AuditUnavailable):
        await desk.world.session()
    assert await desk.post("/health", method="GET") == (
        503,
        {"healthy": False, "code": "audit_unavailable"},
    )
    assert (await desk.post("/health", method="POST"))[0] == 405
    desk.world.store.restart()


async def test_a_bug_is_answered_without_its_details_and_raised_for_the_log(desk: Desk) -> None:
    async def broken(*_: Any) -> Any:
        raise InvariantBroken("internal details")

    desk.door._answer = broken  # type: ignore[method-assign]
    with pytest.raises(InvariantBroken):
        await desk.post("status", key=desk.person)
    assert desk.sent[0]["status"] == 500
    assert b"internal details" not in desk.sent[1]["body"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Rejected("x"), 400),
        (BadArguments("x"), 400),
        (Denied("x"), 403),
        (WardError("x"), 422),
        (ToolFailed("x"), 502),
        (AuditUnavailable("x"), 503),
        (ToolwardError("x"), 500),
        (Rejected("x", code=Code.TOO_LARGE), 413),
    ],
)
def test_the_status_says_whose_fault_it_is(error: ToolwardError, status: int) -> None:
    assert status_of(error) == status
