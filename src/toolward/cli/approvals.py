"""`toolward approvals`: what waits for a person, and the answers."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from typing import Any

import click
import orjson

from toolward.cli.frame import Frame, verb
from toolward.errors import GatewayError, ReasonCode


@click.group("approvals")
def command() -> None:
    """Calls that wait for a person. An answer is for exactly the call that is shown, once."""


@command.command("list")
@click.option("--state", default="pending", help="pending, approved, refused, expired, used or ended.")
@click.option("--all", "everything", is_flag=True, help="Whatever their state.")
@click.option("--limit", default=100, show_default=True, help="How many, at most 1000.")
@click.option("--before", default="", metavar="APPROVAL", help="The next page: those asked before that one.")
@verb
def list_approvals(frame: Frame, state: str, everything: bool, limit: int, before: str) -> None:
    """What waits, newest first."""
    rows = frame.ask("approvals.list", state="" if everything else state, limit=limit, before=before)
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    if not rows:
        frame.screen.say("nothing waits for an answer", style="green")
        return
    frame.screen.table(
        ("approval", "state", "tool", "for", "agent", "asked", "expires", "needs"),
        [
            (
                row["approval"],
                row["state"],
                row["tool"],
                row["who"]["user"],
                row["who"]["agent"],
                row["asked_at"],
                row["expires_at"],
                _need(row["need"]),
            )
            for row in rows
        ],
    )
    if len(rows) == limit:
        frame.screen.note(f"there may be more: --before {rows[-1]['approval']}")


@command.command("show")
@click.argument("approval")
@verb
def show(frame: Frame, approval: str) -> None:
    """One call with its arguments, where each came from, why it is asked about, and how it is undone."""
    row = frame.ask("approvals.show", approval=approval)
    if frame.screen.as_json:
        frame.screen.result(row)
        return
    say = frame.screen.say
    say(f"{row['tool']}  ({row['state']})", style="bold")
    say(f"asked by the agent {row['who']['agent']} for {row['who']['user']}, {row['asked_at']}")
    if row["objective"]:
        say(f"objective: {row['objective']}")
    origin = {leaf["pointer"]: leaf for leaf in row["lineage"]}
    frame.screen.table(
        ("argument", "value", "integrity", "readers", "from"),
        [_argument(pointer, value, origin) for pointer, value in _flat(row["arguments"])],
    )
    frame.screen.table(("rule", "says"), [(each["id"], each["reason"]) for each in row["policies"]])
    if row["preview"]:
        say(f"preview, as {row['preview']['tool']} has it:", style="bold")
        say(_preview(row["preview"]))
    say(f"undo: {row['undo']}")
    say(f"needs: {_need(row['need'])}; until {row['expires_at']}")
    for vote in row["votes"]:
        note = f": {vote['note']}" if vote["note"] else ""
        say(f"{vote['at']} {vote['by']} ({vote['role']}) {vote['verdict']}{note}")


@command.command("approve")
@click.argument("approval")
@click.option("--note", default="", help="For the record.")
@verb
def approve(frame: Frame, approval: str, note: str) -> None:
    """Agree to exactly this call. It runs when the agent asks again, or at once if the rule says so."""
    _answered(frame, frame.ask("approvals.approve", approval=approval, note=note))


@command.command("refuse")
@click.argument("approval")
@click.option("--note", default="", help="The agent is told.")
@verb
def refuse(frame: Frame, approval: str, note: str) -> None:
    """Say no to this call."""
    _answered(frame, frame.ask("approvals.refuse", approval=approval, note=note))


@command.command("break-glass")
@click.argument("approval")
@click.option("--reason", required=True, help="Why it can not wait; it stays on record.")
@verb
def break_glass(frame: Frame, approval: str, reason: str) -> None:
    """Let it pass alone, with the role break_glass. Another person has to review it afterwards."""
    _answered(frame, frame.ask("approvals.break_glass", approval=approval, reason=reason))
    frame.screen.note(f"an incident is open until another person runs: toolward approvals review {approval}")


@command.command("review")
@click.argument("approval")
@click.option("--note", default="", help="What was found.")
@verb
def review(frame: Frame, approval: str, note: str) -> None:
    """Close the incident of a broken glass, as another person than the one who broke it."""
    _answered(frame, frame.ask("approvals.review", approval=approval, note=note))


@command.command("open")
@click.argument("approval", required=False, default="")
@click.option("--browser", is_flag=True, help="Open it here instead of printing it.")
@verb
def open_page(frame: Frame, approval: str, browser: bool) -> None:
    """A link that signs a browser in as you, to the page of APPROVAL or to all. It works once."""
    with frame.link() as link:
        if not link.through_daemon:
            raise GatewayError(
                "nobody serves the approval page",
                code=ReasonCode.GATEWAY_UNAVAILABLE,
                remedy="start the gateway with `toolward up`, or use `toolward approvals approve`",
            )
        made = link.invoke("links.make", approval=approval)
    if frame.screen.as_json:
        frame.screen.result(made)
    elif browser and webbrowser.open(made["url"]):
        frame.screen.say("opened in your browser")
    else:
        frame.screen.say(made["url"])
        frame.screen.note("it signs in as you, once, within five minutes: give it to nobody")


def _answered(frame: Frame, row: Mapping[str, Any]) -> None:
    if frame.screen.as_json:
        frame.screen.result(row)
        return
    frame.screen.say(f"{row['tool']}: {row['state']}")
    if row["state"] == "pending":
        frame.screen.note(f"it still needs {_need(row['need'])}")


def _need(need: Mapping[str, Any]) -> str:
    roles = (" and " if need["every_role"] else " or ").join(need["roles"])
    many = f", {need['quorum']} persons" if need["quorum"] > 1 else ""
    return f"{roles}{many}{', not the one who asked' if need['four_eyes'] else ''}"


def _preview(preview: Mapping[str, Any]) -> str:
    if "result" not in preview:
        return f"none: {preview['why_not']}"
    texts = [
        part.get("text", "") for part in preview["result"].get("content") or () if isinstance(part, dict)
    ]
    return "\n".join(texts) or orjson.dumps(preview["result"]).decode()


def _argument(pointer: str, value: object, origin: Mapping[str, Mapping[str, Any]]) -> tuple[object, ...]:
    leaf = origin.get(pointer)
    if leaf is None:
        return (pointer, value, "", "", "")
    label = leaf["label"]
    return (pointer, value, label["integrity"], label["confidentiality"], ", ".join(leaf["sources"]))


def _flat(value: Any, pointer: str = "") -> list[tuple[str, object]]:
    """Each value with its pointer, for a table."""
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _flat(item, f"{pointer}/{_escaped(key)}")]
    if isinstance(value, list):
        return [row for index, item in enumerate(value) for row in _flat(item, f"{pointer}/{index}")]
    return [(pointer, "(erased)" if value is None and not pointer else value)]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
