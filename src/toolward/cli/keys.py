"""`toolward keys`: credentials of agents and people."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.group("keys")
def command() -> None:
    """Credentials: an agent's key names the agent and the user it acts for."""


@command.command("create")
@click.argument("agent", required=False, default="")
@click.option("--user", default="", help="On whose behalf the agent acts; default: you.")
@click.option("--person", is_flag=True, help="A credential for a person instead, which may approve.")
@click.option("--host", is_flag=True, help="For whoever runs AGENT: opens, moves and ends its sessions.")
@verb
def create(frame: Frame, agent: str, user: str, person: bool, host: bool) -> None:
    """Make a key for AGENT. It is shown once and kept nowhere."""
    if person and host:
        raise click.UsageError("--person and --host are two keys")
    parameters = {"kind": "person" if person else "host" if host else "api_key"}
    if agent:
        parameters["agent"] = agent
    if user:
        parameters["user"] = user
    made = frame.ask("keys.create", **parameters)
    if frame.screen.as_json:
        frame.screen.result(made)
        return
    frame.screen.note(f"{made['name']} for {made['user']}; it is shown this once:", style="bold")
    frame.screen.say(made["token"])
    if person:
        frame.screen.note("use it as --person-key or TOOLWARD_PERSON, and keep it from agents")
    elif host:
        frame.screen.note("the program that runs the agent uses it, and keeps it from the agent's model")
    else:
        frame.screen.note("the client sends it as `Authorization: Bearer KEY`")


@command.command("list")
@verb
def list_keys(frame: Frame) -> None:
    """Every credential; never a token."""
    rows = frame.ask("keys.list")
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    frame.screen.table(
        ("name", "kind", "user", "agent"),
        [(row["name"], row["kind"], row["user"], row["agent"]) for row in rows],
    )


@command.command("revoke")
@click.argument("name")
@verb
def revoke(frame: Frame, name: str) -> None:
    """Revoke the key NAME at once."""
    result = frame.ask("keys.revoke", name=name)
    if frame.screen.as_json:
        frame.screen.result(result)
    else:
        frame.screen.say(f"revoked: {result['revoked']}")
