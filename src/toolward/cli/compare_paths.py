"""`toolward compare-paths`: the secure and the open path, measured side by side on this ward."""

from __future__ import annotations

from typing import Any

import click

from toolward.cli.frame import Frame, verb
from toolward.errors import Rejected
from toolward.rules.canonical import parse_strict


@click.command("compare-paths")
@click.argument("ward", default="")
@click.option("--tool", default="", metavar="SERVER/TOOL", help="Which read; else the newest on record.")
@click.option("--json-args", default="", metavar="JSON", help="Its arguments as one JSON object.")
@click.option("--calls", type=click.IntRange(1, 5_000), default=50, help="Down each path.")
@verb
def command(frame: Frame, ward: str, tool: str, json_args: str, calls: int) -> None:
    """The same work down both paths of WARD: what stands in its way, what is written, what it costs.

    The work is an approved tool that only reads. What all other tools would meet is decided and not run.
    """
    frame.ward = ward or frame.ward
    asked: dict[str, Any] = {"tool": tool, "calls": calls}
    if json_args:
        asked["arguments"] = parse_strict(json_args.encode())
        if not isinstance(asked["arguments"], dict) or not tool:
            raise Rejected("--json-args is one JSON object, for the tool that --tool names")
    found = frame.ask("paths.compare", **asked)
    if frame.screen.as_json:
        frame.screen.result(found)
        return
    frame.screen.table(
        ("", "", "open path", "secure path"),
        [(row["aspect"], row["what"], row["open"], row["secure"]) for row in found["rows"]],
    )
    frame.screen.note(f"{found['calls']} calls of {found['tool']} down each path, in turns")
