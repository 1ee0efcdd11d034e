"""`toolward stop`: the kill switch."""

from __future__ import annotations

from typing import Any

import click
from typing_extensions import override

from toolward.cli.frame import Frame, verb
from toolward.cli.screen import when


class _Stop(click.Group):
    """`toolward stop AGENT` is `toolward stop set AGENT`: what is typed in a hurry must be short."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["set", *args]
        return super().parse_args(ctx, args)


@click.group("stop", cls=_Stop)
def command() -> None:
    """Stop an agent, a tool, a session, a server or everything, at once. Undo goes on working.

    `toolward stop AGENT --why TEXT` is short for `toolward stop set AGENT --why TEXT`.
    """


def _what(function: Any) -> Any:
    """The options that say what is meant."""
    for option in (
        click.option("--all", "everything", is_flag=True, help="Everything."),
        click.option("--server", default="", metavar="SERVER", help="Every tool of a server."),
        click.option("--session", default="", metavar="SESSION", help="One run of an agent."),
        click.option("--tool", default="", metavar="SERVER/TOOL", help="One tool, whoever calls it."),
        click.argument("agent", required=False, default=""),
    ):
        function = option(function)
    return function


def _meant(agent: str, tool: str, session: str, server: str, *, everything: bool) -> dict[str, str]:
    """Exactly one of them. Raises `click.UsageError`."""
    said = {"agent": agent, "tool": tool, "session": session, "server": server}
    named = [(kind, name) for kind, name in said.items() if name]
    if len(named) + everything != 1:
        raise click.UsageError("name one thing: AGENT, --tool, --session, --server or --all")
    return {"kind": "all", "name": ""} if everything else {"kind": named[0][0], "name": named[0][1]}


@command.command("set")
@_what
@click.option("--why", required=True, help="For the agent, the record and whoever lifts it.")
@verb
def set_stop(frame: Frame, why: str, *, everything: bool, **said: str) -> None:
    """Stop AGENT, or what an option names. Calls that run are cancelled; an incident is opened."""
    result = frame.ask("stops.set", **_meant(**said, everything=everything), why=why)
    if frame.screen.as_json:
        frame.screen.result(result)
    else:
        frame.screen.say(f"stopped: {result['stopped']}", style="bold red")
        frame.screen.note(f"{result['cancelled']} running calls were cancelled")


@command.command("lift")
@_what
@click.option("--why", default="", help="For the record.")
@verb
def lift(frame: Frame, why: str, *, everything: bool, **said: str) -> None:
    """Let AGENT, or what an option names, go on."""
    result = frame.ask("stops.lift", **_meant(**said, everything=everything), why=why)
    if frame.screen.as_json:
        frame.screen.result(result)
    else:
        frame.screen.say(f"lifted: {result['lifted']}", style="green")


@command.command("list")
@verb
def list_stops(frame: Frame) -> None:
    """What is stopped, why, by whom and since when."""
    rows = frame.ask("stops.list")
    if frame.screen.as_json:
        frame.screen.result(rows)
    elif not rows:
        frame.screen.say("nothing is stopped", style="green")
    else:
        frame.screen.table(
            ("stopped", "since", "by", "why"),
            [(row["stopped"], when(row["at_ns"]), row["by"]["user"], row["why"]) for row in rows],
        )
