"""The reading half of the SQLite store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from toolward.adapters.stores.sqlite_schema import INDEXED, open_reader
from toolward.errors import StoreUnavailable
from toolward.ports.store import Record, Row, Table

KEPT_ROWS_MAX: Final = 1_024
"""Rows of state kept between reads: what each call looks up, such as credentials."""
KEPT_BYTES_MAX: Final = 4_096
"""Longer rows are read each time."""
PAGE: Final = 256
"""Rows per statement of an iterator, so that no read transaction lasts."""


class Reader:
    """Reads the newest committed state; every failure is `StoreUnavailable`.

    A row that was read, or was not there, is kept for as long as no commit wrote to its table: `changes`
    counts those, and the writer counts before it answers, so nobody reads an old row who was told of a newer.

    Everything but `records` and `checkpoints`, which bring their own connection, belongs to one thread.
    """

    def __init__(self, path: Path, vfs: str, changes: Mapping[str, int]) -> None:
        """Opens its connection. `changes` counts, by table, the commits that wrote to it."""
        self._path = path
        self._vfs = vfs
        self._changes = changes
        self._kept: dict[tuple[str, str], tuple[int, Row | None]] = {}
        self._db = self._connect()

    def close(self) -> None:
        """Reads fail from here on."""
        self._db.close()

    def get(self, table: Table, key: str) -> Row | None:
        """One row of state."""
        which = (table, key)
        count = self._changes.get(table, 0)  # read before the row: a commit in between makes it stale
        kept = self._kept.get(which)
        if kept is not None and kept[0] == count:
            return kept[1]
        found = self._one("SELECT body, version FROM state WHERE tab=? AND key=?", which)
        row = None if found is None else Row(key, found[0], found[1])
        if len(self._kept) >= KEPT_ROWS_MAX:
            self._kept.clear()
        if row is None or len(row.body) <= KEPT_BYTES_MAX:
            self._kept[which] = (count, row)
        return row

    def scan(self, table: Table, prefix: str) -> Iterator[Row]:
        """Rows by key."""
        last, comparison = prefix, ">="
        while True:
            condition = f"tab=? AND key {comparison} ?"
            statement = f"SELECT key, body, version FROM state WHERE {condition} ORDER BY key LIMIT ?"  # noqa: S608 -- ours
            rows = _all(self._db, statement, (table.value, last, PAGE))
            for key, body, version in rows:
                if not key.startswith(prefix):
                    return
                yield Row(key, body, version)
            if len(rows) < PAGE:
                return
            last, comparison = rows[-1][0], ">"

    def newest(self, table: Table, before: str, limit: int) -> list[Row]:
        """Rows by key, the greatest first."""
        statement = (
            "SELECT key, body, version FROM state WHERE tab=? AND (?='' OR key < ?) ORDER BY key DESC LIMIT ?"
        )
        rows = _all(self._db, statement, (table.value, before, before, limit))
        return [Row(key, body, version) for key, body, version in rows]

    def records(self, start: int, end: int) -> Iterator[Record]:
        """Records with start <= index < end."""
        statement = "SELECT idx, body, leaf FROM record WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
        db = self._connect()
        try:
            while rows := _all(db, statement, (start, end, PAGE)):
                yield from (Record(*row) for row in rows)
                start = rows[-1][0] + 1
        finally:
            db.close()

    def checkpoints(self, start: int) -> Iterator[tuple[int, str]]:
        """Signed heads of more than `start` records."""
        db = self._connect()
        try:
            while rows := _all(
                db, "SELECT size, note FROM head WHERE size > ? ORDER BY size LIMIT ?", (start, PAGE)
            ):
                yield from ((size, note) for size, note in rows)
                start = rows[-1][0]
        finally:
            db.close()

    def find(self, wanted: dict[str, str], *, since_ns: int, limit: int, newest_first: bool) -> list[Record]:
        """Records whose columns equal all that is not empty in `wanted`.

        What is in the index is found by it, the newest few that are not are read through. Both parts are
        told apart by one number, and records neither change nor go: so nothing is missed or met twice.
        """
        conditions: list[tuple[str, str, str | int]] = [
            (column, "=", value) for column, value in wanted.items() if value
        ]
        conditions += [("time_ns", ">=", since_ns)] if since_ns else []
        size = self._one("SELECT size FROM indexed", ())
        asked = _Asked(conditions, border=size[0] if size else 0, descending=newest_first)
        rows: list[tuple[Any, ...]] = []
        for part in (asked.unindexed, asked.indexed) if newest_first else (asked.indexed, asked.unindexed):
            if len(rows) < limit:
                statement, bindings = part()
                rows += _all(self._db, statement, (*bindings, limit - len(rows)))
        return [Record(*row) for row in rows]

    def payload_row(self, index: int) -> tuple[bytes, bytes, bytes] | None:
        """Body, box and salt of a record whose payloads can still be read."""
        row = self._one(
            "SELECT body, box, salt FROM record JOIN payload USING (idx) WHERE idx=?",
            (index,),
        )
        return None if row is None else (row[0], row[1], row[2])

    def _one(self, statement: str, bindings: tuple[Any, ...]) -> tuple[Any, ...] | None:
        try:
            return self._db.execute(statement, bindings).fetchone()
        except (apsw.Error, OSError) as error:
            raise _unreadable(error) from error

    def _connect(self) -> apsw.Connection:
        try:
            return open_reader(self._path, self._vfs)
        except (apsw.Error, OSError) as error:
            raise _unreadable(error) from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """One search as two statements, without their limit; values are bound, columns and comparisons ours."""

    conditions: Sequence[tuple[str, str, str | int]]
    border: int  # records below are in the index
    descending: bool

    def unindexed(self) -> tuple[str, list[str | int]]:
        """Over the records from the border on."""
        where = " AND ".join(["idx >= ?", *(f"{column} {sign} ?" for column, sign, _ in self.conditions)])
        statement = f"SELECT idx, body, leaf FROM record WHERE {where} ORDER BY idx {self._order} LIMIT ?"  # noqa: S608
        return statement, [self.border, *(value for _, _, value in self.conditions)]

    def indexed(self) -> tuple[str, list[str | int]]:
        """Over those below: by the column that tells most, the others compared in what it finds."""
        held = {column: (sign, value) for column, sign, value in self.conditions}
        first = next((column for column in INDEXED if column in held), None)
        rest = [(column, *held[column]) for column in held if column != first]
        others = "".join(f" AND record.{column} {sign} ?" for column, sign, _ in rest)
        bindings: list[str | int] = [self.border, *(value for _, _, value in rest)]
        if first is None:
            source = "record WHERE record.idx < ?"
        else:
            sign, value = held[first]
            source = f"record_by CROSS JOIN record USING (idx) WHERE field=? AND value {sign} ? AND idx < ?"
            bindings = [first, value, *bindings]
        statement = f"SELECT idx, body, leaf FROM {source}{others} ORDER BY idx {self._order} LIMIT ?"  # noqa: S608
        return statement, bindings

    @property
    def _order(self) -> str:
        return "DESC" if self.descending else "ASC"


def _all(db: apsw.Connection, statement: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    try:
        return db.execute(statement, bindings).fetchall()
    except (apsw.Error, OSError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the database can not be read: {error}", remedy="mend the disk, then start toolward again"
    )
