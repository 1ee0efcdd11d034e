"""What is said, and where: results on stdout, everything else on stderr; colours only for a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from toolward.errors import Reason, ToolwardError

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Mapping[str, str] = {
    "approved": "green",
    "allow": "green",
    "read_only": "green",
    "proposed": "yellow",
    "ask": "yellow",
    "idempotent_write": "yellow",
    "reversible": "yellow",
    "compensable": "yellow",
    "quarantined": "bold red",
    "revoked": "red",
    "deny": "red",
    "irreversible": "red",
}


_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters (ISO 6429: C0, DEL, C1) and the marks that change the direction of writing."""
_FILE_WIDTH = 200
"""Of tables that nobody looks at in a terminal."""


@dataclass(slots=True)
class Screen:
    """The terminal of one command. With `as_json`, stdout holds JSON and nothing else."""

    as_json: bool = False

    def result(self, value: Any) -> None:
        """The command's result as JSON, one value, indented for people who read it."""
        sys.stdout.write(_json(value, orjson.OPT_INDENT_2) + "\n")

    def line(self, value: Any) -> None:
        """One JSON value on one line, for results that come in pieces."""
        sys.stdout.write(_json(value) + "\n")
        sys.stdout.flush()

    def say(self, text: str, *, style: str = "") -> None:
        """A line of the result for people; on stderr when stdout is JSON."""
        if self.as_json:
            self.note(text, style=style)
        else:
            _print(text, style, stderr=False)

    def note(self, text: str, *, style: str = "") -> None:
        """A line about what happens, never part of the result."""
        _print(text, style, stderr=True)

    def warn(self, text: str) -> None:
        """Something that needs attention."""
        self.note(text, style="bold red")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
        """Rows for people; cells that name a state, an effect or a decision are coloured by it."""
        from rich.table import Table  # noqa: PLC0415 -- `--json` and `--help` do without
        from rich.text import Text  # noqa: PLC0415

        table = Table(
            title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False
        )
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(visible(str(cell)), style=STYLES.get(str(cell), "")) for cell in row))
        _console(stderr=self.as_json).print(table)

    def diff(self, lines: Iterable[str]) -> None:
        """A unified diff, coloured."""
        for line in lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            self.say(line, style=style)

    def failed(self, reason: Reason, text: str) -> None:
        """Why the command did not do what it was asked for."""
        if self.as_json:
            self.result({"error": reason.as_json()})
        self.warn(text)

    def error(self, error: ToolwardError) -> None:
        """The same for an error."""
        self.failed(error.reason, error.diagnostics())


def visible(text: str) -> str:
    """`text` as a terminal may show it: what would steer it, or turn the order of letters, is spelt out.

    Names, errors and records hold what agents and servers wrote. Line breaks and tabs stay.
    """
    return _STEERING.sub(_spelt_out, text)


def _json(value: Any, option: int = 0) -> str:
    """JSON without what a terminal would obey; the same value to every parser."""
    return _STEERING.sub(_spelt_out, orjson.dumps(value, option=option or None).decode())


def _spelt_out(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _print(text: str, style: str, *, stderr: bool) -> None:
    """One text. What needs no colour does without the library for it, whose import holds up a start."""
    stream = sys.stderr if stderr else sys.stdout
    if style and (stream.isatty() or "FORCE_COLOR" in os.environ):
        _console(stderr=stderr).print(visible(text), style=style, markup=False, highlight=False)
        return
    stream.write(f"{visible(text)}\n")
    stream.flush()


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415 -- `--json` and `--help` do without

    # soft_wrap: a path or an id that was broken over two lines can not be copied
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, soft_wrap=True, width=None if stream.isatty() else _FILE_WIDTH)


def when(nanoseconds: object) -> str:
    """UTC time to the second for people; '-' for what has not happened."""
    number = int(str(nanoseconds) or 0)
    if not number:
        return "-"
    return datetime.fromtimestamp(number / 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def short(digest: str) -> str:
    """The beginning of a digest that is enough to name it."""
    return digest.removeprefix("sha256:")[:12]
