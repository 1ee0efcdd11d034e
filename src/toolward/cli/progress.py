"""A progress display on stderr: a bar for a terminal, lines for everything else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toolward.cli.screen import Screen

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

_WIDTH = 70


class Progress:
    """Of several things that are done at once."""

    def __init__(self, screen: Screen, bar: RichProgress | None) -> None:
        self._screen = screen
        self._bar = bar
        self._task = bar.add_task("", total=None) if bar is not None else None

    def total(self, count: int) -> None:
        """How many steps there are."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=count)

    def say(self, text: str) -> None:
        """What is being done now."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text[:_WIDTH].ljust(_WIDTH))
        elif not text.startswith("  "):
            self._screen.note(text, style="dim")

    def step(self) -> None:
        """One is done."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)

    def close(self) -> None:
        """Everything is done; the bar goes away."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def progress(screen: Screen) -> Iterator[Progress]:
    """A progress display for as long as the block runs, or until it is closed."""
    if screen.as_json or not sys.stderr.isatty():
        yield Progress(screen, None)
        return
    from rich.console import Console  # noqa: PLC0415 -- only where it is seen
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (SpinnerColumn(), BarColumn(bar_width=20), MofNCompleteColumn())
    with Bar(
        *columns, TextColumn("{task.description}", markup=False), console=Console(stderr=True), transient=True
    ) as bar:
        yield Progress(screen, bar)
