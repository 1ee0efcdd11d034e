"""The command line: `toolward VERB`. One file for each verb, loaded when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final, NoReturn

import click
from typing_extensions import override

from toolward import __version__

VERBS: Final[Mapping[str, str]] = {
    "init": "Make a ward, import servers, look at their tools and approve them.",
    "connect": "Point an MCP client at the gateway, with a backup; --undo takes it back.",
    "up": "Start the gateway of a ward.",
    "stdio": "Speak MCP on stdin and stdout; what `connect` puts into a client.",
    "call": "Make one call through the whole corridor.",
    "check": "Everything that is wrong with a ward's files and policies.",
    "explain": "Why a call would be allowed, asked or denied.",
    "tools": "What the servers offer, and which versions are served: list, approve, promote, canary …",
    "test": "What the policies are to say of calls, and what they say.",
    "objectives": "Declared goals and their steps: list, show, approve, promote.",
    "discovery": "Servers that were found at run time: list, look, admit, reject.",
    "compare-paths": "The secure and the open path side by side, measured on this ward.",
    "sessions": "What agents did: open, step, finish, list, show, seal, rollback, retry, accept.",
    "approvals": "What waits for a person: list, show, open, approve, refuse, break-glass, review.",
    "grants": "Standing approvals of like calls: list, make, end.",
    "label": "Labels for a tool, proposed from what it answered.",
    "endorse": "Stand for what a source said in a session.",
    "declassify": "Let an agent be told what its clearance does not cover.",
    "audit": "The record: tail, show, query, verify, export.",
    "revision": "Known-good states: list, show, diff, restore.",
    "keys": "Credentials of agents and people: create, list, revoke.",
    "secrets": "Put secrets where the gateway finds them.",
    "incidents": "What went wrong, and when it was put right.",
    "honeytokens": "Planted values that nobody has a reason to use: plant, list, retire.",
    "examples": "Ready wards to look at, run and copy: list, copy, run.",
    "stop": "The kill switch: set, lift, list.",
    "circuits": "Tools and servers that fail: list, close.",
    "escrow": "Irreversible calls that are held: list, cancel, release.",
    "status": "How the ward is.",
    "reload": "Read the ward's files again and put them in force.",
    "doctor": "Look for what is amiss on this machine.",
}
"""Every verb with its one line, so that `toolward --help` loads none of them."""


class Verbs(click.Group):
    """Loads `toolward.cli.<verb>` and its `command` when the verb is used."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"toolward.cli.{cmd_name.replace('-', '_')}").command
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="toolward")
def cli() -> None:
    """A gateway between AI agents and their tools.

    Start with `toolward init WARD`. Every verb takes --json, and says more with --help.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    cli.main(args=None if arguments is None else list(arguments), prog_name="toolward")
    sys.exit(0)
