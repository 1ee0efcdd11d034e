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
from toolward.cli.findings import blocks, show_findings, summary, warns
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import Screen, short
from toolward.cli.tools_watched import probe, record, stale
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
    if worth := [row["tool"] for row in rows if row.get("worth_promoting")]:
        frame.screen.note(f"* used much and well: look at it with `toolward tools show {worth[0]}`")


def warn_of_failures(screen: Screen, refreshed: Sequence[Mapping[str, Any]]) -> None:
    """Say which servers could not be compared, and what was found."""
    for row in refreshed:
        if row["error"]:
            screen.warn(f"{row['server']}: {row['error']}")


def show_tools(screen: Screen, rows: Sequence[Mapping[str, Any]]) -> None:
    """The one table."""
    screen.table(
        ("tool", "state", "effect", "read from", "egress", "version", "findings"),
        [
            (
                row["tool"],
                row["state"] + (" *" if row.get("worth_promoting") else ""),
                row.get("effect", "?"),
                row.get("effect_source", ""),
                "yes" if row.get("egress") else "",
                short(row["digest"])
                + (f" -> {short(row['candidate'])}" if row["candidate"] else "")
                + "".join(f" | {short(each)}" for each in row["offers"]),
                summary(row),
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
    show_findings(screen, [value], remedies=True)
    show_behaviour(screen, value)
    results = value["results"]
    screen.say(f"results   {results['results']} of {results['of']} in the baseline")
    for each in results["told"]:
        screen.say(f"          no longer like it: {each}", style="yellow")
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
        if value["renamed_from"]:
            frame.screen.say(
                f"{tool} is what {value['renamed_from']} was, under another name", style="bold red"
            )
        else:
            frame.screen.say(f"{tool} changed: {', '.join(value['aspects'])}", style="bold red")
        frame.screen.diff(value["lines"])
        show_findings(frame.screen, [value], remedies=True)
        show_behaviour(frame.screen, value)
        frame.screen.say(
            f"\nto serve it as it is now: toolward tools approve {tool} --digest {short(value['candidate'])}"
        )
    elif value["behaviour"]:
        show_behaviour(frame.screen, value)
        frame.screen.say(
            "\nits definition is what was pinned. If it is right as it is now, mend the contract, or record"
            f" it again with `toolward tools record {tool}`, and approve the tool"
        )
    else:
        frame.screen.say(f"{tool} is what was pinned", style="green")
    if value["lines"] or value["behaviour"]:
        leave(Exit.FINDING)


def show_behaviour(screen: Screen, value: Mapping[str, Any]) -> None:
    """What the tool answers otherwise than its contracts say."""
    for each in value["behaviour"]:
        screen.say(f"contract {each['contract']} since {each['time']}: {each['text']}", style="bold red")


@command.command("approve")
@click.argument("tools", nargs=-1)
@click.option("--digest", default="", help="The version that you looked at; needs exactly one TOOL.")
@click.option("--server", default="", help="Every proposed tool of this server.")
@click.option("--all", "everything", is_flag=True, help="Every proposed tool.")
@click.option(
    "--accept-findings", is_flag=True, help="Also what has a finding that blocks: it was looked at."
)
@click.option("--note", default="", help="Why; stands in the record.")
@verb
def approve(  # noqa: PLR0917 -- click names each
    frame: Frame,
    tools: tuple[str, ...],
    digest: str,
    server: str,
    everything: bool,
    accept_findings: bool,
    note: str,
) -> None:
    """Approve TOOLS as they are now, each by the digest of what this command found.

    A quarantined tool is never taken by --all or --server: it has to be named. So has one with a finding
    that blocks, unless --accept-findings says that it was seen.
    """
    if digest and len(tools) != 1:
        raise click.UsageError("--digest goes with exactly one TOOL")
    if not (tools or server or everything):
        raise click.UsageError("name the tools, or use --server or --all")
    with frame.link() as link:
        rows = link.invoke("tools.list")
        wanted = (
            _named(rows, tools, digest)
            if tools
            else _waiting(frame.screen, rows, "" if everything else server, accept_findings=accept_findings)
        )
        approved = (
            link.invoke("tools.approve", tools=wanted, note=note, accept_findings=accept_findings)
            if wanted
            else []
        )
    if frame.screen.as_json:
        frame.screen.result(approved)
        return
    if not approved:
        frame.screen.say("nothing is waiting for approval")
        return
    show_tools(frame.screen, approved)


def _waiting(
    screen: Screen, rows: Sequence[Mapping[str, Any]], server: str, *, accept_findings: bool
) -> list[dict[str, str]]:
    """Every proposed tool of that server, or of all servers, that can be approved."""
    proposed = [row for row in rows if row["state"] == "proposed" and server in ("", row["server"])]
    return approvable(screen, proposed, accept_findings=accept_findings, unread=True)


def approvable(
    screen: Screen, rows: Sequence[Mapping[str, Any]], *, accept_findings: bool, unread: bool = False
) -> list[dict[str, str]]:
    """What can be approved of `rows`, by digest. What blocks is named and left out unless it is accepted.

    So is what only warns if it is `unread`: approved in bulk, by nobody who looked at it.
    """
    against = warns if unread else blocks
    left_out = [] if accept_findings else [row for row in rows if against(row)]
    for row in left_out:
        why = "since a finding blocks" if blocks(row) else "since a finding warns and nobody has read it"
        screen.warn(
            f"{row['tool']} is left out, {why}: look at it with `toolward tools show"
            f" {row['tool']}`, and approve it{' with --accept-findings' if blocks(row) else ' by its name'}"
            " if you want it all the same"
        )
    return [{"tool": row["tool"], "digest": row["digest"]} for row in rows if row not in left_out]


def _named(rows: Sequence[Mapping[str, Any]], tools: tuple[str, ...], digest: str) -> list[dict[str, str]]:
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


for _watched in (record, probe, stale):
    command.add_command(_watched)
