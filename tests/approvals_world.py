"""People with credentials in a world of fakes, and the shortest way for them to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.harness import World
from toolward.adapters.identity.keys import credential_body, credential_key
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.model.approval import ApprovalState
from toolward.model.call import Reply
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.store import Delete, Put, Table

ROLES = """\
roles:
  owner: [olga, otto]
  security: [sven, sara]
  chief: [carla]
  break_glass: [greta]
"""
WIPE = ("files/wipe", {"path": "/data/a"})


def person(user: str) -> Principal:
    """A person as the door sees one; whether the credential is in force is the store's word."""
    return Principal(
        user=user, agent="cli", credential=f"person:cli:{user}", kind=CredentialKind.PERSON, roles=()
    )


async def sign_up(world: World, *users: str) -> None:
    """Give each a person's credential."""
    puts = []
    for user in users:
        body = credential_body(name=f"person:cli:{user}", user=user, agent="cli", kind=CredentialKind.PERSON)
        puts.append(Put(Table.CREDENTIAL, credential_key(user), body))
    await world.store.commit([], puts)


async def sign_off(world: World, user: str) -> None:
    """Revoke the credential."""
    await world.store.commit([], [Delete(Table.CREDENTIAL, credential_key(user))])


async def ask_desk(world: World, by: str, verb: str, **parameters: Any) -> Any:
    """One verb of the desk."""
    return await invoke(world.house.desk, verb, parameters, person(by))


def approval_of(reply: Reply) -> str:
    """The approval that a pending call names."""
    assert reply.error is not None, reply.result
    assert reply.error.data["code"] == "approval_required", reply.error
    return str(reply.error.data["details"]["approval"])


def state_of(world: World, approval_id: str) -> ApprovalState:
    ground = world.house.parts.approvals.ground
    return ground.state(ground.found(approval_id).approval)


def ran(world: World, key: str = "files/wipe") -> int:
    """How often a tool really ran."""
    return sum(tool == key for tool, _, _ in world.upstreams.ran)


def policy(name: str, annotations: str, *, tool: str = "files/wipe", when: str = "") -> str:
    """An askable forbid."""
    condition = f" when {{ {when} }}" if when else ""
    return (
        f'@id("{name}") {annotations} @reason("{name} says so")\n'
        f'forbid (principal, action in Toolward::Action::"call", resource == Toolward::Tool::"{tool}"){condition};\n'
    )


async def edit(world: World, files: Mapping[str, str]) -> None:
    """Change the ward's files and put them in force."""
    for name, text in files.items():
        path = world.house.ward.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    await world.house.desk.reload(person("olga"))


__all__ = ["Attempt"]
