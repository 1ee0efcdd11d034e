"""`toolward tools`: what the servers offer, and what people decided about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from toolward.cli import promotion, signing, trying, versions
from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.link import Link
from toolward.cli.screen import Screen, short
from toolward.errors import Rejected
from toolward.model.tool import ToolState
from toolward.rules.canonical import parse_strict


@click.group("tools")
def command() -> None:
    """Tools and their versions. A tool is served once a person has approved its exact definition."""


for _each in (*versions.COMMANDS, *promotion.COMMANDS, *trying.COMMANDS, *signing.COMMANDS):
    command.add_command(_each)


@command.command("list")
@click.option("--server", default="", help="Only this server's.")
@click.option("--state", type=click.Choice([each.value for each in ToolState]), default=None)
@versions.in_channel
@click.option("--refresh", is_flag=True, help="Ask every server, and every variant, first.")
@verb
def list_tools(frame: Frame, server: str, state: str | None, channel: str | None, refresh: bool) -> None:
    """Every tool with its state, its effect and where that was read."""
    with frame.link(on_progress=frame.screen.note) as link:
        if refresh:
            warn_of_failures(frame.screen, link.invoke("refresh"))
        rows = link.invoke("tools.list", server=server, state=state or "", channel=channel or "")
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    show_tools(frame.screen, rows)
    if not rows:
        frame.screen.note("no tools are known yet: `toolward tools list --refresh` asks the servers")


def warn_of_failures(screen: Screen, refreshed: Sequence[Mapping[str, Any]]) -> None:
    """Say which servers could not be compared, and what was found."""
    for row in refreshed:
        if row["error"]:
            screen.warn(f"{row['server']}: {row['error']}")


def show_tools(screen: Screen, rows: Sequence[Mapping[str, Any]]) -> None:
    """The one table."""
    screen.table(
        ("tool", "state", "effect", "read from", "egress", "version"),
        [
            (
                row["tool"],
                row["state"],
                row.get("effect", "?"),
                row.get("effect_source", ""),
                "yes" if row.get("egress") else "",
                short(row["digest"])
                + (f" -> {short(row['candidate'])}" if row["candidate"] else "")
                + "".join(f" | {short(each)}" for each in row["offers"]),
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("tool")
@verb
def show(frame: Frame, tool: str) -> None:
    """The pinned definition of TOOL (server/name), its manifest and its binding."""
    value = frame.ask("tools.show", tool=tool)
    screen = frame.screen
    if screen.as_json:
        screen.result(value)
        return
    screen.say(f"{value['tool']}  {value['state']}  {value['digest']}", style="bold")
    screen.say(f"binding   {value['binding']}")
    if value["approved_by"]:
        screen.say(f"approved  by {value['approved_by']}")
    for name, said in value["metadata"].items():
        if said and said != "unrated":
            words = ", ".join(said) if isinstance(said, list) else said
            screen.say(f"{name.replace('_', ' '):<9} {words}")
    if value["undo"]:
        screen.say(f"undo      {value['undo']}")
    if value["proved"]:
        held = "it kept its word" if value["proved"]["holds"] else "it did not keep its word"
        screen.say(f"proved    {held}, {value['proved']['time']}")
    for title in ("manifest", "definition", "candidate_definition"):
        if value[title] is not None:
            screen.say(f"\n{title.replace('_', ' ')}", style="cyan")
            screen.say(orjson.dumps(value[title], option=orjson.OPT_INDENT_2).decode())


@command.command("prove")
@click.argument("tool")
@click.option(
    "--args",
    "file",
    type=click.Path(exists=True, dir_okay=False),
    default=None,
    help="JSON: the arguments to try it with, an object or a list of them; else made up from its schema.",
)
@click.option("--digest", default="", help="Which version; else what is served.")
@verb
def prove(frame: Frame, tool: str, file: str | None, digest: str) -> None:
    """Do and undo TOOL on scratch copies of its server's roots. Exits 1 when it does not keep its word."""
    from toolward.bootstrap.proving import prove as try_it  # noqa: PLC0415 -- opens a ward of its own

    given = parse_strict(Path(file).read_bytes()) if file else []
    arguments = given if isinstance(given, list) else [given]
    if not all(isinstance(each, dict) for each in arguments):
        raise Rejected(f"`{file}` holds no arguments", remedy="write an object, or a list of objects")
    said = frame.ask("tools.version", tool=tool, digest=digest)
    checks = asyncio.run(
        try_it(frame.place.path, tool, arguments, variant=said["variant"], on_progress=frame.screen.note)
    )
    rows = [check.as_json() for check in checks]
    found = frame.ask("tools.proved", tool=tool, digest=said["digest"], checks=rows)
    if frame.screen.as_json:
        frame.screen.result({**found, "checks": [check.as_json() for check in checks]})
    else:
        frame.screen.table(
            ("what", "holds", "why not"),
            [(check.what, "yes" if check.holds else "no", check.text) for check in checks],
        )
    if not found["holds"]:
        leave(Exit.FINDING)


