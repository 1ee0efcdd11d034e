"""Measurements as a table for people and as `build/reports/NAME.json` for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.table import Table

REPORTS: Final = Path("build/reports")
"""Below the directory that the measurement is started in."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing. `goal` says in words what was promised ("" if nothing), `holds` whether it is."""

    what: str
    figure: float | str
    unit: str = ""
    goal: str = ""
    holds: bool = True


def write_report(name: str, rows: Sequence[Row], *, directory: Path = REPORTS, printed: bool = True) -> Path:
    """Print `rows` and write them as a list of `{what, figure, unit, goal, holds}`; returns the file."""
    if printed:
        print_rows(name, rows)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_bytes(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2) + b"\n")
    return path


def print_rows(name: str, rows: Sequence[Row]) -> None:
    """The table for people."""
    table = Table(title=name)
    for heading in ("what", "figure", "unit", "goal", "holds"):
        table.add_column(heading, justify="right" if heading == "figure" else "left")
    for row in rows:
        holds = "" if not row.goal else "[green]yes[/]" if row.holds else "[red]no[/]"
        table.add_row(row.what, _shown(row.figure), row.unit, row.goal, holds)
    Console().print(table)


def _shown(figure: float | str) -> str:
    if isinstance(figure, str):
        return figure
    whole = isinstance(figure, int) or abs(figure) >= 100  # noqa: PLR2004 -- three digits are enough
    return f"{figure:,.0f}" if whole else f"{figure:.2f}"
