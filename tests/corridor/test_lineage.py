"""Where each argument came from is written down with the call, and read back in words and in standard forms."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import orjson
from tests.harness import OPERATOR, WARD, World, open_world

from toolward.governance.desk import invoke
from toolward.model.call import Intent, RawOutcome, Returned
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange

CONTACTS = {"contacts": [{"name": "Bo", "mail": "bo@x7.example"}, {"name": "Cy", "mail": "cy@x8.example"}]}

WATCHED = {"toolward.yaml": WARD.replace("guarded", "observe")}
"""Nothing is asked about: what is looked at here is where values come from."""


async def contacts(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
    del permit, intent, exchange
    return Returned(result={"content": [], "structuredContent": CONTACTS}, size_bytes=100)


async def played(world: World) -> tuple[str, dict[str, Any]]:
    """A session that reads twice and writes once; its lineage in words."""
    session = await world.session(prompt="tell Cy what is in the report, write to /data/out")
    world.upstreams.answers["files/read"] = contacts
    await world.call(session, "files/read", {"path": "/data/contacts"})
    world.upstreams.answers["files/read"] = (
        "Quarterly report: the northern warehouse was sold to Lindqvist and sons"
    )
    await world.call(session, "files/read", {"path": "/data/report"})
    await world.call(
        session,
        "files/write",
        {
            "path": "/data/out",
            "text": "report: The northern warehouse was sold to Lindqvist and Sons. cy@x8.example",
        },
    )
    return session, await invoke(world.house.desk, "sessions.lineage", {"session": session}, OPERATOR)


async def test_each_argument_is_told_with_the_call_and_the_field_it_came_from(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=WATCHED) as world:
        _, found = await played(world)
    first, second, third = found["calls"]
    lines = {line["argument"]: line for line in third["arguments"]}
    assert third["tool"] == "files/write"
    assert [each["from"] for each in third["arguments"] if each["argument"] == "/path"] == [
        "the user said it",
        "the operator declared it for `files`",
    ]
    copied = lines["/text"]
    assert copied["reference"] == second["call"]
    assert copied["pointer"] == "/content/0/text"
    assert copied["from"].startswith(
        f"was copied in part from /content/0/text of files/read, call {second['call']}"
    )
    assert [line["kind"] for line in first["arguments"]] == ["operator"]


async def test_a_value_passed_on_whole_names_its_field(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=WATCHED) as world:
        session = await world.session()
        world.upstreams.answers["files/read"] = contacts
        await world.call(session, "files/read", {"path": "/data/contacts"})
        await world.call(session, "files/write", {"path": "/data/out", "text": "CY@x8.example"})
        found = await invoke(world.house.desk, "sessions.lineage", {"session": session}, OPERATOR)
    line = next(each for each in found["calls"][1]["arguments"] if each["argument"] == "/text")
    assert (line["pointer"], line["how"]) == ("/structuredContent/contacts/1/mail", "exact")


async def test_the_record_itself_holds_no_lineage_and_erasing_the_arguments_erases_it(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=WATCHED) as world:
        session, before = await played(world)
        intents = world.store.find(kind="call.intent", session_id=session)
        assert all(b"structuredContent" not in record.body for record in intents)
        assert all(orjson.loads(record.body)["payload_digests"]["lineage"] for record in intents)
        await world.store.shred(intents[0].index)
        after = await invoke(world.house.desk, "sessions.lineage", {"session": session}, OPERATOR)
    assert [call["call"] for call in after["calls"]] == [call["call"] for call in before["calls"]]
    assert after["calls"][-1]["erased"]
    assert after["calls"][-1]["arguments"] == []


async def test_provenance_is_told_as_prov_json(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=WATCHED) as world:
        session, found = await played(world)
        said = await invoke(
            world.house.desk, "sessions.lineage", {"session": session, "form": "prov"}, OPERATOR
        )
    document = said["document"]
    named = {*document["entity"], *document["activity"], *document["agent"]}
    for relation in ("used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith", "wasAttributedTo"):
        for members in document[relation].values():
            ends = [end for name, end in members.items() if name.startswith("prov:")]
            assert set(ends) <= named
    write = found["calls"][2]["call"]
    read = found["calls"][1]["call"]
    derived = [
        (each["prov:generatedEntity"], each["prov:usedEntity"])
        for each in document["wasDerivedFrom"].values()
    ]
    assert (f"call:{write}/arguments/text", f"call:{read}/result/content/0/text") in derived
    assert {name.partition(":")[0] for name in named} <= set(document["prefix"])


async def test_provenance_is_told_as_openlineage_events(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=WATCHED) as world:
        session, found = await played(world)
        said = await invoke(
            world.house.desk, "sessions.lineage", {"session": session, "form": "openlineage"}, OPERATOR
        )
    events = said["events"]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 3
    for event in events:
        assert {"eventTime", "producer", "schemaURL", "run", "job"} <= event.keys()
        uuid.UUID(event["run"]["runId"])
        for dataset in (*event["inputs"], *event["outputs"]):
            assert dataset["namespace"]
            assert dataset["name"]
    last = events[-1]
    column = last["outputs"][0]["facets"]["columnLineage"]["fields"]["/text"]["inputFields"][0]
    assert column["name"] == f"call/{found['calls'][1]['call']}/result"
    assert column["field"] == "/content/0/text"
    assert column["name"] in {each["name"] for each in last["inputs"]}


async def test_a_call_of_many_arguments_writes_down_a_bounded_lineage(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=WATCHED) as world:
        session = await world.session(prompt="one " + " ".join(f"word{n}" for n in range(300)))
        text = {f"m{n}": f"word{n}" for n in range(300)}
        await world.call(session, "files/read", {"path": "/data/a", **text})
        found = await invoke(world.house.desk, "sessions.lineage", {"session": session}, OPERATOR)
    assert found["calls"][0]["left_out"] > 200
