"""The ward's store on SQLite: one writer thread with group commit, one reader on the event loop's thread."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import apsw
from typing_extensions import override

from toolward.adapters.stores.commits import Commit
from toolward.adapters.stores.gathering import Asked, Gatherer
from toolward.adapters.stores.keys import Keys, load_or_create_keys, make_private_directory, write_durably
from toolward.adapters.stores.sealing import Sealer
from toolward.adapters.stores.sqlite_opening import check_log
from toolward.adapters.stores.sqlite_reader import Reader
from toolward.adapters.stores.sqlite_schema import migrate, open_writer
from toolward.adapters.stores.sqlite_writer import Head, Writer
from toolward.adapters.stores.submission import checked, shredding
from toolward.config.limits import COMMIT_QUEUE_MAX
from toolward.errors import AuditStopped, Overloaded, ReasonCode, StoreUnavailable, WardError
from toolward.model.event import Event, Receipt
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Change, OpenCall, Record, Row, Store, Table
from toolward.rules.checkpoint import Signer, usable_origin

DATABASE: Final = "toolward.db"
ANCHOR: Final = "checkpoint"
PUBLIC_KEY: Final = "log.pub"


class SqliteStore(Store):
    """See `ports.store.Store`. Made by `open`; used from the thread of the event loop, one loop at a time.

    It lives until it is closed, whether or not anybody still refers to it.

    `records` and `checkpoints` bring their own connection and may be used from any one thread.
    """

    def __init__(  # noqa: PLR0913 -- private: `open` is the way in
        self,
        path: Path,
        *,
        vfs: str,
        keys: Keys,
        db: apsw.Connection,
        head: Head,
        signer: Signer,
        lock: int,
        clock: Clock,
        ids: Ids,
    ) -> None:
        """Not for callers."""
        self._clock = clock
        self._ids = ids
        self._sealer = Sealer(keys)
        self._signer = signer
        self._gatherer = Gatherer(busy=lambda: self._writer.waiting > 0, hand_over=self._write)
        anchor = path.with_name(ANCHOR)
        self._writer = Writer(
            db,
            head,
            signer=signer,
            anchor=lambda note: write_durably(anchor, note.encode(), mode=0o644),
            on_answered=self._gatherer.on_answered,
            on_closed=lambda: os.close(lock),
        )
        self._reader = Reader(path, vfs, self._writer.changes)
        self._closed = False

    @classmethod
    def open(cls, state_dir: Path, *, origin: str, clock: Clock, ids: Ids, vfs: str = "") -> SqliteStore:
        """Open or create the store in `state_dir`, whose log is named `origin` (no space, no plus).

        Raises `WardError` when another process has it, a key is missing or readable by others, or the log
        is not what was signed; `StoreUnavailable` when the database can not be read at all.
        """
        if not usable_origin(origin):
            raise WardError(
                f"`{origin}` can not name an audit log", remedy="use a name without spaces and plus signs"
            )
        try:
            make_private_directory(state_dir)
            lock = _lock(state_dir)
        except OSError as error:
            raise _unusable(state_dir, error) from error
        try:
            return cls._open_locked(state_dir, origin=origin, clock=clock, ids=ids, vfs=vfs, lock=lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def _open_locked(
        cls, state_dir: Path, *, origin: str, clock: Clock, ids: Ids, vfs: str, lock: int
    ) -> SqliteStore:
        path = state_dir / DATABASE
        fresh = not path.exists() and not (state_dir / ANCHOR).exists()
        try:
            keys = load_or_create_keys(state_dir / "keys", may_create=fresh)
            signer = Signer(origin, keys.signing)
            db = open_writer(path, vfs)
            try:
                migrate(db, path)
                head = check_log(db, path, signer=signer, anchor=state_dir / ANCHOR)
                write_durably(state_dir / PUBLIC_KEY, f"{signer.key.text()}\n".encode(), mode=0o644)
                return cls(
                    path, vfs=vfs, keys=keys, db=db, head=head, signer=signer, lock=lock, clock=clock, ids=ids
                )
            except BaseException:
                db.close()
                raise
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise WardError(
                f"the database is damaged: {error}",
                file=str(path),
                remedy="restore it from a backup that is not older",
                code=ReasonCode.INTEGRITY_BROKEN,
            ) from error
        except (apsw.Error, OSError) as error:
            raise _unusable(state_dir, error) from error

    def on_submit(self, call: Callable[[int], None]) -> None:
        """Call that on the loop's thread whenever a group of commits is to go to the store's own.

        It gets that thread's `native_id`, and must not raise.
        """
        self._writer.on_submit = call

    # --- writing -------------------------------------------------------------------------------------

    @override
    async def commit(self, events: Sequence[Event], changes: Sequence[Change] = ()) -> tuple[Receipt, ...]:
        return await self._commit(events, changes)

    async def _commit(
        self, events: Sequence[Event], changes: Sequence[Change], shred: int | None = None
    ) -> tuple[Receipt, ...]:
        if self._closed or self._writer.poisoned:
            raise AuditStopped(self.healthy(), remedy="start toolward again")
        if self._writer.waiting + self._gatherer.weight >= COMMIT_QUEUE_MAX:
            raise Overloaded("too many records wait for the audit log", remedy="call again in a second")
        future: asyncio.Future[tuple[Receipt, ...]] = asyncio.get_running_loop().create_future()
        self._gatherer.add(Asked(events, checked(changes), future, shred))
        return await future

    def _write(self, group: Sequence[Asked]) -> None:
        """Seal record after record: what that takes is then in the processor's caches."""
        commits: list[Commit] = []
        for asked in group:
            try:
                sealed = tuple(map(self._sealer.seal, asked.events))
            except Exception as bug:  # noqa: BLE001 -- its caller hears of it; all others of the group go on
                if not asked.future.done():
                    asked.future.set_exception(bug)
            else:
                commits.append(Commit(sealed, asked.changes, asked.future, asked.shred))
        if commits:
            self._writer.submit(commits)

    @override
    async def shred(self, index: int) -> None:
        row = self._reader.payload_row(index)
        if row is not None:
            event = shredding(index, row[0], clock=self._clock, ids=self._ids)
            await self._commit((event,), (), shred=index)

    @override
    async def close(self) -> None:
        if self._closed:
            return
        self._gatherer.drain()
        self._closed = True
        try:
            # first, so that the writer's connection is the last one: on closing that, SQLite writes to the
            # database, which is for the writer to allow or not
            self._reader.close()
        finally:
            await self._writer.stop()

    # --- reading -------------------------------------------------------------------------------------

    @override
    def get(self, table: Table, key: str) -> Row | None:
        return self._reader.get(table, key)

    @override
    def scan(self, table: Table, prefix: str = "") -> Iterator[Row]:
        return self._reader.scan(table, prefix)

    @override
    def newest(self, table: Table, *, before: str = "", limit: int = 100) -> list[Row]:
        return self._reader.newest(table, before, limit)

    @override
    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        size = self.size()
        return self._reader.records(start, size if stop is None else min(stop, size))

    @override
    def checkpoints(self, start: int = 0) -> Iterator[tuple[int, str]]:
        return self._reader.checkpoints(start)

    @override
    def find(
        self,
        *,
        kind: str = "",
        call_id: str = "",
        session_id: str = "",
        tool: str = "",
        since_ns: int = 0,
        limit: int = 100,
        newest_first: bool = True,
    ) -> list[Record]:
        wanted = {"call_id": call_id, "session_id": session_id, "tool": tool, "kind": kind}
        return self._reader.find(wanted, since_ns=since_ns, limit=limit, newest_first=newest_first)

    @override
    def open_calls(self) -> tuple[OpenCall, ...]:
        return self._writer.open_calls.all()

    @override
    def last_written(self, kind: str) -> int:
        return self._writer.last_written.get(kind, -1)

    @override
    def payload(self, index: int, name: str) -> bytes | None:
        row = self._reader.payload_row(index)
        return None if row is None else self._sealer.unseal(*row).get(name)

    @override
    def checkpoint(self) -> str:
        return self._writer.head.note

    @override
    def verifier_key(self) -> str:
        return self._signer.key.text()

    @override
    def size(self) -> int:
        return self._writer.head.tree.size

    @override
    def healthy(self) -> str:
        return "the store is closed" if self._closed else self._writer.health

    @override
    def digest(self, data: bytes) -> str:
        return self._sealer.digest(data)


def _unusable(state_dir: Path, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store in `{state_dir}` can not be opened: {error}",
        remedy="mend the disk, free space on it, or give the directory to the user who runs toolward",
    )


def _lock(state_dir: Path) -> int:
    """Hold the directory for this process until the descriptor is closed, also by the process's death."""
    descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise WardError(
            "another toolward process uses this state directory",
            file=str(state_dir),
            remedy="stop it, or talk to it instead of opening its files",
        ) from None
    return descriptor
