"""Judging a log: whether the records are exactly what the key signed, and which is the first bad one.

The judge sees a log as a stream, in constant memory: records in order, and between them the signed
checkpoints that the log made as it grew. A record whose bytes do not give its stored leaf hash is named
exactly. One whose leaf hash was recomputed by the forger is caught by the next checkpoint, and named as
lying in the batch since the checkpoint before.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from toolward.errors import IntegrityBroken
from toolward.rules.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from toolward.rules.merkle import Range, leaf_hash


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as found; `flaw` is what its container (a line of an export) already got wrong."""

    index: int
    body: bytes
    leaf: bytes
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A signed checkpoint as found between records."""

    text: str
    last: bool = False  # the one that the log ends with


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`ok`, or the first bad record and why. `size` records were sound before that.

    When the bad record can only be narrowed down to a batch, `first_bad` is the first of the batch and
    `last_bad` the last that it may be. Both are None when the fault lies in no record (a bad signature).
    """

    ok: bool
    size: int
    origin: str = ""
    first_bad: int | None = None
    last_bad: int | None = None
    why: str = ""
    root: bytes = b""

    def sentence(self) -> str:
        """For a person."""
        if self.ok:
            return f"{self.size} records of `{self.origin}` are what was signed"
        if self.first_bad is None:
            return self.why
        if self.last_bad is not None and self.last_bad > self.first_bad:
            return f"a record from {self.first_bad} to {self.last_bad} is bad: {self.why}"
        return f"record {self.first_bad} is bad: {self.why}"

    def as_json(self) -> dict[str, Any]:
        """For programs; `root` is base64 as in checkpoints."""
        return {
            "ok": self.ok,
            "size": self.size,
            "origin": self.origin,
            "first_bad": self.first_bad,
            "last_bad": self.last_bad,
            "why": self.why,
            "root": b2a_base64(self.root, newline=False).decode(),
            "sentence": self.sentence(),
        }


class _Bad(Exception):  # carries the verdict out of nested steps
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.why)
        self.verdict = verdict


class _Judge:
    def __init__(self, key: VerifierKey, since: Checkpoint | None) -> None:
        self.key = key
        self.since = since
        self.tree = Range()
        self.trusted = 0  # size of the newest checkpoint that fitted
        self.closed = False

    def bad(self, why: str, first: int | None = None, last: int | None = None) -> _Bad:
        return _Bad(
            Verdict(
                ok=False,
                size=self.tree.size if first is None else first,
                origin=self.key.name,
                first_bad=first,
                last_bad=first if last is None else last,
                why=why,
            )
        )

    def entry(self, entry: Entry) -> None:
        expected = self.tree.size
        if entry.flaw:
            raise self.bad(entry.flaw, expected)
        if entry.index != expected:
            raise self.bad(f"record {entry.index} stands in its place", expected)
        if leaf_hash(entry.body) != entry.leaf:
            raise self.bad("its bytes do not give its leaf hash", expected)
        self.tree = self.tree.extended((entry.leaf,))
        self.compare_trusted()

    def compare_trusted(self) -> None:
        if self.since and self.since.size == self.tree.size and self.since.root != self.tree.root():
            last = self.tree.size - 1
            why = f"the log forked: the trusted checkpoint of size {self.since.size} has another root"
            raise self.bad(why, min(self.trusted, last), last) if last >= 0 else self.bad(why)

    def note(self, note: Note) -> None:
        try:
            head = open_checkpoint(note.text, self.key)
        except IntegrityBroken as error:
            raise self.bad(f"checkpoint after record {self.tree.size - 1}: {error}") from None
        size = self.tree.size
        if head.size > size:
            raise self.bad(f"records are missing: {head.size} were signed", size, head.size - 1)
        if head.size < size:
            raise self.bad(f"a checkpoint signs {head.size} records where {size} stand", head.size, size - 1)
        if head.root != self.tree.root():
            raise self.bad("the signed root differs", min(self.trusted, max(size - 1, 0)), max(size - 1, 0))
        self.trusted = size
        self.closed = note.last

    def end(self) -> Verdict:
        size = self.tree.size
        if not self.closed:
            raise self.bad("the end is missing: the last records or the final checkpoint were cut off", size)
        if self.since and self.since.size > size:
            raise self.bad(
                f"the log was cut: the trusted checkpoint has {self.since.size} records",
                size,
                self.since.size - 1,
            )
        return Verdict(ok=True, size=size, origin=self.key.name, root=self.tree.root())


def judge(log: Iterable[Entry | Note], key: VerifierKey, since: Checkpoint | None = None) -> Verdict:
    """Whether `log` is what `key` signed, and an extension of the trusted earlier checkpoint `since`.

    `log` must end with a `Note` marked `last`. Never raises for what the log holds.
    """
    judge_ = _Judge(key, since)
    try:
        judge_.compare_trusted()
        for item in log:
            if judge_.closed:
                raise judge_.bad("something stands after the end of the log", judge_.tree.size)
            if isinstance(item, Entry):
                judge_.entry(item)
            else:
                judge_.note(item)
        return judge_.end()
    except _Bad as bad:
        return bad.verdict
