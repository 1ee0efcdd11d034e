"""The tables and the diagram of `docs/lifecycle.md`, written from `rules/lifecycle.py`.

    python -m toolward.lab.lifecycle_page [FILE]

writes what stands between the marks of the page anew; a test holds the page up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from toolward.model.tool import ToolState
from toolward.rules.lifecycle import TRANSITIONS, Change, Transition

PAGE: Final = Path("docs/lifecycle.md")
BEGIN: Final = "<!-- written by `python -m toolward.lab.lifecycle_page`: the table is rules/lifecycle.py -->"
END: Final = "<!-- end -->"


def generated(text: str) -> str:
    """The page with what stands between its marks written anew."""
    body = f"{BEGIN}\n\n{diagram()}\n\n{table()}\n\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: body, text, flags=re.DOTALL)


def diagram() -> str:
    """The moves between states, as a Mermaid state diagram; what stays where it is does not stand in it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for each in TRANSITIONS:
        if each.after is not None and each.before is not each.after:
            ends = (each.before.value if each.before else "[*]", each.after.value)
            arrows.setdefault(ends, []).append(each.occasion.value)
    lines = [f"    {a} --> {b}: {', '.join(names)}" for (a, b), names in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def table() -> str:
    """Each occasion with the states that it moves; comparisons that change nothing are left out."""
    rows: dict[tuple[str, str, str, str], list[ToolState | None]] = {}
    for each in TRANSITIONS:
        if isinstance(each.occasion, Change) and each.before is each.after:
            continue
        rows.setdefault(_row(each), []).append(each.before)
    lines = [
        f"| {occasion} | {_states(before)} | {after} | {evidence} | {people} |"
        for (occasion, after, evidence, people), before in rows.items()
    ]
    head = ["| occasion | from | to | the evidence it takes | the people it takes |", "|---|---|---|---|---|"]
    return "\n".join([*head, *lines])


def _row(each: Transition) -> tuple[str, str, str, str]:
    after = f"`{each.after}`" if each.after else "as it was"
    return each.occasion.value, after, each.evidence.value, each.people.value


def _states(states: Iterable[ToolState | None]) -> str:
    known = list(states)
    if set(known) >= set(ToolState):
        return "any, or not known" if None in known else "any"
    return ", ".join(f"`{state}`" if state else "not known" for state in known)


def main() -> None:
    """Write the page anew."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
