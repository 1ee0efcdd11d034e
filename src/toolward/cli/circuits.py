"""`toolward circuits`: which tools and servers are stepped back from, and what is in flight."""

from __future__ import annotations

from typing import Any

import click

from toolward.cli.frame import Frame, verb


@click.group("circuits")
def command() -> None:
    """Circuits, calls in flight and retry budgets of servers and tools: list, close."""


@command.command("list")
@verb
def listing(frame: Frame) -> None:
    """Every server and tool that was called or failed since the gateway started."""
    found = frame.ask("circuits.list")
    if frame.screen.as_json:
        frame.screen.result(found)
        return
    if not found:
        frame.screen.say("nothing was called since the gateway started")
        return
    frame.screen.table(
        ("server or tool", "circuit", "failed", "in flight", "waiting", "retries left"),
        [
            (
                each["key"],
                _circuit(each),
                f"{each['failed']} of {each['of']}",
                f"{each['in_flight']} of {each['in_flight_max']}",
                str(each.get("waiting", "")),
                str(each.get("retries_left", "")),
            )
            for each in found
        ],
    )


@command.command("close")
@click.argument("key", metavar="SERVER|SERVER/TOOL")
@verb
def close(frame: Frame, key: str) -> None:
    """Let calls through again at once, because it was mended."""
    done = frame.ask("circuits.close", key=key)
    if frame.screen.as_json:
        frame.screen.result(done)
    else:
        frame.screen.say(f"closed {done['closed']} circuit(s) of {key}", style="green")


def _circuit(found: dict[str, Any]) -> str:
    said = [_one(found)] if found["circuit"] != "closed" else []
    said += [f"{_one(each)} for {each['caller']}" for each in found["callers"]]
    return ", ".join(said) or "closed"


def _one(found: dict[str, Any]) -> str:
    return "on trial" if found["circuit"] == "half_open" else f"open for {found['retry_after_s']} s"
