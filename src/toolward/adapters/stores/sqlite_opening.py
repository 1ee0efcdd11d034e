"""What must be true of a database before it is served: the log is what was signed, and no older copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from toolward.adapters.stores.sqlite_writer import Head
from toolward.errors import IntegrityBroken, ReasonCode, WardError
from toolward.rules.audit import Entry, Note, Verdict, judge
from toolward.rules.checkpoint import Checkpoint, Signer, VerifierKey, open_checkpoint
from toolward.rules.merkle import EMPTY_ROOT, TILE_LEVEL, TILE_WIDTH, Range, leaf_hash, range_from_tiles

LEAVES_CHECKED: Final = 512 * TILE_WIDTH
"""Leaf hashes compared with the tree at every start, newest first: about a quarter of a second.
Older ones are the business of `toolward audit verify`."""
BODIES_CHECKED: Final = 16_384
"""Records whose bytes are compared with their leaf hashes at every start, newest first: some 50 ms.
The daemon reads all the others in the background once it serves."""
_REMEDY: Final = (
    "keep the files for analysis, run `toolward audit verify`, and restore a backup that is not older"
)


def check_log(db: apsw.Connection, path: Path, *, signer: Signer, anchor: Path) -> Head:
    """The log's head once everything fits; a fresh database gets its first, empty, signed head.

    Raises `WardError` that names the first bad record if it can be known.
    """
    row = db.execute("SELECT size, note FROM head ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        if db.execute("SELECT 1 FROM record LIMIT 1").fetchone():
            raise _broken(db, path, signer.key, "the signed heads of the log are gone")
        row = (0, signer.sign(0, EMPTY_ROOT))
        db.execute("INSERT INTO head VALUES (?,?)", row)
    size, note = int(row[0]), str(row[1])
    end = db.execute("SELECT coalesce(max(idx), -1) + 1 FROM record").get
    tree = _tree_at(db, size)
    try:
        head = open_checkpoint(note, signer.key)
    except IntegrityBroken as error:
        raise _broken(db, path, signer.key, f"the newest checkpoint is bad: {error}") from None
    fits = end == size == head.size == tree.size and head.root == tree.root()
    if not (fits and _leaves_fit(db, size) and _bodies_fit(db, size)):
        raise _broken(db, path, signer.key, "the log is not what its newest checkpoint signed")
    _check_anchor(db, path, head=head, key=signer.key, anchor=anchor)
    return Head(tree, note)


def _tree_at(db: apsw.Connection, size: int) -> Range:
    """The tree over the first `size` leaves, as far as tiles and leaves are there."""
    tiles = size >> TILE_LEVEL
    return range_from_tiles(
        (row[0] for row in db.execute("SELECT hash FROM tile WHERE idx < ? ORDER BY idx", (tiles,))),
        (
            row[0]
            for row in db.execute(
                "SELECT leaf FROM record WHERE idx >= ? AND idx < ? ORDER BY idx", (tiles << TILE_LEVEL, size)
            )
        ),
    )


def _bodies_fit(db: apsw.Connection, size: int) -> bool:
    """Whether the newest records' bytes give their leaf hashes."""
    newest = db.execute("SELECT body, leaf FROM record WHERE idx >= ?", (size - BODIES_CHECKED,))
    return all(leaf_hash(body) == leaf for body, leaf in newest)


def _leaves_fit(db: apsw.Connection, size: int) -> bool:
    """Whether the newest tiles are what their leaves give."""
    tiles = size >> TILE_LEVEL
    first = max(tiles - LEAVES_CHECKED // TILE_WIDTH, 0)
    leaves = db.execute(
        "SELECT leaf FROM record WHERE idx >= ? AND idx < ? ORDER BY idx",
        (first << TILE_LEVEL, tiles << TILE_LEVEL),
    )
    for (expected,) in db.execute(
        "SELECT hash FROM tile WHERE idx >= ? AND idx < ? ORDER BY idx", (first, tiles)
    ):
        tile = Range().extended(row[0] for _, row in zip(range(TILE_WIDTH), leaves, strict=False))
        if tile.size != TILE_WIDTH or tile.root() != expected:
            return False
    return True


def _check_anchor(
    db: apsw.Connection, path: Path, *, head: Checkpoint, key: VerifierKey, anchor: Path
) -> None:
    """The anchor is the newest checkpoint kept outside the database: older copies do not reach it."""
    if not anchor.exists():
        return
    try:
        seen = open_checkpoint(anchor.read_text(encoding="utf-8"), key)
    except (IntegrityBroken, UnicodeDecodeError) as error:
        raise WardError(
            f"the checkpoint kept beside the database is bad: {error}",
            file=str(anchor),
            remedy=_REMEDY,
            code=ReasonCode.INTEGRITY_BROKEN,
        ) from None
    if seen.size > head.size:
        raise WardError(
            f"the log was set back: it holds {head.size} records, {seen.size} were already signed",
            file=str(path),
            remedy=_REMEDY,
            code=ReasonCode.INTEGRITY_BROKEN,
        )
    if _tree_at(db, seen.size).root() != seen.root:
        raise _broken(
            db, path, key, "the log forked: it does not extend the checkpoint kept beside it", since=seen
        )


def _broken(
    db: apsw.Connection, path: Path, key: VerifierKey, why: str, *, since: Checkpoint | None = None
) -> WardError:
    """The error for a log that does not fit; reads all of it to say where it breaks."""
    verdict: Verdict = judge(entries(db), key, since)
    found = "" if verdict.ok else f" ({verdict.sentence()})"
    return WardError(f"{why}{found}", file=str(path), remedy=_REMEDY, code=ReasonCode.INTEGRITY_BROKEN)


def entries(db: apsw.Connection) -> Iterator[Entry | Note]:
    """The whole log with its signed heads in place."""
    heads = db.execute("SELECT size, note FROM head WHERE size > 0 ORDER BY size")
    following = heads.fetchone()
    records = db.execute("SELECT idx, body, leaf FROM record ORDER BY idx")
    for place, (index, body, leaf) in enumerate(records, 1):
        yield Entry(index, body, leaf)
        while following and following[0] <= place:
            current, following = following, heads.fetchone()
            yield Note(current[1], last=following is None)
    while following:
        current, following = following, heads.fetchone()
        yield Note(current[1], last=following is None)
