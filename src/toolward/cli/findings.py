"""Findings as a terminal shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from toolward.cli.screen import Screen

_STYLES = {"block": "bold red", "warn": "yellow", "note": "dim"}


def blocks(row: Mapping[str, Any]) -> bool:
    """Whether it takes `--accept-findings` to approve what this row shows."""
    return any(each["severity"] == "block" for each in row.get("findings", ()))


def warns(row: Mapping[str, Any]) -> bool:
    """Whether somebody should read it before it is served."""
    return any(each["severity"] in ("block", "warn") for each in row.get("findings", ()))


def summary(row: Mapping[str, Any]) -> str:
    """How many of which severity, for a column of a table."""
    counted = Counter(each["severity"] for each in row.get("findings", ()))
    return ", ".join(f"{counted[severity]} {severity}" for severity in _STYLES if counted[severity])


def show_findings(screen: Screen, rows: Sequence[Mapping[str, Any]], *, remedies: bool = False) -> None:
    """Each finding in a line: tool, severity, id, place, what was found."""
    for row in rows:
        for each in row.get("findings", ()):
            where = each["where"] or "/"
            screen.say(
                f"{each['severity']:5}  {row['tool']}  {each['id']} at {where}: {each['text']}",
                style=_STYLES[each["severity"]],
            )
            if remedies:
                screen.say(f"       {each['remedy']}", style="dim")
