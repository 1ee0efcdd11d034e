"""`toolward sessions`: what agents did, and taking it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import Screen, when

_STYLES = {"COMPENSATED": "bold green", "PARTIALLY_COMPENSATED": "bold yellow", "NEEDS_HUMAN": "bold red"}


@click.group("sessions")
def command() -> None:
    """Runs of agents: what each wrote, and rolling it back."""


@command.command("list")
@click.option("--limit", default=50, help="How many, newest first.")
@verb
def list_sessions(frame: Frame, limit: int) -> None:
    """Sessions with how much each wrote and how much of that was undone."""
    rows = frame.ask("sessions.list", limit=limit)
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    if not rows:
        frame.screen.say("no agent has had a session yet")
        return
    frame.screen.table(
        ("session", "user", "agent", "opened", "writes", "undone", "rollback"),
        [
            (
                row["session"],
                row["user"],
                row["agent"],
                when(row["opened_ns"]),
                str(row["writes"]),
                str(row["undone"] or ""),
                row["rollback"],
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("session")
@click.option("--lineage", "form", flag_value="words", help="Where each argument of its calls came from.")
@click.option("--prov", "form", flag_value="prov", help="The same as W3C PROV-JSON.")
@click.option(
    "--openlineage", "form", flag_value="openlineage", help="The same as OpenLineage events, a line each."
)
@verb
def show(frame: Frame, session: str, form: str | None) -> None:
    """What SESSION wrote, in order, how each is undone, its savepoints and rollbacks."""
    if form is not None:
        _show_lineage(frame, session, form)
        return
    found = frame.ask("sessions.show", session=session)
    screen = frame.screen
    if screen.as_json:
        screen.result(found)
        return
    who = found["principal"]
    screen.say(f"{found['session']}  {who['user']} by {who['agent']}", style="bold")
    screen.table(
        ("call", "tool", "record", "what became of it", "undone by", "touches"),
        [
            (
                each["call"],
                each["tool"],
                str(each["record"]),
                "undone" if each["undone"] else "accepted" if each["accepted"] else each["status"],
                {"none": "nothing", "restore": "its before-image"}.get(each["way"], each["way"]),
                ", ".join(each["resources"]),
            )
            for each in found["effects"]
        ],
    )
    for run in found["steps"]:
        here = " (here)" if run["step"] == found["step"] and not found["ended"] else ""
        screen.say(f"step {run['step']}{here}: {run['calls']} calls, {run['written']} with an effect")
    if found["ended"]:
        screen.say(f"the objective `{found['objective']}` was ended: {found['ended']}")
    for mark in found["savepoints"]:
        screen.say(f"savepoint {mark['name']} at record {mark['log_index']}")
    for each in found["rollbacks"]:
        _show_rollback(screen, each)


def _show_lineage(frame: Frame, session: str, form: str) -> None:
    found = frame.ask("sessions.lineage", session=session, form=form)
    screen = frame.screen
    if found["cut"]:
        screen.warn("the session has more calls than are shown: the newest are")
    if form == "prov":
        screen.result(found["document"])
    elif form == "openlineage":
        for event in found["events"]:
            screen.line(event)
    elif screen.as_json:
        screen.result(found)
    else:
        for call in found["calls"]:
            screen.say(f"{call['tool']}  {call['call']}  {call['status'] or 'no outcome yet'}", style="bold")
            for line in call["arguments"]:
                screen.say(f"  {line['argument'] or '(all)'}: {line['from']}")
            if call["erased"]:
                screen.note("  its arguments were erased")
            if call["left_out"]:
                screen.note(f"  and {call['left_out']} more")


@command.command("open")
@click.option(
    "--key", default="", help="For the agent with this key, by its name in `keys list`; default: you."
)
@click.option("--objective", default="", help="One that the ward declares, or words of your own.")
@click.option("--prompt", default="", help="What the user really said.")
@verb
def open_session(frame: Frame, key: str, objective: str, prompt: str) -> None:
    """Open a session and print its handle, which the agent's client sends as `X-Toolward-Session`."""
    found = frame.ask("sessions.open", key=key, objective=objective, prompt=prompt)
    if frame.screen.as_json:
        frame.screen.result(found)
        return
    if found["step"]:
        frame.screen.note(f"{found['objective']}, in step `{found['step']}` of {', '.join(found['steps'])}")
    frame.screen.say(found["session"])


@command.command("step")
@click.argument("session")
@click.argument("step")
@verb
def step_session(frame: Frame, session: str, step: str) -> None:
    """Move SESSION to STEP of its objective."""
    found = frame.ask("sessions.step", session=session, step=step)
    if frame.screen.as_json:
        frame.screen.result(found)
    else:
        frame.screen.say(f"{found['objective']}: now in `{found['step']}`")


