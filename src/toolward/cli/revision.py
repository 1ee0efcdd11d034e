"""`toolward revision`: known-good states, by one digest."""

from __future__ import annotations

from typing import Any

import click

from toolward.cli.check import file_flaws
from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import short, when
from toolward.errors import WardError


@click.group("revision")
def command() -> None:
    """Everything that decides (configuration, policies, pins), to look at and to return to."""


@command.command("list")
@verb
def list_revisions(frame: Frame) -> None:
    """Every revision that was ever in force, newest first."""
    rows = frame.ask("revision.list")
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    frame.screen.table(
        ("", "revision", "in force since", "files", "tools"),
        [
            (
                "*" if row["current"] else "",
                short(row["revision"]),
                when(row["activated_ns"]),
                row["files"],
                row["tools"],
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("revision", required=False, default="")
@verb
def show(frame: Frame, revision: str) -> None:
    """The files and pins of REVISION (a beginning of its digest; default: the current one)."""
    value = frame.ask("revision.show", **({"revision": revision} if revision else {}))
    if frame.screen.as_json:
        frame.screen.result(value)
        return
    frame.screen.say(value["revision"], style="bold")
    for key, pin in sorted(value["pins"].items()):
        frame.screen.say(f"  {key}  {pin['state']}  {short(pin['digest'])}")
    for name, text in sorted(value["files"].items()):
        frame.screen.say(f"\n--- {name}", style="cyan")
        frame.screen.say(text.rstrip("\n"))


@command.command("diff")
@click.argument("old")
@click.argument("new", required=False, default="")
@verb
def diff(frame: Frame, old: str, new: str) -> None:
    """What lies between OLD and NEW (default: the current one)."""
    value = frame.ask("revision.diff", old=old, **({"new": new} if new else {}))
    if frame.screen.as_json:
        frame.screen.result(value)
    elif value["lines"]:
        frame.screen.diff(value["lines"])
    else:
        frame.screen.say("no difference")


@command.command("restore")
@click.argument("revision")
@verb
def restore(frame: Frame, revision: str) -> None:
    """Return files, policies and pins to REVISION, in one step, also from files that can not be read.

    Exits 1 when a running daemon has other servers than REVISION and must be restarted for it.
    """
    value, through_daemon = _restore(frame, revision)
    if value["waits_for"] and not through_daemon:
        value = {
            **value,
            "current": frame.ask("status")["revision"],
            "waits_for": "",
        }  # opened anew: in force
    if frame.screen.as_json:
        frame.screen.result(value)
    else:
        frame.screen.say(f"restored: {value['revision']}", style="green")
        for tool in value["tools_changed"]:
            frame.screen.say(f"  {tool}")
    if value["waits_for"]:
        frame.screen.warn(f"files and pins are back, and not all is in force: {value['waits_for']}")
        leave(Exit.FINDING)


def _restore(frame: Frame, revision: str) -> tuple[dict[str, Any], bool]:
    try:
        with frame.link() as link:
            return link.invoke("revision.restore", revision=revision), link.through_daemon
    except WardError:
        from toolward.bootstrap.restoring import put_files_back  # noqa: PLC0415 -- seldom needed

        if not file_flaws(frame.place.path) or not put_files_back(frame.place.path, revision):
            raise
    with frame.link() as link:
        return link.invoke("revision.restore", revision=revision), link.through_daemon
