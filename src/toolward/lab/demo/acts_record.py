"""Acts 5 and 7: a tool that turns hostile, and a record that somebody would like to be different."""

from __future__ import annotations

import binascii
import hashlib
import re
import shutil
import sqlite3
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.lab.demo import rates_server
from toolward.lab.demo.acts_work import Door
from toolward.lab.demo.stage import Done, Stage, expect

TOOL: Final = "rates/convert"
VERIFICATION_FAILED: Final = 5
FINDING: Final = 1
"""Exit codes of the command line."""


def turn_hostile(stage: Stage, door: Door) -> None:
    """Act 5."""
    stage.begin("A tool turns hostile between two calls")
    agent = stage.agent(door.url, door.key)
    stage.allow(agent, "rates__convert", amount=100, currency="GBP")
    stage.say("now `rates` changes what it lists; an agent connected to it directly would read the new text")
    stage.deny(agent, "rates__convert", "quarantined", amount=100, currency="CHF")
    listed = agent.tools()["rates__convert"]
    expect("the pinned text is still listed", listed["description"] == rates_server.HONEST, listed)
    expect("the new argument is not", "note" not in listed["inputSchema"]["properties"], listed)
    stage.good("tools/list", f'still the approved text: "{listed["description"]}"')
    stage.allow(agent, "rates__currencies")
    stage.typed("tools", "diff", TOOL)
    diff = stage.run("tools", "diff", TOOL, "--ward", str(stage.ward))
    expect("`tools diff` finds a change", diff.code == FINDING, diff.err)
    expect("it shows the poison", "id_rsa" in diff.out and "note" in diff.out, diff.out)
    for line in _changed(diff.out):
        stage.say(line, style="green" if line.startswith("+") else "red")
    found = [each for each in stage.ask("incidents") if each["kind"] == "quarantine"]
    expect("the incident is on record", len(found) == 1 and found[0]["subject"] == TOOL, found)
    expect(
        "it was contained when it was detected", found[0]["contained_ns"] >= found[0]["detected_ns"], found
    )
    stage.good(
        "toolward incidents", f"quarantine of {TOOL}: seen, contained and recorded before the call could run"
    )