@command.command("finish")
@click.argument("session")
@click.option("--failed", "why", default="", metavar="WHY", help="Say that it failed, without judging it.")
@verb
def finish(frame: Frame, session: str, why: str) -> None:
    """Have it judged whether SESSION reached its objective, and end it. Exits 1 when it did not."""
    if why:
        found = frame.ask("sessions.fail", session=session, why=why)
    else:
        found = frame.ask("sessions.finish", session=session)
    if frame.screen.as_json:
        frame.screen.result(found)
    else:
        reached = found["outcome"] == "reached"
        frame.screen.say(found["outcome"], style="bold green" if reached else "bold red")
        for missing in found["missing"]:
            frame.screen.warn(missing)
        if found["rollback"] is not None:
            _show_rollback(frame.screen, found["rollback"])
    if found["outcome"] != "reached":
        leave(Exit.FINDING)


@command.command("seal")
@click.argument("session")
@verb
def seal(frame: Frame, session: str) -> None:
    """Accept SESSION's work so far: what it holds in escrow goes out, what it changed is others' again."""
    result = frame.ask("sessions.seal", session=session)
    screen = frame.screen
    if screen.as_json:
        screen.result(result)
        return
    screen.say(f"sealed: {session}", style="green")
    for each in result["released"]:
        line = f"{each['escrow_id']} {each['state']}"
        if each["state"] == "refused":
            screen.warn(f"{line}: {each['reason']} ({each['code']})")
        else:
            screen.note(line)


@command.command("rollback")
@click.argument("session")
@click.option(
    "--to", default="", metavar="SAVEPOINT|CALL", help="Only what came after; a call is undone too."
)
@click.option("--plan", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--all-or-nothing", is_flag=True, help="Do nothing if anything would have to stay.")
@click.option("--why", default="", help="Stands in the record.")
@verb
def rollback(frame: Frame, session: str, to: str, plan: bool, all_or_nothing: bool, why: str) -> None:
    """Take back what SESSION did, in reverse order. Exits 1 when something of it stays."""
    asked = {"session": session, "to": to, "plan": plan, "all_or_nothing": all_or_nothing, "why": why}
    found = frame.ask("sessions.rollback", **asked)
    if plan:
        _show_plan(frame.screen, found)
    else:
        _end(frame, found)


@command.command("retry")
@click.argument("rollback")
@verb
def retry(frame: Frame, rollback: str) -> None:
    """Try the stuck steps of ROLLBACK again, with the same plan."""
    _end(frame, frame.ask("sessions.retry", rollback=rollback))


@command.command("accept")
@click.argument("rollback")
@click.argument("call")
@click.option("--reason", required=True, help="Why it may stay; stands in the record.")
@verb
def accept(frame: Frame, rollback: str, call: str, reason: str) -> None:
    """Agree that what the stuck CALL of ROLLBACK did stays. Two people have to."""
    _end(frame, frame.ask("sessions.accept", rollback=rollback, call=call, reason=reason))


def _end(frame: Frame, found: Mapping[str, Any]) -> None:
    if frame.screen.as_json:
        frame.screen.result(found)
    else:
        _show_rollback(frame.screen, found)
    if found["state"] != "COMPENSATED":
        leave(Exit.FINDING)


def _show_rollback(screen: Screen, found: Mapping[str, Any]) -> None:
    screen.say(f"\n{found['state']}  rollback {found['rollback']}", style=_STYLES.get(found["state"], "bold"))
    if found["steps"]:
        screen.table(
            ("call", "tool", "step", "how"),
            [(step["call"], step["tool"], step["state"], step["note"]) for step in found["steps"]],
        )
    for left in found["residuals"]:
        screen.warn(f"stays: {left['tool']}, call {left['call_id']}: {left['reason']}")
    if found["state"] == "NEEDS_HUMAN":
        screen.note(f"  try again: toolward sessions retry {found['rollback']}")
        screen.note(f"  let it stay: toolward sessions accept {found['rollback']} CALL --reason WHY")


def _show_plan(screen: Screen, plan: Mapping[str, Any]) -> None:
    if screen.as_json:
        screen.result(plan)
        return
    screen.table(
        ("call", "tool", "way", "touches"),
        [(s["call_id"], s["tool"], s["way"], ", ".join(s["resources"])) for s in plan["steps"]],
    )
    for left in plan["residuals"]:
        screen.warn(f"would stay: {left['tool']}, call {left['call_id']}: {left['reason']}")
    screen.note(f"plan {plan['plan_hash']}", style="dim")