@command.command("diff")
@click.argument("tool")
@verb
def diff(frame: Frame, tool: str) -> None:
    """What changed between TOOL as pinned and as its server lists it now. Exits 1 if anything did."""
    value = frame.ask("tools.diff", tool=tool)
    if frame.screen.as_json:
        frame.screen.result(value)
    elif value["lines"]:
        frame.screen.say(f"{tool} changed: {', '.join(value['aspects'])}", style="bold red")
        frame.screen.diff(value["lines"])
        frame.screen.say(
            f"\nto serve it as it is now: toolward tools approve {tool} --digest {short(value['candidate'])}"
        )
    else:
        frame.screen.say(f"{tool} is what was pinned", style="green")
    if value["lines"]:
        leave(Exit.FINDING)


@command.command("approve")
@click.argument("tools", nargs=-1)
@click.option("--digest", default="", help="The version that you looked at; needs exactly one TOOL.")
@click.option("--server", default="", help="Every proposed tool of this server.")
@click.option("--all", "everything", is_flag=True, help="Every proposed tool.")
@click.option("--note", default="", help="Why; stands in the record.")
@verb
def approve(
    frame: Frame, tools: tuple[str, ...], digest: str, server: str, everything: bool, note: str
) -> None:
    """Approve TOOLS as they are now, each by the digest of what this command found.

    A quarantined tool is never taken by --all or --server: it has to be named.
    """
    if digest and len(tools) != 1:
        raise click.UsageError("--digest goes with exactly one TOOL")
    if not (tools or server or everything):
        raise click.UsageError("name the tools, or use --server or --all")
    with frame.link() as link:
        wanted = _wanted(link, tools, digest, server=server, everything=everything)
        approved = link.invoke("tools.approve", tools=wanted, note=note) if wanted else []
    if frame.screen.as_json:
        frame.screen.result(approved)
        return
    if not approved:
        frame.screen.say("nothing is waiting for approval")
        return
    show_tools(frame.screen, approved)


def _wanted(
    link: Link, tools: tuple[str, ...], digest: str, *, server: str, everything: bool
) -> list[dict[str, str]]:
    rows = link.invoke("tools.list")
    if not tools:
        return [
            {"tool": row["tool"], "digest": row["digest"]}
            for row in rows
            if row["state"] == "proposed" and (everything or row["server"] == server)
        ]
    known = {row["tool"]: row for row in rows}
    unknown = [tool for tool in tools if tool not in known]
    if unknown:
        raise Rejected(f"no tool `{unknown[0]}`", remedy="see `toolward tools list`")
    chosen = {tool: known[tool]["candidate"] or known[tool]["digest"] for tool in tools}
    if digest:
        [tool] = tools
        chosen[tool] = _whole(known[tool], digest)
    return [{"tool": tool, "digest": chosen[tool]} for tool in tools]


def _whole(row: Mapping[str, Any], beginning: str) -> str:
    """The digest that begins so, of the two that a tool may have."""
    for digest in (row["candidate"], row["digest"]):
        if digest and short(digest).startswith(beginning.removeprefix("sha256:")[:12]):
            return str(digest)
    return beginning


@command.command("revoke")
@click.argument("tool")
@versions.in_channel
@click.option("--why", default="", help="Stands in the record.")
@verb
def revoke(frame: Frame, tool: str, channel: str | None, why: str) -> None:
    """Stop serving TOOL until a person approves a version again."""
    row = frame.ask("tools.revoke", tool=tool, channel=channel or "", why=why)
    if frame.screen.as_json:
        frame.screen.result(row)
    else:
        show_tools(frame.screen, [row])
