"""`toolward grants`: standing answers to calls that are alike."""

from __future__ import annotations

from typing import Any

import click
import orjson

from toolward.cli.frame import Frame, verb


@click.group("grants")
def command() -> None:
    """Standing approvals: for one tool, these arguments, so many calls, so long."""


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over as well.")
@verb
def list_grants(frame: Frame, everything: bool) -> None:
    """The grants in force."""
    rows = frame.ask("grants.list", standing=not everything)
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    if not rows:
        frame.screen.say("no grants")
        return
    frame.screen.table(
        ("grant", "state", "tool", "for", "agent", "arguments", "used", "until", "by"),
        [
            (
                row["grant"],
                row["state"],
                row["tool"],
                row["who"]["user"] + (" (one session)" if row["session"] else ""),
                row["who"]["agent"],
                orjson.dumps(row["arguments"]).decode(),
                f"{row['used']} of {row['uses']}",
                row["expires_at"],
                row["by"],
            )
            for row in rows
        ],
    )


@command.command("make")
@click.argument("approval")
@click.option("--uses", default=20, show_default=True, help="How many calls.")
@click.option("--hours", default=8.0, show_default=True, help="How long.")
@click.option("--this-session", is_flag=True, help="Only in the session that asked.")
@click.option(
    "--under", multiple=True, metavar="POINTER=PLACE", help="Everything below a path, or at a host."
)
@click.option("--equals", multiple=True, metavar="POINTER=JSON", help="Another value than was asked about.")
@click.option("--anything", multiple=True, metavar="POINTER", help="Whatever this argument is.")
@click.option("--note", default="", help="For the record.")
@verb
def make(  # noqa: PLR0917 -- click hands over by name
    frame: Frame,
    approval: str,
    uses: int,
    hours: float,
    this_session: bool,
    under: tuple[str, ...],
    equals: tuple[str, ...],
    anything: tuple[str, ...],
    note: str,
) -> None:
    """Let calls like APPROVAL pass: same caller, tool and deciding arguments, or as options widen them."""
    arguments: dict[str, Any] = {pointer: {"anything": True} for pointer in anything}
    for pair in under:
        pointer, value = _pair(pair)
        arguments[pointer] = {"under": value}
    for pair in equals:
        pointer, value = _pair(pair)
        try:
            arguments[pointer] = {"equals": orjson.loads(value)}
        except orjson.JSONDecodeError as error:
            raise click.UsageError(f"`{value}` is no JSON") from error
    made = frame.ask(
        "grants.make",
        approval=approval,
        uses=uses,
        expires_s=int(hours * 3600),
        session=this_session,
        arguments=arguments,
        note=note,
    )
    if frame.screen.as_json:
        frame.screen.result(made)
        return
    frame.screen.say(f"{made['grant']}: {made['tool']}, {made['uses']} calls until {made['expires_at']}")
    frame.screen.note(
        "the call that was asked about passes by it too; take it back with `toolward grants end`"
    )


@command.command("end")
@click.argument("grant")
@verb
def end(frame: Frame, grant: str) -> None:
    """Take a grant back at once."""
    ended = frame.ask("grants.end", grant=grant)
    if frame.screen.as_json:
        frame.screen.result(ended)
    else:
        frame.screen.say(f"ended after {ended['used']} of {ended['uses']} calls")


def _pair(text: str) -> tuple[str, str]:
    pointer, separator, value = text.partition("=")
    if not separator:
        raise click.UsageError(f"`{text}` is not POINTER=VALUE")
    return pointer, value
