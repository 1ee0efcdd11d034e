"""The audit log in the hands of others: export it, and verify it with nothing but the public key.

An export is JSON lines. The first names the log, the last repeats its newest signed checkpoint; between
them stand the records, each with exactly the bytes that were hashed, and after each group the checkpoint
that was signed for it:

    {"toolward_export":1,"origin":…,"public_key":…,"size":…,"checkpoint":…}
    {"index":0,"leaf":…,"record":{…}}
    {"checkpoint":…}
    {"end":1,"checkpoint":…}

Whoever holds the file can cut it back to an earlier checkpoint, which is a true earlier state of the log;
only `since`, a checkpoint or receipt kept elsewhere, shows that. docs/threats.md says what this proves.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from toolward.errors import IntegrityBroken, WardError
from toolward.model.event import Receipt
from toolward.ports.store import Store
from toolward.rules.audit import Entry, Note, Verdict, judge
from toolward.rules.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse_verifier_key
from toolward.rules.merkle import leaf_hash, verify_inclusion

EXPORT_VERSION: Final = 1
LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A longer line is no record of ours; bounds the memory that a hostile file can take."""
_HASH_BYTES: Final = 32


def export(store: Store, path: Path) -> int:
    """Write the whole log to `path` and return how many records that were. Constant memory.

    Records that arrive meanwhile are left out. Raises `WardError` when the file can not be written.
    """
    size, note = _newest(store)
    head = {
        "toolward_export": EXPORT_VERSION,
        "origin": parse_verifier_key(store.verifier_key()).name,
        "public_key": store.verifier_key(),
        "size": size,
        "checkpoint": note,
    }
    try:
        with path.open("wb") as file:
            file.write(orjson.dumps(head) + b"\n")
            for item in _log_of(store, size, note):
                file.write(_line(item, size))
    except OSError as error:
        raise WardError(
            f"the export can not be written: {error}", file=str(path), remedy="choose another place"
        ) from None
    return size


def verify_export(path: Path, public_key: str, since: str = "") -> Verdict:
    """Judge an exported file by the log's public key (`log.pub`), and by an earlier checkpoint if given.

    `since` is a signed note kept from earlier, such as the `checkpoint` of a receipt. The verdict names the
    first bad record. Raises `WardError` when the file can not be read, `IntegrityBroken` when the key or
    `since` itself is not usable.
    """
    key, earlier = _trusted(public_key, since)
    try:
        with path.open("rb") as file:
            problem = _bad_header(file.readline(LINE_BYTES_MAX), public_key, key)
            if problem:
                return Verdict(ok=False, size=0, origin=key.name, why=problem)
            return judge(_read(file), key, earlier)
    except OSError as error:
        raise WardError(f"the export can not be read: {error}", file=str(path)) from None


def verify_store(store: Store, public_key: str, since: str = "") -> Verdict:
    """The same for a live store; records that arrive meanwhile are not looked at."""
    key, earlier = _trusted(public_key, since)
    size, note = _newest(store)
    return judge(_log_of(store, size, note), key, earlier)


def verify_receipt(receipt: Receipt, record_body: bytes, public_key: str) -> Verdict:
    """Whether `receipt` proves that exactly this record is in the log that `public_key` signs."""
    key = parse_verifier_key(public_key)

    def bad(why: str) -> Verdict:
        return Verdict(
            ok=False, size=0, origin=key.name, first_bad=receipt.index, last_bad=receipt.index, why=why
        )

    try:
        head = open_checkpoint(receipt.checkpoint, key)
        leaf = _hash(receipt.leaf_hash)
        proof = [_hash(text) for text in receipt.proof]
    except IntegrityBroken as error:
        return bad(str(error))
    if leaf_hash(record_body) != leaf:
        return bad("its bytes do not give the leaf hash of the receipt")
    if not verify_inclusion(receipt.index, head.size, leaf, proof, head.root):
        return bad("the proof does not lead to the signed root")
    return Verdict(ok=True, size=head.size, origin=key.name, root=head.root)


def _trusted(public_key: str, since: str) -> tuple[VerifierKey, Checkpoint | None]:
    key = parse_verifier_key(public_key)
    return key, open_checkpoint(since, key) if since else None


def _newest(store: Store) -> tuple[int, str]:
    note = store.checkpoint()
    size = open_checkpoint(note, parse_verifier_key(store.verifier_key())).size
    return size, note


def _log_of(store: Store, size: int, note: str) -> Iterator[Entry | Note]:
    """Records below `size` with the checkpoints between them, and `note` at the end."""
    checkpoints = store.checkpoints()
    following = next(checkpoints, None)
    for record in store.records(0, size):
        yield Entry(record.index, record.body, record.leaf_hash)
        while following and following[0] <= record.index + 1 and following[0] < size:
            yield Note(following[1])
            following = next(checkpoints, None)
    yield Note(note, last=True)


def _line(item: Entry | Note, size: int) -> bytes:
    if isinstance(item, Entry):
        leaf = binascii.b2a_base64(item.leaf, newline=False)
        return b'{"index":%d,"leaf":"%b","record":%b}\n' % (item.index, leaf, item.body)
    note: dict[str, Any] = {"end": size} if item.last else {}
    return orjson.dumps({**note, "checkpoint": item.text}) + b"\n"


def _bad_header(line: bytes, public_key: str, key: VerifierKey) -> str:
    header = _object(line)
    if header is None or header.get("toolward_export") != EXPORT_VERSION:
        return "the first line is not the head of a toolward export"
    if header.get("public_key") != public_key.strip() or header.get("origin") != key.name:
        return "the export names another log or another public key"
    try:
        head = open_checkpoint(str(header.get("checkpoint")), key)
    except IntegrityBroken as error:
        return f"the checkpoint in the first line is bad: {error}"
    return "" if head.size == header.get("size") else "the first line's size is not the one signed"


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _read(file: BinaryIO) -> Iterator[Entry | Note]:
    """Lines as found. What is no proper line becomes an entry with a flaw, so that its place is named."""
    place = 0
    while line := file.readline(LINE_BYTES_MAX):
        if line.startswith(b'{"index":'):
            yield _entry(line, place)
            place += 1
            continue
        value = _object(line) or {}
        if line == _line(Note(str(value.get("checkpoint"))), 0):
            yield Note(value["checkpoint"])
        elif line == _line(Note(str(value.get("checkpoint")), last=True), place):
            yield Note(value["checkpoint"], last=True)
        else:
            yield Entry(place, b"", b"", flaw="its line is neither a record nor a checkpoint")


def _entry(line: bytes, place: int) -> Entry:
    """The record in a line, which must stand there exactly as `export` writes it."""
    number, comma, rest = line.removeprefix(b'{"index":').partition(b',"leaf":"')
    encoded, quote, tail = rest.partition(b'","record":')
    body = tail.removesuffix(b"}\n")
    try:
        index = int(number)
        leaf = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        return Entry(place, b"", b"", flaw="its line is malformed")
    entry = Entry(index, body, leaf)
    if not comma or not quote or line != _line(entry, 0):
        return Entry(place, b"", b"", flaw="its line is malformed")
    return entry


def _hash(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise IntegrityBroken("a hash of the receipt is not base64") from None
    if len(data) != _HASH_BYTES:
        raise IntegrityBroken("a hash of the receipt has the wrong length")
    return data
