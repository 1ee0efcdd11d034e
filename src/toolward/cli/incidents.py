"""`toolward incidents`: what went wrong, and when it was put right."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb
from toolward.cli.screen import when


@click.command("incidents")
@click.option("--open", "only_open", is_flag=True, help="Only those that were not restored.")
@verb
def command(frame: Frame, only_open: bool) -> None:
    """All incidents with onset, detection, containment and restoration (UTC)."""
    found = frame.ask("incidents")
    if only_open:
        found = [each for each in found if not each["restored_ns"]]
    if frame.screen.as_json:
        frame.screen.result(found)
        return
    if not found:
        frame.screen.say("no incidents", style="green")
        return
    times = ("onset_ns", "detected_ns", "contained_ns", "restored_ns")
    frame.screen.table(
        ("kind", "subject", "onset", "detected", "contained", "restored", "what"),
        [(e["kind"], e["subject"], *(when(e[name]) for name in times), e["text"]) for e in found],
    )
