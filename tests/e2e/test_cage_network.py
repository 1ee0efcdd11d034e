"""A server in a cage reaches what its manifest grants, through the proxy, and every attempt is on record."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from toolward.bootstrap import open_house
from toolward.doors.python import OpenWard
from toolward.governance.desk import invoke
from toolward.lab.demo import thief_server
from toolward.model.principal import CredentialKind, Principal

pytestmark = pytest.mark.e2e
PERSON = Principal(user="ana", agent="cli", credential="cli", kind=CredentialKind.PERSON)


@pytest.fixture
def at_home() -> Iterator[tuple[int, list[bytes]]]:
    """An HTTP server of this machine; the port, and what it was asked."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    heard.append(caller.recv(4096))
                    caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def write_ward(path: Path, port: int) -> Path:
    (path / "tools").mkdir(parents=True)
    server = {"command": sys.executable, "arguments": ["-S", thief_server.__file__]}
    config = {"version": 1, "name": "net", "profile": "observe", "servers": {"helper": server}}
    manifest = {"server": "helper", "capabilities": {"unsafe_private_network": [f"localhost:{port}"]}}
    (path / "toolward.yaml").write_bytes(orjson.dumps(config))
    (path / "tools" / "helper.yaml").write_bytes(orjson.dumps(manifest))
    return path


async def test_a_granted_destination_is_reached_and_another_is_not_and_both_are_on_record(
    tmp_path: Path, at_home: tuple[int, list[bytes]]
) -> None:
    port, heard = at_home
    async with open_house(write_ward(tmp_path / "ward", port)) as house:
        await house.parts.drift.refresh("helper")
        rows: list[dict[str, Any]] = await invoke(house.desk, "tools.list", {}, PERSON)
        wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
        await invoke(house.desk, "tools.approve", {"tools": wanted, "note": "test"}, PERSON)
        async with OpenWard(house).session(user="ana", agent="helper") as session:
            granted = await session.call("helper/phone_home", target=f"http://localhost:{port}/in")
            other = await session.call("helper/phone_home", target=f"http://127.0.0.1:{port}/out")
            session_id = session.session_id
    assert granted.text == "told, HTTP 200"
    assert "403" in other.text
    assert [line.split(b"\r\n")[0] for line in heard] == [b"GET /in HTTP/1.1"]
    async with open_house(tmp_path / "ward") as house:
        found = [orjson.loads(record.body) for record in house.store.records()]
    judged = [(r["host"], r["verdict"], r["code"]) for r in found if r["kind"] == "egress.judged"]
    assert judged == [("localhost", "allowed", "ok"), ("127.0.0.1", "refused", "egress_denied")]
    (ended,) = [record for record in found if record["kind"] == "egress.ended"]
    assert ended["bytes_out"] > 0
    assert ended["session_id"] == session_id
    assert ended["tool"] == "helper"


FUNCTIONS = '''\
import urllib.request

def fetch(url: str) -> int:
    """Ask for a page."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status
'''


async def test_a_call_in_a_cage_of_its_own_is_told_what_it_was_refused_and_its_records_name_it(
    tmp_path: Path, at_home: tuple[int, list[bytes]]
) -> None:
    port, heard = at_home
    ward = tmp_path / "ward"
    for folder in ("tools", "functions"):
        (ward / folder).mkdir(parents=True)
    (ward / "functions" / "web.py").write_text(FUNCTIONS)
    servers = {"web": {"functions": "functions/web.py"}}
    config = {"version": 1, "name": "net", "profile": "observe", "servers": servers}
    manifest = {
        "server": "web",
        "capabilities": {"unsafe_private_network": [f"localhost:{port}"]},
        "tools": {"fetch": {"effect": "read_only", "egress": True}},
    }
    (ward / "toolward.yaml").write_bytes(orjson.dumps(config))
    (ward / "tools" / "web.yaml").write_bytes(orjson.dumps(manifest))
    async with open_house(ward) as house:
        await house.parts.drift.refresh("web")
        rows: list[dict[str, Any]] = await invoke(house.desk, "tools.list", {}, PERSON)
        wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
        await invoke(house.desk, "tools.approve", {"tools": wanted, "note": "test"}, PERSON)
        async with OpenWard(house).session(user="ana", agent="a") as session:
            granted = await session.call("web/fetch", url=f"http://localhost:{port}/in")
            refused = await session.call("web/fetch", url=f"http://127.0.0.1:{port}/out")
            wrong = await session.call("web/fetch", url="mailto:")
            session_id = session.session_id
    assert (granted.text, len(heard)) == ("200", 1)
    assert refused.is_error
    assert f"its cage was refused `127.0.0.1:{port}`; `capabilities.network`" in refused.text
    assert wrong.is_error
    assert "toolward:" not in wrong.text  # what the call before it was refused is not its affair
    async with open_house(ward) as house:
        found = [orjson.loads(each.body) for each in house.store.find(call_id=refused.call_id)]
        judged = [each for each in found if each["kind"] == "egress.judged"]
        assert [(each["host"], each["code"], each["session_id"]) for each in judged] == [
            ("127.0.0.1", "egress_denied", session_id)
        ]
        assert [each["hint"] for each in found if "hint" in each] == [
            "capabilities.network in tools/web.yaml"
        ]
        ended = house.store.find(call_id=granted.call_id, kind="egress.ended")
        assert len(ended) == 1
