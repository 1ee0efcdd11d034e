"""The SQLite file: how it is opened, and the ordered migrations that shape it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

import apsw

from toolward.adapters.stores.open_calls import OpenCalls
from toolward.errors import WardError
from toolward.ports.store import OpenCall

APPLICATION_ID: Final = 0x746F6C77
"""Stamped into the file's header, so that no foreign database is taken for a ward's."""
STATEMENTS_MAX: Final = 512
"""Prepared statements kept: six that write rows, each for up to sixty-four of them."""
PAGE_BYTES: Final = 8_192
"""A group of two dozen records then dirties a third fewer pages, and each costs two writes to the log."""
BUSY_MS: Final = 2_000
"""How long a statement waits for another connection of this process; none holds a lock for long."""

INDEXED: Final = ("call_id", "session_id", "tool", "kind", "time_ns")
"""Columns of a record that `record_by` knows, the one that tells most first."""
_INDEXED_SINCE: Final = 2
"""The migration that made it."""
_INDEX_ROWS: Final = tuple(
    f"INSERT INTO record_by SELECT '{column}', {column}, idx FROM record"  # noqa: S608 -- our own columns
    f" WHERE idx >= ? AND idx < ? AND {column} <> '' ORDER BY 2, 3"
    for column in INDEXED
)

MIGRATIONS: Final[tuple[str, ...]] = (
    # 1: the log, its signed heads, its payloads, and the state that commits with them
    """
    CREATE TABLE record(
      idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB NOT NULL, kind TEXT NOT NULL,
      call_id TEXT NOT NULL, session_id TEXT NOT NULL, tool TEXT NOT NULL, time_ns INTEGER NOT NULL) STRICT;
    CREATE INDEX record_kind ON record(kind);
    CREATE INDEX record_call ON record(call_id) WHERE call_id <> '';
    CREATE INDEX record_session ON record(session_id) WHERE session_id <> '';
    CREATE INDEX record_tool ON record(tool) WHERE tool <> '';
    CREATE INDEX record_time ON record(time_ns);
    CREATE TABLE tile(idx INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
    CREATE TABLE head(size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
    CREATE TABLE payload(idx INTEGER PRIMARY KEY, salt BLOB NOT NULL, box BLOB NOT NULL) STRICT;
    CREATE TABLE state(
      tab TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, version INTEGER NOT NULL,
      PRIMARY KEY(tab, key)) STRICT, WITHOUT ROWID;
    """,
    # 2: one index of the records, filled for many at once; `indexed.size` says how many are in it
    """
    DROP INDEX record_kind;
    DROP INDEX record_call;
    DROP INDEX record_session;
    DROP INDEX record_tool;
    DROP INDEX record_time;
    CREATE TABLE record_by(
      field TEXT NOT NULL, value ANY NOT NULL, idx INTEGER NOT NULL,
      PRIMARY KEY(field, value, idx)) STRICT, WITHOUT ROWID;
    CREATE TABLE indexed(size INTEGER NOT NULL) STRICT;
    INSERT INTO indexed VALUES (0);
    """,
    # 3: open calls are followed in the log; `open_call` has those open after `indexed.followed` records
    """
    CREATE TABLE open_call(
      call_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, tool TEXT NOT NULL) STRICT, WITHOUT ROWID;
    ALTER TABLE indexed ADD COLUMN followed INTEGER NOT NULL DEFAULT 0;
    INSERT INTO open_call
      SELECT key, json_extract(CAST(body AS TEXT), '$.session_id'), json_extract(CAST(body AS TEXT), '$.tool')
      FROM state WHERE tab = 'open_intent';
    DELETE FROM state WHERE tab = 'open_intent';
    UPDATE indexed SET followed = (SELECT coalesce(max(idx), -1) + 1 FROM record);
    """,
)


def index_records(db: apsw.Connection, start: int, end: int) -> None:
    """Put records with start <= index < end into the index, within the transaction under way.

    Many at once, and sorted: one by one each would dirty a page for its session, one for its kind and so on,
    which was more than half of what a commit wrote.
    """
    for statement in _INDEX_ROWS:
        db.execute(statement, (start, end))
    db.execute("UPDATE indexed SET size=?", (end,))


def keep_open_calls(db: apsw.Connection, open_calls: Sequence[OpenCall], *, followed: int) -> None:
    """Note which calls were open after the first `followed` records, so that a start need not read those."""
    db.execute("DELETE FROM open_call")
    write_rows(db, "INSERT INTO open_call VALUES", list(open_calls))
    db.execute("UPDATE indexed SET followed=?", (followed,))


def find_open_calls(db: apsw.Connection) -> OpenCalls:
    """The calls that are open at the end of the log."""
    found = OpenCalls(
        OpenCall(*row)
        for row in db.execute("SELECT call_id, session_id, tool FROM open_call ORDER BY call_id")
    )
    newer = "SELECT kind, call_id, session_id, tool FROM record WHERE idx >= ? ORDER BY idx"
    for record in db.execute(newer, (db.execute("SELECT followed FROM indexed").get,)):
        found.follow(*record)
    return found


def open_writer(path: Path, vfs: str) -> apsw.Connection:
    """The one connection that writes: WAL, every commit synced, freed content overwritten."""
    if not path.exists():  # so that SQLite makes its files, also the WAL, for the owner only
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    db = apsw.Connection(str(path), vfs=vfs or None, statementcachesize=STATEMENTS_MAX)
    db.set_busy_timeout(BUSY_MS)
    for pragma in (
        f"page_size={PAGE_BYTES}",  # counts for a file that is still empty
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "temp_store=MEMORY",
        "wal_autocheckpoint=0",  # SQLite would swallow its errors; the writer does it and does not
    ):
        db.execute(f"PRAGMA {pragma}").fetchall()
    return db


def open_reader(path: Path, vfs: str) -> apsw.Connection:
    """A connection that only reads, each statement on the newest committed state."""
    db = apsw.Connection(str(path), vfs=vfs or None)
    db.set_busy_timeout(BUSY_MS)
    db.execute("PRAGMA query_only=ON").fetchall()
    return db


def migrate(db: apsw.Connection, path: Path) -> None:
    """Bring the schema up to date, one migration per transaction. Raises `WardError` for a file not ours."""
    version = int(db.pragma("user_version"))
    application = int(db.pragma("application_id"))
    if version > len(MIGRATIONS) or (version and application != APPLICATION_ID):
        raise WardError(
            "the database was written by a newer toolward, or is not toolward's",
            file=str(path),
            remedy="start the version that wrote it, or name another state directory",
        )
    for number in range(version, len(MIGRATIONS)):
        with db:
            db.execute(MIGRATIONS[number])
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={number + 1}")
            if number + 1 == _INDEXED_SINCE:
                index_records(db, 0, int(db.execute("SELECT coalesce(max(idx), -1) + 1 FROM record").get))


def indexed_size(db: apsw.Connection) -> int:
    """How many records, from the first on, are in the index."""
    return int(db.execute("SELECT size FROM indexed").get)


@lru_cache(maxsize=STATEMENTS_MAX)
def _rows_text(head: str, width: int, count: int, tail: str) -> str:
    row = "(" + ",".join("?" * width) + ")"
    return f"{head} {','.join([row] * count)} {tail}"


_ROWS_MAX: Final = 64


def write_rows(db: apsw.Connection, head: str, rows: Sequence[tuple[object, ...]], tail: str = "") -> None:
    """Run `head VALUES-rows tail` for all rows in few statements.

    Each statement gives up the interpreter lock once and may wait milliseconds to get it back from a busy
    event loop, so up to sixty-four rows go in one, and each number of rows has a prepared statement.
    """
    for place in range(0, len(rows), _ROWS_MAX):
        chunk = rows[place : place + _ROWS_MAX]
        db.execute(_rows_text(head, len(chunk[0]), len(chunk), tail), list(chain.from_iterable(chunk)))
