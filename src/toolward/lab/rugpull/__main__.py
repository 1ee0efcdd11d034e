"""`python -m toolward.lab.rugpull [ID ...]` (make rug-pulls): every case with its control; false alarms."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from toolward.lab.report import Row, print_rows, write_report
from toolward.lab.rugpull.cases import all_cases
from toolward.lab.rugpull.playing import Played, play
from toolward.lab.rugpull.real_servers import RESTARTS, Alarms, count_alarms
from toolward.lab.toolchain import BUILD, SetupFailed

HOME: Final = BUILD / "rug-pulls"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="toolward.lab.rugpull", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="ID", help="these cases only, and no report")
    parser.add_argument("--restarts", type=int, default=RESTARTS, help="of the gateway; 0: no real servers")
    return parser.parse_args()


def show(played: Sequence[Played], say: Console) -> None:
    """The table of cases."""
    table = Table(title="rug pulls")
    for heading in ("case", "what changes", "when", "without toolward", "with toolward", "holds"):
        table.add_column(heading)
    for each in played:
        source = f" [dim]({each.case.source})[/]" if each.case.source else ""
        holds = "[green]yes[/]" if not each.wrong else f"[red]no: {each.wrong}[/]"
        table.add_row(
            each.case.id,
            each.case.what + source,
            each.case.play.value,
            each.control or "[red]does not work[/]",
            each.toolward,
            holds,
        )
    say.print(table)


def rows_of(played: Sequence[Played]) -> list[Row]:
    """One row for each case, and their sum."""
    rows = [
        Row(
            f"{each.case.id}: {each.case.what}",
            each.wrong or each.toolward,
            "",
            "quarantined or denied; works without toolward",
            not each.wrong,
        )
        for each in played
    ]
    held = sum(not each.wrong for each in played)
    return [*rows, Row("cases that hold", held, "cases", f"= {len(played)}", held == len(played))]


def rows_of_alarms(found: Alarms) -> list[Row]:
    """What the real servers set off."""
    block, warn = found.findings["block"], found.findings["warn"]
    return [
        Row("real servers compared", found.servers, "servers", ">= 10", found.servers >= 10),  # noqa: PLR2004
        Row("their tools", found.tools, "tools"),
        Row("restarts of the gateway and of every server", found.restarts, "restarts"),
        Row("comparisons of a tool", found.comparisons, "comparisons"),
        Row(
            "false alarms: " + (", ".join(found.alarms[:5]) or "none"),
            len(found.alarms),
            "alarms",
            "0",
            not found.alarms,
        ),
        Row(
            "servers that could not be compared: " + (", ".join(found.missed)[:300] or "none"),
            len(found.missed),
            "servers",
            "0",
            not found.missed,
        ),
        Row("findings `block` on them", block, "findings", "0", block == 0),
        Row("findings `warn` on them: " + (", ".join(found.named[:5]) or "none"), warn, "findings"),
    ]


async def play_all(only: Sequence[str], say: Console) -> list[Played]:
    """One case after the other: each has a daemon of its own."""
    cases = [each for each in all_cases() if not only or each.id in only]
    played = []
    with say.status("") as status:
        for number, case in enumerate(cases, 1):
            status.update(f"{number} of {len(cases)}: {case.id}")
            played.append(await play(case, HOME))
    return played


def main() -> None:
    """Play, count, print, write `build/reports/rug_pulls.json`."""
    given = arguments()
    unknown = set(given.only) - {each.id for each in all_cases()}
    if unknown:
        sys.exit(f"no such cases: {', '.join(sorted(unknown))}")
    say = Console(width=None if sys.stdout.isatty() else 220)
    began = time.perf_counter()
    Path(HOME).mkdir(parents=True, exist_ok=True)
    played = asyncio.run(play_all(given.only, say))
    show(played, say)
    rows = rows_of(played)
    if given.restarts and not given.only:
        try:
            rows += rows_of_alarms(count_alarms(say, restarts=given.restarts))
        except SetupFailed as error:
            say.print(f"[red]false alarms could not be counted:[/] {error}", highlight=False)
            sys.exit(2)
    rows.append(Row("time", round(time.perf_counter() - began, 1), "s"))
    if not given.only:
        print_rows("rug pulls, in sum", rows[len(played) :])
        say.print(write_report("rug_pulls", rows, printed=False))
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
