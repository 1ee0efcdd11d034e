"""The way back: what an agent's clearance does not cover is withheld, recorded, and taints nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.builders import FakeExchange

from harness import AGENT, MANIFESTS, WARD, World, open_world, tool
from toolward.errors import Denied, Rejected
from toolward.governance.desk import invoke
from toolward.model.call import Failed, Returned
from toolward.model.principal import CredentialKind, Principal

SECRET = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
STAFF = """\
server: mail
tools:
  staff:
    effect: read_only
    egress: false
    result_fields: {/structuredContent/salary: {confidentiality: confidential}}
  send: {effect: irreversible, egress: true, arguments: {to: {role: authority, kind: address}, text: {role: content}}}
"""
TOOLS: dict[str, list[dict[str, Any]]] = {
    "files": [tool("read", "path"), tool("read_secret")],
    "mail": [tool("staff"), tool("send", "to", "text")],
}


def files(clearance: str) -> dict[str, str]:
    agents = f"agents:\n  {AGENT.agent}: {{clearance: {clearance}}}\n"
    return {"toolward.yaml": WARD + agents, "tools/mail.yaml": STAFF, "tools/files.yaml": MANIFESTS["files"]}


def gives(result: dict[str, Any]) -> Any:
    async def answer(*_: object) -> Returned:
        return Returned(result=result, size_bytes=1)

    return answer


def salary(value: object, text: str | None = None) -> dict[str, Any]:
    said = {"name": "Ann Smith", "salary": value}
    text = orjson.dumps(said).decode() if text is None else text
    return {"content": [{"type": "text", "text": text}], "structuredContent": said}


async def answered(world: World, key: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Result, receipt and record of a call."""
    reply = await world.call(await world.session(), key, {"path": "/data/a"} if key == "files/read" else {})
    assert reply.error is None
    assert reply.result is not None
    assert reply.receipt is not None
    return dict(reply.result), dict(reply.receipt), world.records("call.merged")[-1]


CASES = {
    "a text": salary("98 765 Euro"),
    "a number": salary(98765),
    "a short number": salary(42, "the salary of Ann Smith is 42"),
    "a text in other words beside it": salary("98 765 Euro", "Ann Smith has 98 765 Euro"),
    "a text that is json of another form": salary(98765, '{"staff": [{"salary": 98765}]}'),
}


@pytest.mark.parametrize("case", sorted(CASES))
async def test_a_field_above_the_clearance_is_withheld_wherever_it_stands(tmp_path: Path, case: str) -> None:
    given = CASES[case]
    secret = str(given["structuredContent"]["salary"])
    async with open_world(
        tmp_path, files=files("internal"), tools=TOOLS, answers={"mail/staff": gives(given)}
    ) as world:
        result, receipt, record = await answered(world, "mail/staff")
        assert secret not in orjson.dumps(result).decode()
        assert result["structuredContent"]["name"] == "Ann Smith"
        assert record["withheld"]["count"] >= 1
        assert "/structuredContent/salary" in record["withheld"]["places"]
        assert receipt["withheld"] == record["withheld"]
        assert record["taint"]["confidentiality"] == "internal"


@pytest.mark.parametrize("case", sorted(CASES))
async def test_an_agent_that_is_cleared_gets_it_and_is_tainted_by_it(tmp_path: Path, case: str) -> None:
    """The control."""
    given = CASES[case]
    async with open_world(
        tmp_path, files=files("confidential"), tools=TOOLS, answers={"mail/staff": gives(given)}
    ) as world:
        result, receipt, record = await answered(world, "mail/staff")
        assert result == given
        assert "withheld" not in record
        assert "withheld" not in receipt
        assert record["taint"]["confidentiality"] == "confidential"


async def test_a_result_that_is_confidential_whole_is_withheld_whole(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files("internal"), tools=TOOLS) as world:
        result, _, _ = await answered(world, "files/read_secret")
        assert result["content"] == [{"type": "text", "text": "[withheld: confidential]"}]


async def test_a_credential_in_a_plain_result_is_taken_out_for_who_is_not_cleared(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"files/read": f"the token is {SECRET} today"}
    async with open_world(tmp_path, files=files("internal"), tools=TOOLS, answers=answers) as world:
        result, _, record = await answered(world, "files/read")
        assert result["content"][0]["text"] == "the token is [redacted] today"
        assert record["withheld"]["count"] == 1
        assert record["taint"]["confidentiality"] == "internal"


async def test_for_public_clearance_internal_results_are_withheld_and_lists_are_not(tmp_path: Path) -> None:
    from toolward.model.call import Action

    async with open_world(tmp_path, files=files("public"), tools=TOOLS) as world:
        result, _, _ = await answered(world, "files/read")
        assert result["content"][0]["text"] == "[withheld: internal]"
        listed = await world.perform(await world.session(), Action.LIST_TOOLS, {}, server="files")
        assert listed.result is not None
        assert {each["name"] for each in listed.result["tools"]} == {"read", "read_secret"}