def _changed(out: str) -> list[str]:
    """The lines of the diff that matter, as many as a newcomer reads."""
    lines = [line for line in out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    told = dict.fromkeys(line[0] + line[1:].strip() for line in lines if re.search("description|note", line))
    return [piece for line in told for piece in textwrap.wrap(line, 100, subsequent_indent="      ")]


def keep_record(stage: Stage) -> tuple[Path, str]:
    """Act 7, first half: the log verifies, here and as a file elsewhere."""
    stage.begin("The record, and somebody who would like it to be different")
    live = stage.ask("audit", "verify")
    expect("the live log verifies", live["ok"], live)
    export = stage.home / "audit.jsonl"
    exported = stage.ask("audit", "export", str(export))
    key = str(exported["public_key"])
    offline = stage.run("audit", "verify", str(export), "--key", key)
    expect("the exported file verifies", offline.code == 0, offline.out + offline.err)
    stage.good(
        "audit verify",
        f"{exported['records']} records, live and as an exported file with the public key alone",
    )
    return export, key


def tamper_with_export(stage: Stage, export: Path, key: str) -> None:
    """Act 7: the exported file."""
    lines = export.read_bytes().splitlines(keepends=True)
    place, index = _first(lines, '"decision":"deny"')
    edited = [*lines]
    edited[place] = _forged(lines[place], b'"decision":"deny"', b'"decision":"allow"')
    forged = stage.home / "edited.jsonl"
    forged.write_bytes(b"".join(edited))
    verdict = stage.run("audit", "verify", str(forged), "--key", key)
    _found(stage, f"export: {index} edited", verdict, index)
    forged = stage.home / "removed.jsonl"
    forged.write_bytes(b"".join([*lines[:place], *lines[place + 1 :]]))
    verdict = stage.run("audit", "verify", str(forged), "--key", key)
    _found(stage, f"export: {index} removed", verdict, index)


def tamper_with_database(stage: Stage) -> None:
    """Act 7: the database itself, by somebody who recomputes the hashes as well; then the backup."""
    stage.stop()
    state, backup = stage.ward / ".toolward", stage.home / "backup"
    shutil.copytree(state, backup, ignore=shutil.ignore_patterns("servers"), symlinks=True)
    index = _edit(state / "toolward.db")
    verdict = stage.run("audit", "verify", "--ward", str(stage.ward))
    _found(stage, f"database: {index} edited", verdict, index)
    refused = stage.run("up", str(stage.ward), "--port", "0")
    expect("the daemon refuses to start", refused.code == VERIFICATION_FAILED, (refused.code, refused.err))
    expect("and names the record", f"record {index}" in refused.err, refused.err)
    stage.stopped("toolward up", f"refuses to start (exit code {refused.code})")
    _restore(state, backup)
    index = _remove(state / "toolward.db")
    refused = stage.run("up", str(stage.ward), "--port", "0")
    expect("the daemon refuses to start", refused.code == VERIFICATION_FAILED, (refused.code, refused.err))
    _found(stage, f"database: {index} removed", refused, index)
    refusals = (state / "refused_starts.jsonl").read_bytes()
    _restore(state, backup)
    (state / "refused_starts.jsonl").write_bytes(refusals)
    stage.start()
    live = stage.ask("audit", "verify")
    expect("the restored log verifies", live["ok"], live)
    broken = [each for each in stage.ask("incidents") if each["kind"] == "integrity_failure"]
    expect("the tampering is an incident that was restored", broken and broken[-1]["restored_ns"], broken)
    still = [row for row in stage.ask("tools", "list") if row["state"] == "quarantined"]
    expect("the quarantine outlived the restart", [row["tool"] for row in still] == [TOOL], still)
    stage.good(
        "backup restored, up again", f"verified; {TOOL} still in quarantine; the tampering is an incident"
    )


def _found(stage: Stage, what: str, verdict: Done, index: int) -> None:
    said = (verdict.out + verdict.err).strip()
    expect(f"found: {what}", verdict.code == VERIFICATION_FAILED, (verdict.code, said))
    named = re.search(rf"record {index} is bad: [^;)\n]*", said)
    expect(f"the bad record is named: {what}", named, said)
    stage.forgeries += 1
    stage.stopped(what, f"found: {named[0] if named else ''}")


def _first(lines: list[bytes], text: str) -> tuple[int, int]:
    """(line, index) of the first record that holds `text`."""
    for place, line in enumerate(lines):
        if line.startswith(b'{"index":') and text.encode() in line:
            return place, int(orjson.loads(line)["index"])
    expect(f"a record with {text} is there", kept=False)
    return 0, 0


def _forged(line: bytes, old: bytes, new: bytes) -> bytes:
    """The record's line with other words, and a leaf hash that fits them, as a careful forger writes it."""
    head, middle, tail = line.partition(b',"record":')
    body = tail.removesuffix(b"}\n").replace(old, new)
    index = head.partition(b',"leaf":')[0]
    leaf = binascii.b2a_base64(_leaf(body), newline=False)
    return index + b',"leaf":"' + leaf + b'"' + middle + body + b"}\n"


def _leaf(body: bytes) -> bytes:
    """RFC 6962, section 2.1: no key is in it, so that anybody can compute it."""
    return hashlib.sha256(b"\0" + body).digest()


def _edit(database: Path) -> int:
    row = _denied(database)
    body = row["body"].replace(b'"decision":"deny"', b'"decision":"allow"')
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE record SET body = ?, leaf = ? WHERE idx = ?", (body, _leaf(body), row["idx"])
        )
    return int(row["idx"])


def _remove(database: Path) -> int:
    row = _denied(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM record WHERE idx = ?", (row["idx"],))
    return int(row["idx"])


def _denied(database: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT idx, body FROM record WHERE kind = 'call.denied' AND instr(body, ?) ORDER BY idx LIMIT 1",
            (b'"decision":"deny"',),
        ).fetchone()
    expect("a denial stands in the database", found)
    return {"idx": found[0], "body": bytes(found[1])}


def _restore(state: Path, backup: Path) -> None:
    """Put the backup back; the servers' environments were never part of it."""
    for item in state.iterdir():
        if item.name == "servers":
            continue
        if item.is_dir():
            shutil.rmtree(item)
        else:
            item.unlink()
    shutil.copytree(backup, state, symlinks=True, dirs_exist_ok=True)
