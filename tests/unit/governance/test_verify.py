"""Tampering with an exported log, in every way we could think of, is found and placed."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import IntegrityBroken, WardError
from toolward.governance.verify import export, verify_export, verify_receipt, verify_store
from toolward.model.event import Event, EventKind
from toolward.rules.merkle import leaf_hash

GROUPS = ((0,), (1, 2, 3), (4,))


def event(number: int, text: str = "") -> Event:
    return Event(
        event_id=f"e-{number}",
        time_ns=number,
        kind=EventKind.CALL_INTENT,
        body={"number": number, "text": text},
    )


async def a_store(text: str = "", groups: tuple[tuple[int, ...], ...] = GROUPS) -> MemoryStore:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    for group in groups:
        await store.commit([event(number, text) for number in group])
    return store


@pytest.fixture
async def store() -> MemoryStore:
    return await a_store()


@pytest.fixture
def lines(store: MemoryStore, tmp_path: Path) -> list[bytes]:
    export(store, tmp_path / "log")
    return (tmp_path / "log").read_bytes().splitlines(keepends=True)


def judged(
    store: MemoryStore, tmp_path: Path, content: bytes | list[bytes], since: str = ""
) -> tuple[bool, object]:
    path = tmp_path / "tampered"
    path.write_bytes(content if isinstance(content, bytes) else b"".join(content))
    verdict = verify_export(path, store.verifier_key(), since)
    assert verdict.sentence()
    return verdict.ok, verdict.first_bad


def record_lines(lines: list[bytes]) -> list[int]:
    return [place for place, line in enumerate(lines) if line.startswith(b'{"index"')]


def test_an_untouched_export_verifies_with_the_public_key_alone(
    store: MemoryStore, tmp_path: Path, lines: list[bytes]
) -> None:
    assert judged(store, tmp_path, lines) == (True, None)
    assert len(lines) == 1 + 5 + 2 + 1
    assert verify_store(store, store.verifier_key()).as_json()["size"] == 5


async def test_an_empty_log_verifies(tmp_path: Path) -> None:
    store = await a_store(groups=())
    assert export(store, tmp_path / "log") == 0
    assert verify_export(tmp_path / "log", store.verifier_key()).ok
    assert verify_store(store, store.verifier_key()).ok


def test_any_flipped_bit_of_any_record_names_that_record(
    store: MemoryStore, tmp_path: Path, lines: list[bytes]
) -> None:
    for index, place in enumerate(record_lines(lines)):
        line = lines[place]
        for bit in range(len(line) * 8) if index == 2 else range(index, len(line) * 8, 8):
            changed = bytearray(line)
            changed[bit // 8] ^= 1 << bit % 8
            tampered = [*lines[:place], bytes(changed), *lines[place + 1 :]]
            assert judged(store, tmp_path, tampered) == (False, index), (index, bit)


def test_any_flipped_bit_outside_the_records_is_found(
    store: MemoryStore, tmp_path: Path, lines: list[bytes]
) -> None:
    for place in set(range(len(lines))) - set(record_lines(lines)):
        for position in range(len(lines[place])):
            changed = bytearray(lines[place])
            changed[position] ^= 1 << position % 8
            tampered = [*lines[:place], bytes(changed), *lines[place + 1 :]]
            assert not judged(store, tmp_path, tampered)[0], (place, position)


def test_a_removed_record_is_named(store: MemoryStore, tmp_path: Path, lines: list[bytes]) -> None:
    for index, place in enumerate(record_lines(lines)):
        assert judged(store, tmp_path, [*lines[:place], *lines[place + 1 :]]) == (False, index)


def test_a_removed_record_is_found_also_when_the_others_are_numbered_anew(
    store: MemoryStore, tmp_path: Path, lines: list[bytes]
) -> None:
    place = record_lines(lines)[2]
    renumbered = [
        line.replace(b'{"index":3,', b'{"index":2,').replace(b'{"index":4,', b'{"index":3,') for line in lines
    ]
    assert judged(store, tmp_path, [*renumbered[:place], *renumbered[place + 1 :]]) == (False, 3)


def test_reordered_records_are_named(store: MemoryStore, tmp_path: Path, lines: list[bytes]) -> None:
    first, second = record_lines(lines)[1:3]
    swapped = list(lines)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    assert judged(store, tmp_path, swapped) == (False, 1)


def test_a_record_forged_together_with_its_leaf_hash_is_placed_in_its_group(
    store: MemoryStore, tmp_path: Path, lines: list[bytes]
) -> None:
    from toolward.governance.verify import _line
    from toolward.rules.audit import Entry

    forged = lines[record_lines(lines)[2]].split(b'"record":')[1][:-2].replace(b'"number":2', b'"number":9')
    tampered = list(lines)
    tampered[record_lines(lines)[2]] = _line(Entry(2, forged, leaf_hash(forged)), 0)
    assert judged(store, tmp_path, tampered) == (False, 1)
    verdict = verify_export(tmp_path / "tampered", store.verifier_key())
    assert (verdict.first_bad, verdict.last_bad) == (1, 3)


def test_a_file_cut_anywhere_is_found(store: MemoryStore, tmp_path: Path, lines: list[bytes]) -> None:
    whole = b"".join(lines)
    for end in range(0, len(whole), 7):
        assert not judged(store, tmp_path, whole[:end])[0], end
    for count in range(len(lines)):
        ok, first_bad = judged(store, tmp_path, lines[:count])
        assert not ok
        if count:
            assert first_bad == len(record_lines(lines[:count]))


def test_anything_after_the_end_is_found(store: MemoryStore, tmp_path: Path, lines: list[bytes]) -> None:
    assert not judged(store, tmp_path, [*lines, lines[-1]])[0]
    assert not judged(store, tmp_path, [*lines, b"\n"])[0]


async def test_a_log_cut_back_to_an_earlier_signed_state_is_found_by_a_checkpoint_kept_elsewhere(
    store: MemoryStore, tmp_path: Path
) -> None:
    kept = store.checkpoint()
    shorter = await a_store(groups=GROUPS[:2])
    export(shorter, tmp_path / "shorter")
    assert verify_export(
        tmp_path / "shorter", store.verifier_key()
    ).ok  # control: alone it is a true earlier state
    verdict = verify_export(tmp_path / "shorter", store.verifier_key(), kept)
    assert (verdict.ok, verdict.first_bad) == (False, 4)


async def test_a_forked_log_signed_with_the_right_key_is_found_by_a_receipt_kept_elsewhere(
    tmp_path: Path,
) -> None:
    honest, forked = await a_store(), await a_store("rewritten")
    (receipt,) = await honest.commit([event(5)])
    await forked.commit([event(5)])
    await forked.commit([event(6)])
    export(forked, tmp_path / "forked")
    assert verify_export(tmp_path / "forked", honest.verifier_key()).ok  # control: a consistent lie
    verdict = verify_export(tmp_path / "forked", honest.verifier_key(), receipt.checkpoint)
    assert not verdict.ok
    assert "fork" in verdict.why
    assert not verify_store(forked, honest.verifier_key(), receipt.checkpoint).ok
    assert verify_store(honest, honest.verifier_key(), receipt.checkpoint).ok


async def test_a_log_signed_by_another_key_is_refused(tmp_path: Path, store: MemoryStore) -> None:
    other = MemoryStore(clock=VirtualClock(), ids=CountingIds(), seed=b"other")
    await other.commit([event(0)])
    export(other, tmp_path / "log")
    assert not verify_export(tmp_path / "log", store.verifier_key()).ok
    assert not verify_store(other, store.verifier_key()).ok


@pytest.mark.parametrize("content", [b"", b"\n", b"[]\n", b"{}\n", b"\xff\n", b'{"index":0}\n'])
def test_what_is_no_export_is_refused(store: MemoryStore, tmp_path: Path, content: bytes) -> None:
    assert not judged(store, tmp_path, content)[0]


def test_unusable_files_and_keys_are_errors_that_say_what_to_do(store: MemoryStore, tmp_path: Path) -> None:
    with pytest.raises(WardError):
        verify_export(tmp_path / "absent", store.verifier_key())
    with pytest.raises(WardError):
        export(store, tmp_path / "absent" / "log")
    with pytest.raises(IntegrityBroken):
        verify_export(tmp_path / "absent", "no key")
    with pytest.raises(IntegrityBroken):
        verify_store(store, store.verifier_key(), "no checkpoint")


async def test_a_receipt_proves_its_record_and_nothing_else(store: MemoryStore) -> None:
    receipt, _ = await store.commit([event(7), event(8)])
    body = next(iter(store.records(receipt.index))).body
    key = store.verifier_key()
    assert verify_receipt(receipt, body, key).ok
    assert not verify_receipt(receipt, body + b" ", key).ok
    assert not verify_receipt(replace(receipt, index=receipt.index + 1), body, key).ok
    assert not verify_receipt(replace(receipt, proof=receipt.proof[:-1]), body, key).ok
    assert not verify_receipt(replace(receipt, proof=("", *receipt.proof)), body, key).ok
    assert not verify_receipt(replace(receipt, leaf_hash="!"), body, key).ok
    assert not verify_receipt(replace(receipt, checkpoint=receipt.checkpoint + "x"), body, key).ok
