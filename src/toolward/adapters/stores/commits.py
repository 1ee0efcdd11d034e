"""One caller's commit on its way through the writer, and how its caller hears of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, TypeVar

from msgspec import Struct

from toolward.adapters.stores.sealing import Grown, Sealed
from toolward.model.event import Receipt
from toolward.ports.store import Change, Conflict, Put

T = TypeVar("T")

LIGHT_BYTES_MAX: Final = 524_288
"""Of a group whose rows the event loop's thread puts in itself: some milliseconds on a slow machine. The
writer's thread would take longer: it has to win the interpreter lock from a loop that hundreds of calls keep
busy."""
ROW_BYTES: Final = 128
"""What a row counts for besides what is in it: some microseconds, however small it is."""

Answer = tuple[Receipt, ...] | Exception
Future = asyncio.Future[tuple[Receipt, ...]]


class Commit(Struct, eq=False):
    """One caller's commit on its way to the writer; `shred` names a record whose payloads are destroyed."""

    sealed: tuple[Sealed, ...]
    changes: tuple[Change, ...]
    future: Future
    shred: int | None = None

    @property
    def weight(self) -> int:
        """What it counts against the limits: records, at least one."""
        return len(self.sealed) or 1


def light(commits: Sequence[Commit]) -> bool:
    """Whether putting a group's rows in takes no time to speak of."""
    rows = sum(len(commit.changes) + len(commit.sealed) for commit in commits)
    changed = sum(len(change.body) for commit in commits for change in commit.changes if type(change) is Put)
    boxed = sum(len(one.box or b"") + len(one.body) for commit in commits for one in commit.sealed)
    return rows * ROW_BYTES + changed + boxed <= LIGHT_BYTES_MAX


def answers_of(
    commits: Sequence[Commit], conflicts: Sequence[Conflict | None], grown: Grown | None
) -> list[Answer]:
    """Its receipts for each commit of a group that was written, or its conflict."""
    receipts = grown.receipts if grown else ()
    answers: list[Answer] = []
    place = 0
    for commit, conflict in zip(commits, conflicts, strict=True):
        if conflict:
            answers.append(conflict)
            continue
        answers.append(receipts[place : place + len(commit.sealed)])
        place += len(commit.sealed)
    return answers


def deliver(answers: list[tuple[Future, Answer]]) -> None:
    """Resolve each future on its own loop, from any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Future, Answer]]] = {}
    for future, answer in answers:
        by_loop.setdefault(future.get_loop(), []).append((future, answer))
    for loop, mine in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(settle, mine)


def settle(answers: Sequence[tuple[asyncio.Future[T], T | Exception]]) -> None:
    """Resolve futures on the loop that is theirs."""
    for future, answer in answers:
        if future.done():  # its caller was cancelled; the commit stands
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
