"""Who is it, and where secrets are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolward.adapters.identity import KeyIdentity, credential_body, credential_key
from toolward.adapters.secrets import EnvironmentSecrets, FileSecrets
from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds, SystemIds
from toolward.errors import GatewayError, Rejected, WardError
from toolward.model.principal import CredentialKind
from toolward.ports.identity import Credentials
from toolward.ports.store import Delete, Put, Table


async def a_store_with_a_key(token: str) -> MemoryStore:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    body = credential_body(name="k1", user="ana", agent="reporter", kind=CredentialKind.API_KEY)
    await store.commit([], [Put(Table.CREDENTIAL, credential_key(token), body)])
    return store


async def test_a_key_names_an_agent_and_the_user_it_acts_for() -> None:
    identity = KeyIdentity(await a_store_with_a_key("tw_right"), roles={"auditor": ("ana",), "x": ("bob",)})
    principal = identity.authenticate(Credentials(bearer="tw_right"))
    assert (principal.user, principal.agent, principal.roles) == ("ana", "reporter", ("auditor",))
    assert not principal.is_person


async def test_a_key_is_stored_by_its_digest_only() -> None:
    store = await a_store_with_a_key("tw_right")
    assert all(b"tw_right" not in row.body and row.key != "tw_right" for row in store.scan(Table.CREDENTIAL))


@pytest.mark.parametrize("credentials", [Credentials(bearer="tw_wrong"), Credentials()])
async def test_the_unknown_is_refused(credentials: Credentials) -> None:
    identity = KeyIdentity(await a_store_with_a_key("tw_right"), roles={})
    with pytest.raises(Rejected) as refusal:
        identity.authenticate(credentials)
    assert refusal.value.reason.code == "unauthenticated"
    assert refusal.value.reason.remedy


async def test_anonymous_access_exists_only_where_the_danger_is_named_and_not_with_a_wrong_key() -> None:
    identity = KeyIdentity(await a_store_with_a_key("tw_right"), roles={}, unsafe_anonymous=True)
    assert identity.authenticate(Credentials()).kind is CredentialKind.UNSAFE_ANONYMOUS
    with pytest.raises(Rejected):
        identity.authenticate(Credentials(bearer="tw_wrong"))


async def test_a_revoked_key_is_refused_at_once() -> None:
    store = await a_store_with_a_key("tw_right")
    identity = KeyIdentity(store, roles={})
    await store.commit([], [Delete(Table.CREDENTIAL, credential_key("tw_right"))])
    with pytest.raises(Rejected):
        identity.authenticate(Credentials(bearer="tw_right"))


async def test_an_operating_system_user_is_no_person_that_may_approve() -> None:
    identity = KeyIdentity(await a_store_with_a_key("tw_right"), roles={})
    principal = identity.authenticate(Credentials(os_uid=os.getuid()))
    assert principal.kind is CredentialKind.OS_USER
    assert not principal.is_person


def test_a_secrets_file_is_private_and_atomic(tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path / "private" / "secrets.json")
    secrets.store({"A": "value-1"})
    secrets.store({"B": "value-2"})
    assert (secrets.get("A"), secrets.get("B")) == ("value-1", "value-2")
    assert (tmp_path / "private" / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert sorted(secrets.known_values()) == ["value-1", "value-2"]


def test_a_secrets_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text('{"A": "value-1"}')
    path.chmod(0o644)
    with pytest.raises(WardError, match="read by others"):
        FileSecrets(path).get("A")


def test_a_missing_secret_says_where_it_was_looked_for() -> None:
    with pytest.raises(GatewayError) as missing:
        EnvironmentSecrets({}).get("TOKEN")
    assert "TOKEN" in missing.value.reason.remedy


def test_identifiers_are_version_7_and_sort_by_time() -> None:
    ids = SystemIds()
    made = [ids.new() for _ in range(1000)]
    assert len(set(made)) == len(made)
    assert all(each[14] == "7" and each[19] in "89ab" for each in made)
    assert [each[:13] for each in made] == sorted(each[:13] for each in made)
    assert len(ids.token()) >= 43


def test_a_forked_process_does_not_repeat_its_parents_identifiers() -> None:
    ids = SystemIds()
    ids.new()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(ids.new()[14:] for _ in range(20)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 4096).decode()
    ours = "".join(ids.new()[14:] for _ in range(20))
    os.close(reader)
    os.close(writer)
    assert theirs
    assert theirs != ours
