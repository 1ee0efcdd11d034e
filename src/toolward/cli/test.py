"""`toolward test`: what the policies are to say of calls, and what they say."""

from __future__ import annotations

import click

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb


@click.command("test")
@click.option("--tool", default="", help="Only the tests that call this one, as server/tool.")
@verb
def command(frame: Frame, tool: str) -> None:
    """Run the decision tests of tests/*.yaml. Exits 1 when one does not hold."""
    rows = frame.ask("test", tool=tool)
    if frame.screen.as_json:
        frame.screen.result(rows)
    else:
        frame.screen.table(
            ("where", "test", "", "why"),
            [
                (
                    f"{row['file']}:{row['line']}",
                    row["name"],
                    "holds" if row["holds"] else "fails",
                    row["text"],
                )
                for row in rows
            ],
        )
        if not rows:
            frame.screen.note("no decision test: write tests/NAME.yaml (docs/lifecycle.md)")
    if not all(row["holds"] for row in rows):
        leave(Exit.FINDING)
