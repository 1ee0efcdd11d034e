"""The first person of a fresh ward: somebody has to be able to approve before anybody was approved."""

from __future__ import annotations

import os
import pwd

import orjson

from toolward.bootstrap.assembly import House
from toolward.governance.desk import invoke
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.store import Table


def this_user() -> str:
    """The operating system's name of whoever runs this process."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


async def first_person(house: House) -> str:
    """The token of a new person credential for this user, or '' if the ward already has a person.

    Only for whoever holds the ward's lock, and with it every file of the ward: that is more than the
    credential gives.
    """
    for row in house.store.scan(Table.CREDENTIAL):
        if orjson.loads(row.body)["kind"] == CredentialKind.PERSON.value:
            return ""
    by = Principal(user=this_user(), agent="cli", credential="bootstrap", kind=CredentialKind.PERSON)
    made = await invoke(house.desk, "keys.create", {"kind": CredentialKind.PERSON.value}, by)
    return str(made["token"])
