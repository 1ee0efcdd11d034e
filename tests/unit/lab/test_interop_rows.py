"""Interop: what is written into the client's file, and when a server counts."""

from pathlib import Path

import orjson

from toolward.config.clients.importing import ImportContext, plan_import
from toolward.lab.interop import server_rows
from toolward.lab.interop_clients import Seen
from toolward.lab.interop_servers import Place, RealServer, real_servers

PLACE = Place(repository=Path("/r"), database=Path("/d.db"), files=Path("/f"), page="http://127.0.0.1:1/")
CALLED = RealServer(name="time", command="uvx", package="a==1", tool="now", expect="UTC")
LISTED = RealServer(name="web", command="npx", package="b@1", why_not="it needs the internet")
GOOD = Seen(tools=("now",), text="12:00 UTC", version="v")


def holds(server: RealServer, *seen: Seen, error: str = "") -> bool:
    rows, good = server_rows([server], {server.name: error}, [seen])
    assert rows[0].holds == (good == 1)
    return rows[0].holds


def test_every_server_is_imported_as_the_package_that_the_file_pins() -> None:
    servers = real_servers(PLACE)
    text = orjson.dumps({"mcpServers": {each.name: each.entry() for each in servers}}).decode()
    plan = plan_import(text, file="mcp.json", context=ImportContext())
    assert not plan.skipped
    for each in servers:
        kind = "npm" if each.needs_node else "pypi"
        assert plan.servers[each.name].package == f"{kind}:{each.package}"
    assert plan.servers["sqlite"].constraints == ("mcp<2",)


def test_a_server_counts_only_if_every_era_listed_and_answered_rightly() -> None:
    assert holds(CALLED, GOOD, GOOD)
    assert not holds(CALLED, GOOD, Seen(tools=("now",), text="what?"))
    assert not holds(CALLED, GOOD, Seen(tools=(), text="12:00 UTC"))
    assert not holds(CALLED, GOOD, Seen(tools=("now",), text="12:00 UTC", error="no"))
    assert not holds(CALLED, GOOD, GOOD, error="did not start")


def test_a_server_that_was_not_imported_does_not_count() -> None:
    assert server_rows([CALLED], {}, [[GOOD]])[1] == 0


def test_a_server_that_needs_the_internet_is_listed_and_says_why() -> None:
    rows, good = server_rows([LISTED], {"web": ""}, [[Seen(tools=("search",))]])
    assert good == 1
    assert "internet" in rows[0].what
    assert rows[0].goal == "listed"
