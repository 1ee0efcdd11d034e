"""Compare-and-swap for a batch: which callers' changes stand, and the fewest statements that apply them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from toolward.adapters.stores.sqlite_schema import write_rows
from toolward.ports.store import Change, Conflict, Put

Key = tuple[str, str]
"""Table and key. A `Table` is a text, so a row's key is the same as it was written and as it is read."""

_UPSERT = "ON CONFLICT(tab, key) DO UPDATE SET body=excluded.body, version=excluded.version"


@dataclass(frozen=True, slots=True)
class Staged:
    """The net effect of all changes that stand; `conflicts[i]` is set where caller `i`'s do not."""

    conflicts: tuple[Conflict | None, ...]
    puts: dict[Key, tuple[bytes, int]]
    deleted: tuple[Key, ...]

    @property
    def versions(self) -> dict[Key, int]:
        """Of the rows written."""
        return {key: version for key, (_, version) in self.puts.items()}

    @property
    def tables(self) -> set[str]:
        """Those that are written to."""
        return {table for table, _ in (*self.puts, *self.deleted)}

    def write(self, db: apsw.Connection) -> None:
        """Apply within the transaction under way."""
        rows: list[tuple[object, ...]] = [(*key, body, version) for key, (body, version) in self.puts.items()]
        write_rows(db, "INSERT INTO state VALUES", rows, _UPSERT)
        if self.deleted:
            write_rows(db, "DELETE FROM state WHERE (tab, key) IN (VALUES", list(self.deleted), ")")


def stage(db: apsw.Connection, groups: Sequence[Sequence[Change]], known: dict[Key, int]) -> Staged:
    """Judge each group in order against the rows as they are and as earlier groups leave them."""
    puts: dict[Key, tuple[bytes, int]] = {}
    deleted: dict[Key, None] = {}
    conflicts: list[Conflict | None] = []
    versions = _versions(db, groups, known)
    for group in groups:
        mine: dict[Key, tuple[bytes | None, int]] = {}
        conflict = _conflict(group, versions, mine)
        conflicts.append(conflict)
        if conflict:
            continue
        for key, (body, version) in mine.items():
            versions[key] = version
            if body is None:
                puts.pop(key, None)
                deleted[key] = None
            else:
                puts[key] = (body, version)
                deleted.pop(key, None)
    return Staged(tuple(conflicts), puts, tuple(deleted))


def _conflict(
    group: Sequence[Change], versions: dict[Key, int], mine: dict[Key, tuple[bytes | None, int]]
) -> Conflict | None:
    for change in group:
        key = (change.table, change.key)
        now = mine[key][1] if key in mine else versions[key]
        if not isinstance(change, Put):
            mine[key] = (None, 0)
        elif change.expect is not None and change.expect != now:
            return Conflict(f"`{key[0]}/{key[1]}` has version {now}, not {change.expect}")
        else:
            mine[key] = (change.body, now + 1)
    return None


def _versions(
    db: apsw.Connection, groups: Sequence[Sequence[Change]], known: dict[Key, int]
) -> dict[Key, int]:
    versions: dict[Key, int] = {}
    unknown: list[Key] = []
    for group in groups:
        for change in group:
            key = (change.table, change.key)
            if key in versions:
                continue
            if key in known:
                versions[key] = known[key]
            else:
                versions[key] = 0
                unknown.append(key)
    for place in range(0, len(unknown), 64):
        some = unknown[place : place + 64]
        pairs = ",".join(["(?,?)"] * len(some))
        statement = f"SELECT tab, key, version FROM state WHERE (tab, key) IN (VALUES {pairs})"  # noqa: S608 -- only question marks
        found = db.execute(statement, [cell for key in some for cell in key])
        for tab, key_text, version in found:
            versions[tab, key_text] = version
    return versions
