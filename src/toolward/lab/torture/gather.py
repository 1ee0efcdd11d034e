"""Reading the evidence: out of a store that was opened again, and the proofs that receipts carry."""

from __future__ import annotations

import binascii
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.errors import IntegrityBroken
from toolward.governance.verify import export, verify_export
from toolward.lab.torture.evidence import Acknowledged, Logged, Violation
from toolward.model.event import EventKind
from toolward.ports.store import Store
from toolward.rules.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse_verifier_key
from toolward.rules.merkle import Range, leaf_hash, verify_inclusion

BAD_LOG: Final = "the log verifies"
BAD_RECEIPT: Final = "every receipt's checkpoint and proof verify"
INCONSISTENT: Final = "the log extends every checkpoint it gave out"
SAMPLE: Final = 50
"""Earlier checkpoints against which an export is verified as a stranger would."""
_WITH_KEY: Final = frozenset({EventKind.CALL_INTENT.value, EventKind.CALL_MERGED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply as its caller got it; `receipt` is the wire form."""

    key: str
    tool: str
    code: str
    receipt: dict[str, Any] | None

    def acknowledged(self) -> Acknowledged | None:
        """What the reply acknowledges, or None if it holds no receipt."""
        if self.receipt is None:
            return None
        return Acknowledged(
            key=self.key,
            tool=self.tool,
            code=self.code,
            index=self.receipt["index"],
            leaf=binascii.a2b_base64(self.receipt["leafHash"]),
        )


def acknowledged_of(answers: Iterable[Answer]) -> list[Acknowledged]:
    """What a list of replies acknowledges."""
    return [each for each in (answer.acknowledged() for answer in answers) if each is not None]


def read_log(store: Store) -> list[Logged]:
    """Every record, with the key that its stored arguments hold; leaf hashes are computed, not believed."""
    return [
        _logged(store, record.index, record.body, orjson.loads(record.body)) for record in store.records()
    ]


def _logged(store: Store, index: int, raw: bytes, body: dict[str, Any]) -> Logged:
    key = ""
    if body["kind"] in _WITH_KEY:
        arguments = store.payload(index, "arguments")
        key = str(orjson.loads(arguments).get("key", "")) if arguments else ""
    return Logged(
        index=index,
        leaf=leaf_hash(raw),
        kind=body["kind"],
        call_id=body["call_id"],
        key=key,
        time_us=round(datetime.fromisoformat(body["time"]).timestamp() * 1_000_000),
        status=body.get("status", ""),
        settled_by=body.get("settled_by", ""),
    )


def bad_proofs(answers: Sequence[Answer], log: Sequence[Logged], public_key: str) -> list[Violation]:
    """Check each receipt by itself, and each of their checkpoints against the log as it is now."""
    key = parse_verifier_key(public_key)
    heads: dict[str, Checkpoint] = {}
    found: list[Violation] = []
    for answer in answers:
        if answer.receipt is None:
            if not answer.code:
                found.append(Violation(BAD_RECEIPT, f"`{answer.key}` was answered without a receipt"))
            continue
        try:
            found += _bad_receipt(answer, answer.receipt, heads, key)
        except (IntegrityBroken, binascii.Error) as error:
            found.append(Violation(BAD_RECEIPT, f"`{answer.key}`: {error}"))
    wanted: dict[int, set[bytes]] = {}
    for head in heads.values():
        wanted.setdefault(head.size, set()).add(head.root)
    tree = Range()
    for record in log:
        tree = tree.extended((record.leaf,))
        if wanted.pop(tree.size, {tree.root()}) != {tree.root()}:
            found.append(Violation(INCONSISTENT, f"the checkpoint of {tree.size} records has another root"))
    found += [Violation(INCONSISTENT, f"{size} records were signed, the log is shorter") for size in wanted]
    return found


def _bad_receipt(
    answer: Answer, receipt: dict[str, Any], heads: dict[str, Checkpoint], key: VerifierKey
) -> list[Violation]:
    note = receipt["checkpoint"]
    if note not in heads:
        heads[note] = open_checkpoint(note, key)
    head = heads[note]
    leaf = binascii.a2b_base64(receipt["leafHash"])
    proof = [binascii.a2b_base64(each) for each in receipt["proof"]]
    if verify_inclusion(receipt["index"], head.size, leaf, proof, head.root):
        return []
    return [Violation(BAD_RECEIPT, f"`{answer.key}`: its proof does not lead to the signed root")]


def bad_exports(
    store: Store, answers: Sequence[Answer], chance: random.Random, folder: Path, sample: int = SAMPLE
) -> tuple[int, list[Violation]]:
    """Export the log and verify it as a stranger would, against a sample of the checkpoints given out.

    Returns how many verifications were made, and what they found.
    """
    notes = sorted({answer.receipt["checkpoint"] for answer in answers if answer.receipt is not None})
    some = ["", *chance.sample(notes, min(sample, len(notes)))]
    path = folder / "export.jsonl"
    export(store, path)
    found: list[Violation] = []
    for note in some:
        verdict = verify_export(path, store.verifier_key(), note)
        if not verdict.ok:
            found.append(Violation(INCONSISTENT if note else BAD_LOG, verdict.sentence()))
    path.unlink()
    return len(some), found
