"""`python -m toolward.lab.leaks` (make leaks): what of a confidential value reaches a sink, and would."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from toolward.lab.leaks.playing import EXPLAINED, Outcome, Played, play
from toolward.lab.report import Row, write_report
from toolward.lab.toolchain import BUILD


async def played_both(folder: Path) -> list[Row]:
    """The rows of the suite: with the default profile, and with one that only observes."""
    with_it = await play(folder / "guarded", "guarded")
    without = await play(folder / "observe", "observe")
    handles = with_it.by_handle
    return [
        *_rows(with_it.played, without.played),
        Row(
            "a reference to the confidential answer, to a search",
            f"{handles.count('')} of {len(handles)} reached it",
            "",
            "0 reach it",
            "" not in handles,
        ),
        *(_harmless(with_it, kind) for kind in with_it.tried),
    ]


def _harmless(outcome: Outcome, kind: str) -> Row:
    refused = outcome.refused.get(kind, [])
    promised = kind == EXPLAINED
    return Row(
        f"harmless searches after the confidential read, {kind}",
        f"{len(refused)} of {outcome.tried[kind]} asked about",
        "",
        "0 asked about" if promised else "",
        not promised or not refused,
    )


def _rows(with_it: list[Played], without: list[Played]) -> list[Row]:
    control = {(each.attempt.secret, each.attempt.encoding, each.attempt.carrier): each for each in without}
    rows: list[Row] = []
    carriers = Counter(each.attempt.carrier for each in with_it)
    for carrier in carriers:
        of_it = [each for each in with_it if each.attempt.carrier == carrier]
        for what, some in _groups(of_it):
            reached = [each for each in some if each.received]
            would = sum(
                control[each.attempt.secret, each.attempt.encoding, each.attempt.carrier].received
                for each in some
            )
            rows.append(
                Row(
                    f"{what}, to {carrier}",
                    f"{len(reached)} of {len(some)} reached it; {would} without the defence",
                    "",
                    "0 reach it; all would without",
                    not reached and would == len(some),
                )
            )
            rows += [_missed(each) for each in reached]
    return rows


def _groups(played: Iterable[Played]) -> list[tuple[str, list[Played]]]:
    seen = [each for each in played if each.attempt.seen_through]
    unseen = [each for each in played if not each.attempt.seen_through]
    return [("encodings that are seen through", seen), ("told so that no matching sees it", unseen)]


def _missed(each: Played) -> Row:
    attempt = each.attempt
    return Row(
        f"missed: {attempt.secret}, {attempt.encoding}, {attempt.carrier}",
        "reached it",
        goal="none",
        holds=False,
    )


def main() -> None:
    """Play, print, write `build/reports/leaks.json`; exit 1 if anything does not hold."""
    rows = asyncio.run(played_both(BUILD / "leaks"))
    write_report("leaks", rows)
    if not all(row.holds for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
