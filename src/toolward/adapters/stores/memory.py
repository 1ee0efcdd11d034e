"""The store without a disk: the same log, proofs, receipts and encryption, and faults on demand.

For tests, rehearsals and try-outs. Nothing outlives the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256

from typing_extensions import override

from toolward.adapters.stores.keys import Keys
from toolward.adapters.stores.open_calls import OpenCalls
from toolward.adapters.stores.sealing import Sealed, Sealer, grow
from toolward.adapters.stores.submission import checked, shredding
from toolward.errors import AuditStopped, AuditUnavailable
from toolward.model.event import Event, Receipt
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Change, Conflict, OpenCall, Put, Record, Row, Store, Table
from toolward.rules.checkpoint import Signer
from toolward.rules.merkle import EMPTY_ROOT, Range


class MemoryStore(Store):
    """See `ports.store.Store`. `commits` counts attempts from 1, refused ones included.

    `fail_at`: numbers of the commits that fail like a broken disk, after which all are refused.
    `full_at`: numbers of the commits that fail like a full disk; the next one may succeed.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        origin: str = "memory",
        seed: bytes = b"toolward in memory",
        fail_at: frozenset[int] = frozenset(),
        full_at: frozenset[int] = frozenset(),
    ) -> None:
        """Keys are derived from `seed`: the same seed signs the same."""
        keys = Keys(
            **{name: sha256(seed + name.encode()).digest() for name in ("signing", "digest", "payload")}
        )
        self.fail_at = fail_at
        self.full_at = full_at
        self.commits = 0
        self._clock = clock
        self._ids = ids
        self._sealer = Sealer(keys)
        self._signer = Signer(origin, keys.signing)
        self._tree = Range()
        self._notes: list[tuple[int, str]] = [(0, self._signer.sign(0, EMPTY_ROOT))]
        self._log: list[Sealed] = []
        self._open_calls = OpenCalls()
        self._shredded: set[int] = set()
        self._state: dict[tuple[str, str], Row] = {}
        self._health = ""
        self._stopped = False

    @override
    async def commit(self, events: Sequence[Event], changes: Sequence[Change] = ()) -> tuple[Receipt, ...]:
        sealed = [self._sealer.seal(event) for event in events]
        wanted = checked(changes)
        self._meet_faults()
        state = self._changed(wanted)
        receipts: tuple[Receipt, ...] = ()
        if sealed:
            grown = grow(self._tree, sealed, self._signer)
            self._tree = grown.batch.range
            self._notes.append((self._tree.size, grown.note))
            self._log.extend(sealed)
            for event in events:
                self._open_calls.follow(event.kind, event.call_id, event.session_id, event.tool)
            receipts = grown.receipts
        self._state = state
        self._health = ""
        # as with a disk, others run before a commit returns, and a caller who goes does not call it back
        await asyncio.sleep(0)
        return receipts

    def restart(self) -> None:
        """As if a new process had opened it: what was committed is there, and faults are over."""
        self.fail_at, self.full_at = frozenset(), frozenset()
        self._stopped = False
        self._health = ""

    def _meet_faults(self) -> None:
        if self._stopped:
            raise AuditStopped(self._health)
        self.commits += 1
        if self.commits in self.fail_at:
            self._stopped = True
            self._health = "the audit log stopped at its first failed write"
            raise AuditStopped(self._health, remedy="start toolward again")
        if self.commits in self.full_at:
            self._health = "the disk of the audit log is full"
            raise AuditUnavailable(self._health, remedy="free the disk")

    def _changed(self, changes: Sequence[Change]) -> dict[tuple[str, str], Row]:
        if not changes:
            return self._state
        state = dict(self._state)
        for change in changes:
            place = (change.table.value, change.key)
            row = state.get(place)
            version = row.version if row else 0
            if not isinstance(change, Put):
                state.pop(place, None)
            elif change.expect is not None and change.expect != version:
                raise Conflict(f"`{change.table}/{change.key}` has version {version}, not {change.expect}")
            else:
                state[place] = Row(change.key, change.body, version + 1)
        return state

    @override
    def get(self, table: Table, key: str) -> Row | None:
        return self._state.get((table.value, key))

    @override
    def scan(self, table: Table, prefix: str = "") -> Iterator[Row]:
        for tab, key in sorted(self._state, key=lambda place: (place[0], place[1].encode())):
            if tab == table.value and key.startswith(prefix) and (row := self._state.get((tab, key))):
                yield row

    @override
    def newest(self, table: Table, *, before: str = "", limit: int = 100) -> list[Row]:
        rows = [row for row in self.scan(table) if not before or row.key < before]
        return rows[: -limit - 1 : -1]

    @override
    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        for index, sealed in enumerate(self._log[start:stop], start):
            yield Record(index, sealed.body, sealed.leaf)

    @override
    def checkpoints(self, start: int = 0) -> Iterator[tuple[int, str]]:
        return iter([entry for entry in self._notes if entry[0] > start])

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
        wanted = (("kind", kind), ("call_id", call_id), ("session_id", session_id), ("tool", tool))
        found: list[Record] = []
        numbered = list(enumerate(self._log))
        for index, sealed in reversed(numbered) if newest_first else numbered:
            event = sealed.event
            if len(found) >= limit:
                break
            if event.time_ns >= since_ns and all(
                not text or getattr(event, name) == text for name, text in wanted
            ):
                found.append(Record(index, sealed.body, sealed.leaf))
        return found

    @override
    def open_calls(self) -> tuple[OpenCall, ...]:
        return self._open_calls.all()

    @override
    def last_written(self, kind: str) -> int:
        return next((at for at in range(len(self._log) - 1, -1, -1) if self._log[at].event.kind == kind), -1)

    @override
    def payload(self, index: int, name: str) -> bytes | None:
        if index in self._shredded or not 0 <= index < len(self._log):
            return None
        sealed = self._log[index]
        if sealed.box is None or sealed.salt is None:
            return None
        return self._sealer.unseal(sealed.body, sealed.box, sealed.salt).get(name)

    @override
    async def shred(self, index: int) -> None:
        if index in self._shredded or not 0 <= index < len(self._log) or self._log[index].box is None:
            return
        await self.commit((shredding(index, self._log[index].body, clock=self._clock, ids=self._ids),))
        self._shredded.add(index)

    @override
    def checkpoint(self) -> str:
        return self._notes[-1][1]

    @override
    def verifier_key(self) -> str:
        return self._signer.key.text()

    @override
    def size(self) -> int:
        return self._tree.size

    @override
    def healthy(self) -> str:
        return self._health

    @override
    def digest(self, data: bytes) -> str:
        return self._sealer.digest(data)

    @override
    async def close(self) -> None:
        self._stopped = True
        self._health = "the store is closed"
