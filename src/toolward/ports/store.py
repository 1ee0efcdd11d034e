"""The durable state and the audit log of one ward: one port, because they commit together.

`settle` must make an outcome and the session's new taint durable in one commit (DESIGN, "Taint across
processes"), so a log and a store that commit apart could not serve the corridor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct

from toolward.model.event import Event, Receipt


class Table(StrEnum):
    """Kinds of state. Bodies are canonical JSON."""

    TOOL_VERSION = "tool_version"  # key: version digest; written once
    TOOL_PIN = "tool_pin"  # key: channel/server/name -> {digest, state, ...}
    OBJECTIVE_PIN = "objective_pin"  # key: channel/name -> what was approved, by whom
    SESSION = "session"  # key: session_id
    INCIDENT = "incident"  # key: incident_id
    REVISION = "revision"  # key: revision digest -> the files and pins themselves
    CREDENTIAL = "credential"  # key: sha-256 of the token
    APPROVAL = "approval"  # key: approval_id
    QUESTION = "question"  # key: digest of what an approval is bound to, or of a call that ran by one
    GRANT = "grant"  # key: grant_id
    ENDORSEMENT = "endorsement"  # key: session_id/source
    IDEMPOTENCY = "idempotency"  # key: digest of caller, tool and key -> args_digest, call_id, state
    ESCROW = "escrow"  # key: escrow_id, a digest of what the held call is bound to
    EFFECT = "effect"  # key: session_id/call_id; the journal that rollback reads
    PROMOTION = "promotion"  # key: channel/server/name -> the version that waits for people
    FRONTIER = "frontier"  # key: at/resource -> the session that changed it and is not settled
    ROLLBACK = "rollback"  # key: rollback_id; plan, steps, end state
    STOP = "stop"  # one row, read with every call: what is stopped -> why, by whom
    HOOK = "hook"  # key: webhook/sha-256 of an answer's id; or how far the log was told of
    CONTRACT = "contract"  # key: server/tool/name -> since when it holds, and how its last try came out
    SIGHTING = "sighting"  # key: server -> when it was last described, since when tools are gone
    BASELINE = "baseline"  # key: version digest -> what its results were like after its approval
    FOUND = "found"  # key: id of a found server -> what it is, and where it stands
    OPEN_USE = "open_use"  # key: session/, day/ or tool/ -> what calls of found tools used up
    OUTFLOW = "outflow"  # key: agent/name/place or tool/server/name/place -> what was sent there
    DECLASSIFIED = "declassified"  # key: session/version digest/args digest -> who let it through
    HONEYTOKEN = "honeytoken"  # key: token_id -> where it was planted; its value is derived, never stored
    LINK = "link"  # key: sha-256 of a one-time link's token, or of a browser's cookie


class Put(Struct, frozen=True):
    """Write a row. `expect` is the version it must have now: None any, 0 must not exist."""

    table: Table
    key: str
    body: bytes
    expect: int | None = None


class Delete(Struct, frozen=True):
    """Remove a row if it is there."""

    table: Table
    key: str


Change = Put | Delete


@dataclass(frozen=True, slots=True)
class Row:
    """One stored row; `version` starts at 1 and grows by one with every write."""

    key: str
    body: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Record:
    """One audit record as it stands in the log; `body` is exactly the bytes that were hashed."""

    index: int
    body: bytes
    leaf_hash: bytes


class OpenCall(NamedTuple):
    """A call whose intent is in the log and whose outcome is not."""

    call_id: str
    session_id: str
    tool: str


class Conflict(Exception):
    """A `Put` with `expect` met another version; nothing of that commit was written."""


class Store(Protocol):
    """The ward's durable state.

    MUST make `commit` atomic and durable (a power cut after it returns loses nothing) and MUST NOT
    return before. MUST refuse every later commit once a write or an fsync failed (fail closed), with
    `AuditUnavailable`, until the process is started again and recovery has run. MUST be used by one
    process at a time.
    """

    async def commit(self, events: Sequence[Event], changes: Sequence[Change] = ()) -> tuple[Receipt, ...]:
        """Append `events` in order and apply `changes`, all or nothing; one receipt for each event.

        Concurrent commits are grouped. Raises `AuditUnavailable` when nothing was written, `AuditStopped`
        when nothing will be before the next start, `Conflict`, and `Overloaded` when the queue is full.
        Cancelling the caller does not undo a commit under way.
        """
        ...

    def get(self, table: Table, key: str) -> Row | None:
        """Read one row from the primary. Raises `StoreUnavailable`."""
        ...

    def scan(self, table: Table, prefix: str = "") -> Iterator[Row]:
        """All rows whose key begins with `prefix`, in key order."""
        ...

    def newest(self, table: Table, *, before: str = "", limit: int = 100) -> list[Row]:
        """The rows with the greatest keys, those first; with `before`, of the keys that are less than it.

        For tables whose keys grow with time.
        """
        ...

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        """Audit records by index."""
        ...

    def find(  # noqa: PLR0913 -- each is one indexed field
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
        """Audit records by their indexed fields; empty means any."""
        ...

    def open_calls(self) -> tuple[OpenCall, ...]:
        """Calls on their way, and after a crash those that it cut off; in the order of their intents.

        A `CALL_INTENT` opens one, a `CALL_OUTCOME` or `LISTED` of the same call closes it.
        """
        ...

    def last_written(self, kind: str) -> int:
        """The index of the newest record of a kind that this process wrote; -1 if it wrote none."""
        ...

    def payload(self, index: int, name: str) -> bytes | None:
        """The decrypted payload of a record, or None if it has none or was shredded."""
        ...

    async def shred(self, index: int) -> None:
        """Destroy the key of a record's payloads; the log and its proofs stay intact."""
        ...

    def checkpoint(self) -> str:
        """The newest signed checkpoint (C2SP signed note)."""
        ...

    def checkpoints(self, start: int = 0) -> Iterator[tuple[int, str]]:
        """Every signed checkpoint of more than `start` records, oldest first, as (records, signed note).

        One was signed for each group of records that was made durable together.
        """
        ...

    def verifier_key(self) -> str:
        """The log's public key as C2SP signed notes write it: all that verifying needs."""
        ...

    def size(self) -> int:
        """Records in the log."""
        ...

    def healthy(self) -> str:
        """'' when commits are possible, else why they are not."""
        ...

    def digest(self, data: bytes) -> str:
        """`hmac-sha256:<hex>` of data under the ward's digest key, so that small values can't be guessed."""
        ...

    async def close(self) -> None:
        """Finish commits under way and release the files."""
        ...
