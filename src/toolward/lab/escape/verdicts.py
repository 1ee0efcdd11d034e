"""From what was seen to what it means, and the tables."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from rich.console import Console
from rich.table import Table

from toolward.lab.escape.attempts import ATTEMPTS, Attempt
from toolward.lab.escape.columns import BWRAP, CAGES, WASM, Told, control_of, has_control
from toolward.lab.escape.wasm_attempts import MODULE_ATTEMPTS, ModuleAttempt
from toolward.lab.report import Row

DISCRIMINATING_MIN: Final = 45
"""Attempts whose control succeeds; one whose control does not shows nothing about the cage."""


class Verdict(StrEnum):
    """What one attempt came to in one kind of cage."""

    CONTAINED = "contained"
    NAMED = "named gap"  # not contained, and the cage's report says so
    ESCAPED = "ESCAPED"
    UNUSABLE = "UNUSABLE"  # what was granted could not be used: being contained shows nothing
    BROKEN = "BROKEN"
    NOT_RUN = "not run"


class Proof(StrEnum):
    """What the control says about an attempt."""

    YES = "succeeds"  # discriminating: only the cage stops it
    NO = "fails too"
    NONE = "none"  # there is no such thing without a cage
    NOT_RUN = "not run"


def verdict(attempt: Attempt, column: str, told: dict[str, Told]) -> Verdict:
    """One cell."""
    seen = told[column].seen.get(attempt.id) if column in told else None
    if seen is None:
        return Verdict.NOT_RUN
    if seen.broken:
        return Verdict.BROKEN
    if seen.escaped:
        named = attempt.gap and any(gap.startswith(attempt.gap) for gap in told[column].gaps)
        return Verdict.NAMED if named else Verdict.ESCAPED
    return Verdict.UNUSABLE if seen.wrong else Verdict.CONTAINED


def proof(attempt: Attempt, told: dict[str, Told]) -> Proof:
    """Whether the payload works where there is no cage."""
    if not has_control(attempt.id):
        return Proof.NONE
    seen = control_of(attempt.id, told)
    if seen is None:
        return Proof.NOT_RUN
    return Proof.YES if seen.escaped else Proof.NO


def chosen(told: dict[str, Told]) -> list[Attempt]:
    """The attempts of this run."""
    ran = {name for each in told.values() for name in each.seen}
    return [each for each in ATTEMPTS if each.id in ran]


def chosen_modules(told: dict[str, Told]) -> list[ModuleAttempt]:
    """The modules of this run."""
    ran = {name for each in told.values() for name in each.seen}
    return [each for each in MODULE_ATTEMPTS if each.id in ran]


def cross_check(attempt: Attempt, told: dict[str, Told]) -> str:
    """What bubblewrap made of an attempt, in a word."""
    if BWRAP.name not in told:
        return "not installed"
    seen = told[BWRAP.name].seen.get(attempt.id)
    if seen is None or seen.broken or seen.wrong:
        return "not run" if seen is None else "could not"
    return "no" if seen.escaped else "yes"


def rows_of(told: dict[str, Told], *, complete: bool) -> Iterator[Row]:
    """The report: totals, then every attempt. Goals only where the run is `complete`."""
    attempts = chosen(told)
    yield Row("attempts", len(attempts), "rows")
    for column in CAGES:
        if column.name not in told:
            yield Row(f"contained, {column.name}", "not run: needs root", "rows")
            continue
        cells = {each.id: verdict(each, column.name, told) for each in attempts}
        held = sum(cell is Verdict.CONTAINED for cell in cells.values())
        named = [name for name, cell in cells.items() if cell is Verdict.NAMED]
        strict = column.place == "namespaces"
        goal = f"all {len(attempts)}" + ("" if strict else ", or named as a gap")
        yield Row(
            f"contained, {column.name}",
            held,
            "rows",
            goal,
            held + (0 if strict else len(named)) == len(attempts),
        )
        if named:
            yield Row(f"  named as a gap, {column.name}", ", ".join(named))
    proofs = {each.id: proof(each, told) for each in attempts}
    works = sum(each is Proof.YES for each in proofs.values())
    goal = f">= {DISCRIMINATING_MIN}" if complete else ""
    yield Row(
        "discriminating: the control succeeds", works, "rows", goal, works >= DISCRIMINATING_MIN or not goal
    )
    yield Row("  the control fails too", ", ".join(n for n, p in proofs.items() if p is Proof.NO) or "none")
    yield Row("  without a control", ", ".join(n for n, p in proofs.items() if p is Proof.NONE) or "none")
    yield from _rows_of_bubblewrap(attempts, told)
    yield from _rows_of_modules(told)
    for each in (*attempts, *chosen_modules(told)):
        columns = (WASM,) if isinstance(each, ModuleAttempt) else CAGES
        cells = {c.name: verdict(each, c.name, told) for c in columns if c.name in told}
        said = "; ".join(f"{name}: {cell.value}" for name, cell in cells.items())
        holds = set(cells.values()) <= {Verdict.CONTAINED, Verdict.NAMED}
        figure = f"{said}; control: {proof(each, told).value}"
        yield Row(f"{each.id} {each.what}", figure, "", "contained or named", holds)


def _rows_of_bubblewrap(attempts: list[Attempt], told: dict[str, Told]) -> Iterator[Row]:
    """For comparison: what it does not stop is no fault of ours, and shows what ours does beside it."""
    if BWRAP.name not in told:
        yield Row(f"cross-check, {BWRAP.name}", "not installed")
        return
    words = {each.id: cross_check(each, told) for each in attempts}
    count = sum(word in {"yes", "no"} for word in words.values())
    stopped = sum(word == "yes" for word in words.values())
    yield Row(f"cross-check, {BWRAP.name}: contained", f"{stopped} of {count}", "rows")
    yield Row("  not contained there", ", ".join(n for n, word in words.items() if word == "no") or "none")
    yield Row("  could not run there", ", ".join(n for n, w in words.items() if w == "could not") or "none")


def _rows_of_modules(told: dict[str, Told]) -> Iterator[Row]:
    if missing := told[WASM.name].all.get("missing") if WASM.name in told else "":
        yield Row("webassembly", f"not run: {missing}")
        return
    modules = chosen_modules(told)
    cells = [verdict(each, WASM.name, told) for each in modules]
    named = [each.id for each, cell in zip(modules, cells, strict=True) if cell is Verdict.NAMED]
    held = cells.count(Verdict.CONTAINED)
    holds = held + len(named) == len(modules)
    yield Row("contained, wasm", held, "rows", f"all {len(modules)}, or named as a gap", holds)
    yield Row("  named as a gap, wasm", ", ".join(named) or "none")
    proofs = [proof(each, told) for each in modules]
    yield Row("  discriminating, wasm", proofs.count(Proof.YES), "rows")


def show(told: dict[str, Told], say: Console) -> None:
    """The table for people, and what went wrong in words."""
    table = Table(title="escape")
    for heading in ("id", "attempt", *(column.name for column in CAGES), "control"):
        table.add_column(heading)
    for each in chosen(told):
        cells = [verdict(each, column.name, told) for column in CAGES]
        good = (Verdict.CONTAINED, Verdict.NAMED, Verdict.NOT_RUN)
        shown = [cell.value if cell in good else f"[red]{cell.value}[/]" for cell in cells]
        table.add_row(each.id, each.what, *shown, proof(each, told).value)
    say.print(table)
    for module in chosen_modules(told):
        cell = f"{verdict(module, WASM.name, told).value}; control: {proof(module, told).value}"
        say.print(f"{module.id} {module.what}: {cell}", markup=False)
    for each in (*chosen(told), *chosen_modules(told)):
        for column in (WASM,) if isinstance(each, ModuleAttempt) else CAGES:
            if verdict(each, column.name, told) in {Verdict.ESCAPED, Verdict.UNUSABLE, Verdict.BROKEN}:
                say.print(f"{each.id} in {column.name}: {told[column.name].seen[each.id]}", markup=False)
