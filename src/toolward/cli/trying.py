"""`toolward tools try|compare`: versions in the sandbox, by examples and by recorded calls."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import short
from toolward.config.testing import Example
from toolward.errors import Rejected
from toolward.rules.canonical import parse_strict


@click.command("try")
@click.argument("tool")
@click.option("--digest", default="", help="Which version; else what is served.")
@verb
def try_tool(frame: Frame, tool: str, digest: str) -> None:
    """Call TOOL as the examples in tests/*.yaml say, on scratch copies. Exits 1 when one does not hold."""
    from toolward.bootstrap.trying import Which, try_examples  # noqa: PLC0415 -- opens a ward of its own

    said = frame.ask("tools.version", tool=tool, digest=digest)
    examples = msgspec.convert(said["examples"], list[Example])
    if not examples:
        raise Rejected(f"no example in tests/*.yaml calls {tool}", remedy="write one, see docs/lifecycle.md")
    which = Which(tool, said["variant"], said["definition_digest"])
    checks = asyncio.run(try_examples(frame.place.path, which, examples, on_progress=frame.screen.note))
    rows = [check.as_json() for check in checks]
    found = frame.ask("tools.tried", tool=tool, digest=said["digest"], checks=rows)
    if frame.screen.as_json:
        frame.screen.result({**found, "checks": rows})
    else:
        frame.screen.table(
            ("example", "holds", "why not"),
            [(row["what"], "yes" if row["holds"] else "no", row["text"]) for row in rows],
        )
    if not found["holds"]:
        leave(Exit.FINDING)


@click.command("compare")
@click.argument("first", default="")
@click.argument("second", default="")
@click.option(
    "--calls", type=click.IntRange(1, 1_000), default=50, help="Recorded calls of FIRST, the newest."
)
@click.option(
    "--args",
    "file",
    type=click.Path(exists=True, dir_okay=False),
    default=None,
    help="JSON: the arguments instead of recorded ones, an object or a list of them.",
)
@click.option("--fallbacks", is_flag=True, help="Every tool that declares a fallback; for a timer.")
@verb
def compare(frame: Frame, first: str, second: str, *, calls: int, file: str | None, fallbacks: bool) -> None:
    """Recorded calls of FIRST, run with FIRST and SECOND in the sandbox. Exits 1 when answers differ.

    Each is SERVER/TOOL, or SERVER/TOOL@DIGEST for a version that is not served. Without SECOND it is the
    fallback that the manifest of FIRST declares.
    """
    if fallbacks is bool(first):
        raise click.UsageError("name FIRST, or use --fallbacks")
    declared = {row["tool"]: row["fallback"] for row in frame.ask("tools.fallbacks")}
    if first and not second and first not in declared:
        raise Rejected(
            f"{first} declares no fallback", remedy="name SECOND, or `resilience.fallback` in its manifest"
        )
    pairs = list(declared.items()) if fallbacks else [(first, second or declared[first])]
    reports = [_compared(frame, one, two, calls, file) for one, two in pairs]
    if frame.screen.as_json:
        frame.screen.result(reports if fallbacks else reports[0])
    elif not pairs:
        frame.screen.note("no manifest declares a fallback")
    if any(each["rows"] for each in reports):
        leave(Exit.FINDING)


def _compared(frame: Frame, first: str, second: str, calls: int, file: str | None) -> dict[str, Any]:
    """One comparison, shown and written down."""
    from toolward.bootstrap import trying  # noqa: PLC0415 -- opens wards of its own

    sides = [frame.ask("tools.version", **_named(each)) for each in (first, second)]
    arguments = _arguments(frame, sides[0]["tool"], calls, file)
    one, two = [trying.Which(each["tool"], each["variant"], each["definition_digest"]) for each in sides]
    found = asyncio.run(trying.compare(frame.place.path, one, two, arguments, on_progress=frame.screen.note))
    rows = [each.as_json() for each in found]
    said = frame.ask(
        "tools.compared",
        tool=sides[1]["tool"],
        digest=sides[1]["digest"],
        beside={"tool": sides[0]["tool"], "digest": sides[0]["digest"]},
        calls=len(arguments),
        differences=rows,
    )
    if not frame.screen.as_json:
        frame.screen.table(
            ("arguments", f"{first} {short(sides[0]['digest'])}", f"{second} {short(sides[1]['digest'])}"),
            [(str(row["arguments"]), row["first"], row["second"]) for row in rows],
        )
        frame.screen.say(f"{first} and {second}: {len(rows)} of {len(arguments)} calls differ")
    return {**said, "rows": rows}


def _named(text: str) -> dict[str, str]:
    tool, _, digest = text.partition("@")
    return {"tool": tool, "digest": digest}


def _arguments(frame: Frame, tool: str, calls: int, file: str | None) -> list[dict[str, Any]]:
    if file is None:
        found: list[dict[str, Any]] = frame.ask("tools.recorded", tool=tool, limit=calls)
        if not found:
            raise Rejected(f"no call of {tool} is on record", remedy="give arguments with --args")
        return found
    given = parse_strict(Path(file).read_bytes())
    every = given if isinstance(given, list) else [given]
    if not every or not all(isinstance(each, dict) for each in every):
        raise Rejected(f"`{file}` holds no arguments", remedy="write an object, or a list of objects")
    return every


COMMANDS = (try_tool, compare)
