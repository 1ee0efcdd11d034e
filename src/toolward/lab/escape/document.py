"""`docs/escape.md`, from a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from toolward.lab.escape.columns import BWRAP, CAGES, WASM, Told
from toolward.lab.escape.verdicts import (
    Proof,
    Verdict,
    chosen,
    chosen_modules,
    cross_check,
    proof,
    verdict,
)
from toolward.lab.report import Row

_HEAD: Final = """# What was tried, and what held

Written by `python -m toolward.lab.escape --docs`; `make escape` runs it again and fails where a row no longer
holds. Each attempt runs in every kind of cage, as root and as an ordinary user, and once without any (its
*control*). Only where the control succeeds does a contained attempt say something about the cage. The host
judges by what it sees (its files, listeners, processes, secrets); a payload's own word counts as well. Every
row uses what it was granted, and after each the next call must get its answer.

A column that is not ours runs the same payloads in bubblewrap with our filter, as a cross-check: *no* there
says that something which bubblewrap has not (a total of memory, of inodes) holds the row here.

*yes*: it achieved nothing. *named gap*: it is not stopped there, and the report of such a cage says so.
In controls: *succeeds*, *fails too* (the machine stops it anyway), *none* (there is nothing to compare with).
"""


def document(told: dict[str, Told], rows: list[Row]) -> str:
    """The whole text."""
    return "\n".join((_HEAD, *_totals(rows), "", *_table(told), "", *_modules(told), "", *_gaps(told), ""))


def _totals(rows: list[Row]) -> Iterator[str]:
    yield "| what | figure | goal |"
    yield "|---|---|---|"
    for row in rows:
        if row.goal != "contained or named" and row.what != "time":
            yield f"| {row.what.strip()} | {row.figure} | {row.goal} |"


def _table(told: dict[str, Told]) -> Iterator[str]:
    yield "## Row by row"
    yield ""
    names = " | ".join((*(column.name for column in CAGES), BWRAP.name))
    yield f"| id | attempt | idea | {names} | control |"
    yield "|---|---|---|" + "---|" * (len(CAGES) + 2)
    for each in chosen(told):
        cells = [verdict(each, column.name, told) for column in CAGES]
        shown = [*map(_shown, cells), cross_check(each, told)]
        control = f"{each.control.value} {proof(each, told).value}"
        if proof(each, told) is Proof.NONE:
            control = Proof.NONE.value
        yield f"| {each.id} | {each.what} | {each.source} | {' | '.join(shown)} | {control} |"


def _modules(told: dict[str, Told]) -> Iterator[str]:
    yield "## WebAssembly, row by row"
    yield ""
    yield "Its control is the same module in a bare runtime, which gives it the machine and sets no limits."
    yield ""
    yield "| id | attempt | idea | wasm | control |"
    yield "|---|---|---|---|---|"
    for each in chosen_modules(told):
        cell = _shown(verdict(each, WASM.name, told))
        yield f"| {each.id} | {each.what} | {each.source} | {cell} | {proof(each, told).value} |"


def _shown(cell: Verdict) -> str:
    return "yes" if cell is Verdict.CONTAINED else cell.value


def _gaps(told: dict[str, Told]) -> Iterator[str]:
    yield "## What each cage says that it does not stop"
    for column in (*CAGES, WASM):
        if column.name in told:
            yield ""
            yield f"**{column.name}**"
            yield ""
            yield from (f"- {gap}" for gap in told[column.name].gaps or ("nothing is named",))
