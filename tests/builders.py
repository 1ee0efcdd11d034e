"""Nouns for tests, with defaults that make a plain permitted call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.errors import Denied
from toolward.model.call import Action, Call, Era, Facts, Intent, LabelledCall, ResolvedCall
from toolward.model.label import CLEAN
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import Effect, Manifest, Path, ToolState, ToolVersion

ALICE = Principal(user="alice", agent="scripted", credential="key-1", kind=CredentialKind.API_KEY)
INTENT = Intent(call_id="call-1", log_index=1, merged=False)
FACTS = Facts(
    effect="read_only",
    writes=False,
    egress=False,
    approved=True,
    path=Path.OPEN,
    inside_roots=True,
    known_destination=True,
    proven=True,
    assumed=True,
    confidential_argument=False,
    tainted=False,
    read_confidential=False,
)


def a_session(session_id: str = "session-1") -> Session:
    return Session(
        session_id=session_id, principal=ALICE, origin=SessionOrigin.HANDLE, opened_ns=0, last_used_ns=0
    )


def a_version(
    server: str = "srv", name: str = "echo", definition: Mapping[str, Any] | None = None, **manifest: Any
) -> ToolVersion:
    body = orjson.dumps(definition or {"name": name, "inputSchema": {"type": "object"}})
    return ToolVersion(
        server=server,
        name=name,
        definition=body,
        definition_digest="sha256:d",
        binding="stdio x",
        manifest=Manifest(effect=Effect.READ_ONLY, **manifest),
        digest=f"sha256:{server}/{name}/{len(body)}",
    )


def a_permit(
    server: str = "srv",
    name: str = "echo",
    arguments: Mapping[str, Any] | None = None,
    *,
    session_id: str = "session-1",
    action: Action = Action.CALL_TOOL,
    meta: Mapping[str, Any] | None = None,
    arguments_json: bytes | None = None,
    retry: Mapping[str, Any] | None = None,
    version: ToolVersion | None = None,
    **manifest: Any,
) -> Permit:
    """A permit as `authorize` would mint it; `manifest` sets e.g. `timeout_ms`, `output_bytes_max`."""
    arguments = arguments or {}
    if version is None and action is Action.CALL_TOOL:
        version = a_version(server, name, **manifest)
    call = Call(
        call_id="call-1",
        action=action,
        session=a_session(session_id),
        target=name,
        server=server,
        arguments_json=arguments_json if arguments_json is not None else orjson.dumps(arguments),
        arguments=arguments,
        args_digest="hmac-sha256:0",
        meta=meta or {},
        retry=retry or {},
    )
    resolved = ResolvedCall(call=call, server=server, name=name, version=version, state=ToolState.APPROVED)
    return Permit(
        permit_id="permit-1",
        labelled=LabelledCall(resolved=resolved, leaves=(), arguments_label=CLEAN, facts=FACTS),
        args_digest=call.args_digest,
        version_digest=version.digest if version else "",
        policy_digest="",
        policies=(),
    )


class FakeExchange:
    """A caller that remembers what it was told."""

    def __init__(self, era: Era = Era.HANDSHAKE, capabilities: Mapping[str, Any] | None = None) -> None:
        self.era = era
        self.capabilities = capabilities or {}
        self.patience_s = 0.0
        self.held: list[str] = []
        self.heard: list[tuple[str, Mapping[str, Any]]] = []

    async def waits(self, approval: str, reason: str) -> None:
        self.held.append(approval)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        self.heard.append((method, params))

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Denied("nobody can be asked here")