async def test_what_a_server_says_of_its_failure_is_withheld_too(tmp_path: Path) -> None:
    async def fails(*_: object) -> Failed:
        return Failed(code=-32000, message="no salary of 98765 here", reason="tool_failed", data={"x": 98765})

    async with open_world(
        tmp_path, files=files("internal"), tools=TOOLS, answers={"files/read_secret": fails}
    ) as world:
        reply = await world.call(await world.session(), "files/read_secret")
        assert reply.error is not None
        assert "98765" not in f"{reply.error.message}{reply.error.data}"


async def test_what_a_server_says_meanwhile_is_withheld_too(tmp_path: Path) -> None:
    asked: list[str] = []

    async def talks(_permit: object, _intent: object, exchange: Any) -> Returned:
        await exchange.notify("notifications/progress", {"progress": 1, "message": "98765"})
        await exchange.notify("notifications/message", {"data": "98765"})
        try:
            await exchange.request("sampling/createMessage", {"text": "98765"})
        except Denied as no:
            asked.append(no.reason.code.value)
        return Returned(result={"content": []}, size_bytes=1)

    async with open_world(
        tmp_path, files=files("internal"), tools=TOOLS, answers={"files/read_secret": talks}
    ) as world:
        exchange = FakeExchange()
        await world.call(await world.session(), "files/read_secret", exchange=exchange)
        assert exchange.heard == [("notifications/progress", {"progress": 1})]
        assert asked == ["request_not_accepted"]


async def test_the_receipt_says_from_where_a_text_comes_and_how_far_it_is_to_be_trusted(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, files=files("confidential"), tools=TOOLS) as world:
        _, receipt, record = await answered(world, "files/read")
        assert receipt["source"] == {
            "from": "files/read",
            "integrity": "untrusted",
            "confidentiality": "internal",
        }
        assert record["source"] == receipt["source"]


ROLES = "roles:\n  declassify: [dora]\n"


async def declassified(world: World, user: str, call_id: str) -> None:
    made = await invoke(world.house.desk, "keys.create", {"kind": "person"}, person(user))
    await invoke(
        world.house.desk,
        "sources.declassify",
        {"call": call_id, "why": "the audit asked"},
        world.house.identity.named(made["name"]),
    )


def person(user: str) -> Principal:
    return Principal(user=user, agent="cli", credential="person-1", kind=CredentialKind.PERSON)


async def test_a_person_with_the_role_lets_one_answer_through_and_its_values_may_flow(tmp_path: Path) -> None:
    given = salary("98 765 Euro")
    setting = files("internal")
    setting["toolward.yaml"] += ROLES
    async with open_world(
        tmp_path, files=setting, tools=TOOLS, answers={"mail/staff": gives(given)}
    ) as world:
        session = await world.session()
        first = await world.call(session, "mail/staff")
        assert "98 765" not in orjson.dumps(first.result).decode()
        await declassified(world, "dora", first.call_id)
        again = await world.call(session, "mail/staff")
        assert again.result == given
        record = world.records("call.merged")[-1]
        assert record["declassified"] == "dora"
        assert record["source"]["confidentiality"] == "internal"
        assert record["taint"]["confidentiality"] == "internal"
        elsewhere = await world.call(await world.session(), "mail/staff")
        assert "98 765" not in orjson.dumps(elsewhere.result).decode()
        [said] = world.records("source.declassified")
        assert said["why"] == "the audit asked"
        assert said["by"]["user"] == "dora"


async def test_without_the_role_nobody_declassifies_and_nothing_changes(tmp_path: Path) -> None:
    """The control."""
    async with open_world(
        tmp_path, files=files("internal"), tools=TOOLS, answers={"mail/staff": gives(salary("98 765 Euro"))}
    ) as world:
        session = await world.session()
        first = await world.call(session, "mail/staff")
        with pytest.raises(Denied):
            await declassified(world, "dora", first.call_id)
        again = await world.call(session, "mail/staff")
        assert "98 765" not in orjson.dumps(again.result).decode()


async def test_of_a_call_without_anything_withheld_nothing_is_declassified(tmp_path: Path) -> None:
    setting = files("internal")
    setting["toolward.yaml"] += ROLES
    async with open_world(tmp_path, files=setting, tools=TOOLS) as world:
        plain = await world.call(await world.session(), "files/read", {"path": "/data/a"})
        for call_id in (plain.call_id, "none"):
            with pytest.raises(Rejected):
                await declassified(world, "dora", call_id)
