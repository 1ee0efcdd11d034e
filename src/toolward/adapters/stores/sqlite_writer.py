"""What waits goes into one transaction, one signature, one sync.

Rows are put in by the thread of the event loop, where nobody competes for the interpreter lock, unless the
group is large, or the writer's own thread keeps house or has a store to close. The writer's thread then
commits, which is where a disk is waited for. With every statement in that thread, each of eight for a group
would wait for a busy loop to let go of the lock.

It stops for good at the first failed write, sync or commit, or at a bug of its own. A kernel that reported a
failed fsync may have dropped the pages and report success the next time (PostgreSQL learnt this in 2018), so
nothing is retried: every waiting and later commit is refused until the process starts again and reads what is
really there.
A full disk is the exception: SQLite refused before the commit and rolled back, so the next commit may try.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final, NamedTuple

import apsw

from toolward.adapters.stores.commits import Answer, Commit, answers_of, deliver, light, settle
from toolward.adapters.stores.sealing import Grown, Sealed, grow
from toolward.adapters.stores.sqlite_schema import (
    find_open_calls,
    index_records,
    indexed_size,
    keep_open_calls,
    write_rows,
)
from toolward.adapters.stores.staging import Staged, stage
from toolward.config.limits import COMMIT_BATCH_MAX
from toolward.errors import AuditStopped, AuditUnavailable, InvariantBroken, StoreUnavailable
from toolward.rules.checkpoint import Signer
from toolward.rules.merkle import Range

WAL_PAGES_MAX: Final = 1_000
"""Pages (8 KiB) in the write-ahead log before they are moved into the database."""
ANCHOR_COMMITS: Final = 256
"""Commits between two writings of the anchor file; on the disks measured, about once a second under load."""
UNINDEXED_MAX: Final = 512
"""Records that a search has to read through one by one, some 0.3 ms of it; then they join the index."""
_VERSIONS_MAX: Final = 50_000
"""Row versions remembered, so that compare-and-swap seldom has to read."""
_REMEDY: Final = "free the disk or mend it, then start toolward again: recovery settles what was under way"


@dataclass(frozen=True, slots=True)
class Head:
    """The newest durable state of the log."""

    tree: Range
    note: str


class _Begun(NamedTuple):
    """A transaction that has all its rows and is to be committed."""

    commits: Sequence[Commit]
    staged: Staged
    sealed: list[Sealed]
    grown: Grown | None
    shred: list[int]


_Job = Sequence[Commit] | _Begun | asyncio.Future[None]


class Writer:
    """Starts its thread at once.

    `anchor` writes the newest checkpoint outside the database. Whoever hands a group over calls `on_submit`
    first, with the thread's `native_id`. In the thread, `on_answered` is called after each group that it
    served, and `on_closed` once its connection is closed, when nothing more is written.
    """

    def __init__(
        self,
        db: apsw.Connection,
        head: Head,
        *,
        signer: Signer,
        anchor: Callable[[str], None],
        on_answered: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        """`db` belongs to whoever holds `_turn` from here on."""
        self.head = head
        self.health = ""
        self.full_refusals = 0
        self.on_submit: Callable[[int], None] = lambda _thread: None
        self.changes: Counter[str] = Counter()  # by table: how many commits wrote to it
        self.last_written: dict[str, int] = {}  # by kind
        self._accepted = 0  # written by submit() only
        self._finished = 0  # written by the thread, or by submit() while that has nothing to do
        self._db = db
        self._signer = signer
        self._anchor = anchor
        self._on_answered = on_answered
        self._on_closed = on_closed
        self._anchored = ""
        self._commits = 0
        self._poisoned = False
        self._indexed = indexed_size(db)
        self.open_calls = find_open_calls(db)
        self._wal_pages = 0
        self._versions: dict[tuple[str, str], int] = {}
        self._turn = Lock()
        self._queue: SimpleQueue[_Job] = SimpleQueue()
        self._backlog: deque[Commit | asyncio.Future[None]] = deque()
        db.set_wal_hook(self._count_wal_pages)
        self._thread = Thread(target=self._run, name="toolward-store", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Records handed over and not yet answered."""
        return self._accepted - self._finished

    @property
    def poisoned(self) -> bool:
        """Whether it stopped for good."""
        return self._poisoned

    def submit(self, commits: Sequence[Commit]) -> None:
        """Hand over; the futures are resolved on their own loops."""
        if (number := self._thread.native_id) is not None and self._thread.is_alive():
            self.on_submit(number)
        first = not self.waiting  # on closing there may be more; nothing handed over before is overtaken
        self._accepted += sum(commit.weight for commit in commits)
        if first and not self._poisoned and light(commits) and self._turn.acquire(blocking=False):
            try:
                begun = self._begin(commits)
            except BaseException as error:
                answers = self._after(commits, error)
                self._turn.release()
                self._answer(commits, answers)
                if not isinstance(error, Exception):
                    raise
            else:
                self._queue.put(begun)  # and the turn with it
        else:
            self._queue.put(commits)

    async def stop(self) -> None:
        """Finish what was handed over, close the connection, end the thread."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(done)
        await done
        self._thread.join()

    # --- the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not isinstance(job := self._gather(), asyncio.Future):
            if not isinstance(job, _Begun):
                self._turn.acquire()
            self._serve(job)
        self._close()
        self._on_closed()
        with contextlib.suppress(RuntimeError):  # the loop of whoever asked is gone
            job.get_loop().call_soon_threadsafe(settle, [(job, None)])

    def _gather(self) -> _Job:
        backlog = self._backlog
        if not backlog:
            job = self._queue.get()
            if isinstance(job, _Begun):
                return job
            self._take(job)
        with contextlib.suppress(Empty):
            while len(backlog) < COMMIT_BATCH_MAX:
                self._take(self._queue.get_nowait())
        first = backlog.popleft()
        if isinstance(first, asyncio.Future):
            return first
        batch, weight = [first], first.weight
        while backlog:
            following = backlog[0]
            if isinstance(following, asyncio.Future) or weight + following.weight > COMMIT_BATCH_MAX:
                break
            batch.append(following)
            weight += following.weight
            backlog.popleft()
        return batch

    def _take(self, job: _Job) -> None:
        if isinstance(job, asyncio.Future):
            self._backlog.append(job)
        elif isinstance(job, _Begun):
            raise InvariantBroken("a group was begun while others waited")
        else:
            self._backlog.extend(job)

    def _serve(self, job: Sequence[Commit] | _Begun) -> None:
        commits = job.commits if isinstance(job, _Begun) else job
        try:
            if self._poisoned:
                answers = self._refuse(commits)
            else:
                answers = self._finish(job if isinstance(job, _Begun) else self._begin(job))
        except Exception as error:  # noqa: BLE001 -- the thread's edge: whatever it is, callers must hear of it
            answers = self._after(commits, error)
        due = not self._poisoned and (self._wal_pages > WAL_PAGES_MAX or self._commits >= ANCHOR_COMMITS)
        if not due:
            self._turn.release()  # first: who hears of it puts in the next group
        try:
            self._answer(commits, answers)
            self._on_answered()
            if due:
                self._maintain()
        except Exception as bug:  # noqa: BLE001 -- nobody waits for this; without the thread all would, for ever
            self._poison(bug)
        finally:
            if due:
                self._turn.release()

    def _answer(self, commits: Sequence[Commit], answers: list[Answer]) -> None:
        self._finished += sum(commit.weight for commit in commits)
        deliver([(commit.future, answer) for commit, answer in zip(commits, answers, strict=True)])

    def _begin(self, commits: Sequence[Commit]) -> _Begun:
        """Put in all rows of a group."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        staged = stage(db, [commit.changes for commit in commits], self._versions)
        sealed = [
            one
            for commit, conflict in zip(commits, staged.conflicts, strict=True)
            if not conflict
            for one in commit.sealed
        ]
        grown = grow(self.head.tree, sealed, self._signer) if sealed else None
        if grown:
            self._insert(sealed, grown)
        staged.write(db)
        shred = [commit.shred for commit in commits if commit.shred is not None]
        for index in shred:
            db.execute("DELETE FROM payload WHERE idx=?", (index,))
        return _Begun(commits, staged, sealed, grown, shred)

    def _finish(self, begun: _Begun) -> list[Answer]:
        """Make them durable."""
        commits, staged, sealed, grown, shred = begun
        size = grown.batch.range.size if grown else 0
        joins = size - self._indexed > UNINDEXED_MAX
        if joins:
            index_records(self._db, self._indexed, size)
            keep_open_calls(self._db, self.open_calls.all(), followed=self.head.tree.size)
        try:
            self._db.execute("COMMIT")
        finally:  # also after a failed one: what it left is for a read to find out
            self.changes.update(staged.tables)
        if grown:
            self.head = Head(grown.batch.range, grown.note)
            if joins:
                self._indexed = size
        for index, one in enumerate(sealed, size - len(sealed)):
            event = one.event
            self.last_written[event.kind] = index
            self.open_calls.follow(event.kind, event.call_id, event.session_id, event.tool)
        self._remember(staged)
        self._commits += 1
        self.health = ""
        answers = answers_of(commits, staged.conflicts, grown)
        if shred and (problem := self._truncate_wal()):
            answers = [
                answer if commit.shred is None else StoreUnavailable(problem)
                for commit, answer in zip(commits, answers, strict=True)
            ]
        return answers

    def _insert(self, sealed: list[Sealed], grown: Grown) -> None:
        first = self.head.tree.size
        rows: list[tuple[object, ...]] = []
        boxes: list[tuple[object, ...]] = []
        for index, one in enumerate(sealed, first):
            event = one.event
            rows.append(
                (
                    index,
                    one.leaf,
                    one.body,
                    event.kind,
                    event.call_id,
                    event.session_id,
                    event.tool,
                    event.time_ns,
                )
            )
            if one.box is not None:
                boxes.append((index, one.salt, one.box))
        write_rows(self._db, "INSERT INTO record VALUES", rows)
        write_rows(self._db, "INSERT INTO payload VALUES", boxes)
        write_rows(self._db, "INSERT INTO tile VALUES", list(grown.batch.tiles))
        self._db.execute("INSERT INTO head VALUES (?,?)", (grown.batch.range.size, grown.note))

    def _remember(self, staged: Staged) -> None:
        if len(self._versions) > _VERSIONS_MAX:
            self._versions.clear()
        self._versions.update(staged.versions)
        for key in staged.deleted:
            self._versions.pop(key, None)

    # --- when it fails -------------------------------------------------------------------------------

    def _after(self, commits: Sequence[Commit], error: BaseException) -> list[Answer]:
        """What the callers hear when their transaction failed; only of a full disk is there a next time."""
        if isinstance(error, apsw.FullError) and self._rolled_back():
            self.full_refusals += 1
            self.health = f"the disk of the audit log is full ({self.full_refusals} commits refused)"
        else:
            self._poison(error)
            self._rolled_back()
        return self._refuse(commits)

    def _poison(self, error: BaseException) -> None:
        self._poisoned = True
        self.health = f"the audit log stopped at its first failed write: {type(error).__name__}: {error}"

    def _rolled_back(self) -> bool:
        if self._db.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._db.execute("ROLLBACK")
        return not self._db.in_transaction

    def _refuse(self, commits: Sequence[Commit]) -> list[Answer]:
        kind = AuditStopped if self._poisoned else AuditUnavailable
        return [kind(self.health, remedy=_REMEDY) for _ in commits]

    # --- between commits -----------------------------------------------------------------------------

    def _count_wal_pages(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _maintain(self) -> None:
        try:
            if self._wal_pages > WAL_PAGES_MAX:
                self._wal_pages = 0
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.FullError, apsw.BusyError):
            pass  # what was committed stays safe in the write-ahead log; the next round tries again
        except apsw.Error as error:
            self._poison(error)
        if self._commits >= ANCHOR_COMMITS:
            self._write_anchor()

    def _truncate_wal(self) -> str:
        """Old page images in the write-ahead log still hold a shredded key until it is truncated.

        Returns '' or why that failed; the commit itself stands.
        """
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (apsw.BusyError, apsw.FullError) as error:
            return f"the key is deleted, but a copy stays in the write-ahead log for now: {error}"
        except apsw.Error as error:
            self._poison(error)
            return self.health
        return ""

    def _write_anchor(self) -> None:
        self._commits = 0
        if self._anchored == self.head.note:
            return
        try:
            self._anchor(self.head.note)
            self._anchored = self.head.note
        except OSError:
            return  # it guards against restored old copies; no commit depends on it, and the next one tries

    def _close(self) -> None:
        with contextlib.suppress(apsw.Error):
            if self._poisoned:  # the last connection would move the write-ahead log into the database
                self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            else:
                self._write_anchor()
            self._db.close()
