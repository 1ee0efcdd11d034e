"""A database that is not what was signed is not opened, and the error says where it breaks."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from toolward.adapters.stores import sqlite_opening, sqlite_writer
from toolward.adapters.stores.commits import Commit
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import AuditStopped, ReasonCode, StoreUnavailable, ToolwardError, WardError
from toolward.governance.verify import verify_store
from toolward.model.event import Event, EventKind, Receipt
from toolward.ports.store import OpenCall
from toolward.rules.merkle import leaf_hash


def opened(state: Path, origin: str = "ward") -> SqliteStore:
    return SqliteStore.open(state, origin=origin, clock=VirtualClock(), ids=CountingIds(10**6))


async def fill(state: Path, count: int, group: int = 10, start: int = 0) -> None:
    store = opened(state)
    for first in range(start, start + count, group):
        await store.commit(
            [
                Event(event_id=f"e-{number}", time_ns=number, kind=EventKind.LISTED, body={"number": number})
                for number in range(first, min(first + group, start + count))
            ]
        )
    await store.close()


def call(number: int, kind: EventKind, call_id: str) -> Event:
    return Event(
        event_id=f"e-{number}", time_ns=number, kind=kind, call_id=call_id, session_id="s", tool="a/b"
    )


def tamper(state: Path, *statements: str) -> None:
    db = apsw.Connection(str(state / "toolward.db"))
    for statement in statements:
        db.execute(statement)
    db.close()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def secret_files(state: Path) -> list[Path]:
    return [*(state / "keys").iterdir(), *state.glob("toolward.db*")]


def remove_database(state: Path) -> None:
    for path in state.glob("toolward.db*"):
        path.unlink()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 700])
async def test_what_was_written_is_there_after_opening_again(state: Path, count: int) -> None:
    await fill(state, count, group=37)
    await fill(state, 5, start=count)
    store = opened(state)
    assert store.size() == count + 5
    assert verify_store(store, store.verifier_key()).ok
    assert (state / "log.pub").read_text().strip() == store.verifier_key()
    assert (state / "checkpoint").read_text() == store.checkpoint()
    await store.close()


async def test_only_the_owner_can_read_what_is_kept(state: Path) -> None:
    await fill(state, 3)
    assert mode_of(state) & 0o077 == 0
    assert mode_of(state / "keys") == 0o700
    for path in secret_files(state):
        assert mode_of(path) == 0o600, path


async def test_two_processes_can_not_have_the_same_store(state: Path) -> None:
    store = opened(state)
    with pytest.raises(WardError, match="another toolward process"):
        opened(state)
    await store.close()
    await opened(state).close()


@pytest.mark.parametrize("name", ["signing", "digest", "payload"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
async def test_a_key_that_others_can_read_is_refused(state: Path, name: str, mode: int) -> None:
    await fill(state, 1)
    (state / "keys" / f"{name}.key").chmod(mode)
    with pytest.raises(WardError, match="read by other users") as caught:
        opened(state)
    assert "chmod 600" in caught.value.diagnostics()


async def test_a_key_directory_open_to_others_is_refused(state: Path) -> None:
    await fill(state, 1)
    (state / "keys").chmod(0o755)
    with pytest.raises(WardError, match="open to other users"):
        opened(state)


async def test_a_database_without_its_keys_is_refused_and_no_new_key_is_made(state: Path) -> None:
    await fill(state, 1)
    (state / "keys" / "payload.key").unlink()
    with pytest.raises(WardError, match="missing"):
        opened(state)
    shutil.rmtree(state / "keys")
    with pytest.raises(WardError, match="missing"):
        opened(state)
    assert not (state / "keys").exists()


async def test_a_key_of_the_wrong_length_or_another_log_is_refused(state: Path) -> None:
    await fill(state, 1)
    (state / "keys" / "signing.key").write_bytes(bytes(31))
    with pytest.raises(WardError, match="32 bytes"):
        opened(state)
    (state / "keys" / "signing.key").write_bytes(bytes(32))
    with pytest.raises(WardError, match="newest checkpoint is bad"):
        opened(state)


async def test_another_name_for_the_log_is_refused(state: Path) -> None:
    await fill(state, 1)
    with pytest.raises(WardError):
        opened(state, origin="other")
    with pytest.raises(WardError, match="can not name"):
        opened(state, origin="two words")


FORGED = b'{"forged":1}'
TAMPERINGS: dict[str, tuple[Callable[[Path], None], str]] = {
    "leaf changed": (
        lambda state: tamper(state, f"UPDATE record SET leaf=x'{'00' * 32}' WHERE idx=123"),
        "record 123 ",
    ),
    "newest leaf changed": (
        lambda state: tamper(state, f"UPDATE record SET leaf=x'{'00' * 32}' WHERE idx=599"),
        "record 599 ",
    ),
    "record forged with its leaf": (
        lambda state: tamper(
            state,
            f"UPDATE record SET body=x'{FORGED.hex()}', leaf=x'{leaf_hash(FORGED).hex()}' WHERE idx=123",
        ),
        "from 120 to 129",
    ),
    "record removed": (lambda state: tamper(state, "DELETE FROM record WHERE idx=300"), "record 300 "),
    "end cut": (lambda state: tamper(state, "DELETE FROM record WHERE idx>=590"), "590 "),
    "end and heads cut": (
        lambda state: tamper(state, "DELETE FROM record WHERE idx>=590", "DELETE FROM head WHERE size>590"),
        "set back",
    ),
    "heads gone": (lambda state: tamper(state, "DELETE FROM head"), "heads of the log are gone"),
    "record added": (
        lambda state: tamper(
            state, "INSERT INTO record SELECT 600, leaf, body, kind, '', '', '', 0 FROM record WHERE idx=1"
        ),
        "record 600 |600 ",
    ),
    "tile changed": (
        lambda state: tamper(state, f"UPDATE tile SET hash=x'{'00' * 32}' WHERE idx=0"),
        "not what",
    ),
    "checkpoint changed": (
        lambda state: tamper(state, "UPDATE head SET note=replace(note, '600', '601') WHERE size=600"),
        "checkpoint is bad",
    ),
    "database removed": (remove_database, "set back"),
    "anchor changed": (lambda state: (state / "checkpoint").write_text("x") and None, "kept beside"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_a_tampered_database_is_not_opened(state: Path, name: str) -> None:
    await fill(state, 600)
    change, expected = TAMPERINGS[name]
    change(state)
    with pytest.raises(WardError, match=expected):
        opened(state)
    with pytest.raises(WardError):  # and looking at it did not mend it
        opened(state)


async def test_a_recent_record_changed_without_its_leaf_is_named_at_the_start(state: Path) -> None:
    await fill(state, 600)
    tamper(state, f"UPDATE record SET body=x'{FORGED.hex()}' WHERE idx=77")
    with pytest.raises(WardError, match="record 77 is bad") as refused:
        opened(state)
    assert refused.value.reason.code is ReasonCode.INTEGRITY_BROKEN


async def test_an_old_record_changed_without_its_leaf_is_named_by_verify(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_opening, "BODIES_CHECKED", 100)
    await fill(state, 600)
    tamper(state, f"UPDATE record SET body=x'{FORGED.hex()}' WHERE idx=77")
    store = opened(state)
    assert verify_store(store, store.verifier_key()).first_bad == 77
    await store.close()


async def test_an_older_copy_of_the_database_is_refused_but_a_crash_before_the_anchor_is_not(
    state: Path, tmp_path: Path
) -> None:
    await fill(state, 20)
    shutil.copytree(state, tmp_path / "older")
    await fill(state, 20, start=20)
    anchor = (state / "checkpoint").read_bytes()
    (tmp_path / "older" / "toolward.db").replace(state / "toolward.db")
    with pytest.raises(WardError, match="set back: it holds 20 records, 40"):
        opened(state)
    (state / "checkpoint").write_bytes((tmp_path / "older" / "checkpoint").read_bytes())
    store = opened(state)  # control: with the anchor set back too, nothing here can tell
    assert store.size() == 20
    await store.close()
    assert (state / "checkpoint").read_bytes() != anchor


async def test_a_fork_of_the_same_key_is_refused(state: Path, tmp_path: Path) -> None:
    await fill(state, 20)
    shutil.copytree(state, tmp_path / "fork")
    await fill(state, 20, start=20)
    await fill(tmp_path / "fork", 30, start=1000)
    (tmp_path / "fork" / "toolward.db").replace(state / "toolward.db")
    with pytest.raises(WardError, match="fork"):
        opened(state)


@pytest.mark.parametrize("content", [b"not a database at all" * 400, b"\x00" * 4096])
async def test_a_file_that_is_no_database_is_refused(state: Path, content: bytes) -> None:
    await fill(state, 1)
    remove_database(state)
    (state / "toolward.db").write_bytes(content)
    with pytest.raises(ToolwardError):
        opened(state)


async def test_a_database_of_a_newer_version_is_refused(state: Path) -> None:
    await fill(state, 1)
    tamper(state, "PRAGMA user_version=99")
    with pytest.raises(WardError, match="newer"):
        opened(state)


async def test_a_place_that_can_not_be_used_is_said_to_be_so(state: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="can not be opened"):
        opened(tmp_path / "file" / "state")
    await fill(state, 1)
    (state / "keys" / "digest.key").rename(state / "moved.key")
    (state / "keys" / "digest.key").symlink_to(state / "moved.key")
    with pytest.raises(StoreUnavailable, match="can not be opened"):
        opened(state)


async def test_a_log_of_the_first_schema_is_searched_as_before_once_it_was_opened(state: Path) -> None:
    await fill(state, 700)
    columns = {"call": "call_id", "session": "session_id", "time": "time_ns"}
    named = [
        f"CREATE INDEX record_{name} ON record({columns.get(name, name)})"
        for name in ("kind", "call", "session", "tool", "time")
    ]
    gone = [f"DROP TABLE {name}" for name in ("record_by", "indexed", "open_call")]
    tamper(state, *gone, *named, "PRAGMA user_version=1")
    store = opened(state)
    assert [each.index for each in store.find(kind="listed", limit=3)] == [699, 698, 697]
    assert len(store.find(since_ns=650, limit=1_000)) == 50
    assert verify_store(store, store.verifier_key()).ok
    await store.close()
    db = apsw.Connection(str(state / "toolward.db"))
    assert db.execute("SELECT count(*) FROM pragma_index_list('record')").get == 0
    assert db.execute("SELECT size FROM indexed").get == 700
    db.close()


async def test_calls_that_were_open_under_the_second_schema_still_are(state: Path) -> None:
    await fill(state, 20)
    tamper(
        state,
        "DROP TABLE open_call",
        "ALTER TABLE indexed DROP COLUMN followed",
        """INSERT INTO state VALUES ('open_intent', 'c-1', CAST('{"session_id":"s","tool":"a/b"}' AS BLOB), 1)""",
        "PRAGMA user_version=2",
    )
    store = opened(state)
    assert store.open_calls() == (OpenCall("c-1", "s", "a/b"),)
    await store.commit([call(20, EventKind.CALL_OUTCOME, "c-1"), call(21, EventKind.CALL_INTENT, "c-2")])
    await store.close()
    store = opened(state)
    assert [each.call_id for each in store.open_calls()] == ["c-2"]
    await store.close()


async def test_a_start_knows_the_open_calls_of_a_long_log(state: Path) -> None:
    chance = random.Random(7)
    running: list[str] = []
    store = opened(state)
    for group in range(90):
        events = []
        for number in range(group * 20, group * 20 + 20):
            if running and chance.random() < 0.5:
                ended = running.pop(chance.randrange(len(running)))
                events.append(call(number, EventKind.CALL_OUTCOME, ended))
            else:
                running.append(f"c-{number:05}")
                events.append(call(number, EventKind.CALL_INTENT, running[-1]))
        await store.commit(events)
        assert {each.call_id for each in store.open_calls()} == set(running)
        if group % 13 == 0:
            await store.close()
            store = opened(state)
            assert {each.call_id for each in store.open_calls()} == set(running)
    await store.close()
    db = apsw.Connection(str(state / "toolward.db"))
    assert db.execute("SELECT followed FROM indexed").get > 1_000, "a start would read all of the log"
    db.close()


async def test_an_interrupt_while_rows_are_put_in_stops_the_log_and_is_passed_on(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(state)
    future: asyncio.Future[tuple[Receipt, ...]] = asyncio.get_running_loop().create_future()

    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlite_writer, "stage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store._writer.submit([Commit((), (), future)])
    monkeypatch.undo()
    with pytest.raises(AuditStopped):
        await future
    with pytest.raises(AuditStopped):
        await store.commit([], [])
    await store.close()
    store = opened(state)
    await store.commit([call(0, EventKind.LISTED, "c")])
    await store.close()
