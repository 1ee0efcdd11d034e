"""Tool versions, facts and labelled calls for policy tests: small, complete, with everything overridable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from toolward.model.call import Action, Call, Facts, LabelledCall, ResolvedCall
from toolward.model.label import CLEAN
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import Effect, Manifest, Path, ToolState, ToolVersion


def tool(
    name: str,
    properties: Mapping[str, Any] | None = None,
    *,
    server: str = "files",
    effect: Effect = Effect.READ_ONLY,
    required: tuple[str, ...] = (),
    egress: bool = False,
    schema: Any = None,
) -> ToolVersion:
    if schema is None:
        schema = {"type": "object", "properties": dict(properties or {}), "required": list(required)}
    definition = orjson.dumps({"name": name, "inputSchema": schema}, option=orjson.OPT_SORT_KEYS)
    return ToolVersion(
        server=server,
        name=name,
        definition=definition,
        definition_digest="sha256:d",
        binding="stdio x",
        manifest=Manifest(effect=effect, egress=egress),
        digest=f"sha256:{hashlib.sha256(definition).hexdigest()}",
    )


FACTS = Facts(
    effect="read_only",
    writes=False,
    egress=False,
    approved=True,
    path=Path.OPEN,
    inside_roots=False,
    outside_roots=False,
    known_destination=True,
    proven=False,
    assumed=True,
    confidential_argument=False,
    tainted=False,
    read_confidential=False,
)


def principal(user: str = "ann", agent: str = "coder", roles: tuple[str, ...] = ("staff",)) -> Principal:
    return Principal(user=user, agent=agent, roles=roles, credential="key-1", kind=CredentialKind.API_KEY)


def labelled(
    version: ToolVersion | None,
    arguments: Mapping[str, Any] | None = None,
    *,
    who: Principal | None = None,
    action: Action = Action.CALL_TOOL,
    server: str = "files",
    **facts: Any,
) -> LabelledCall:
    arguments = arguments or {}
    session = Session(
        session_id="s1", principal=who or principal(), origin=SessionOrigin.STDIO, opened_ns=0, last_used_ns=0
    )
    call = Call(
        call_id="c1",
        action=action,
        session=session,
        target=version.name if version else "",
        server=server,
        arguments_json=json.dumps(
            arguments, separators=(",", ":"), sort_keys=True, ensure_ascii=False
        ).encode(),
        arguments=arguments,
        args_digest="hmac-sha256:0",
    )
    known: dict[str, Any] = {}
    if version is not None:
        effect = version.manifest.effect
        known = {
            "effect": effect.value,
            "writes": effect is not Effect.READ_ONLY,
            "egress": version.manifest.egress,
        }
    resolved = ResolvedCall(
        call=call,
        server=version.server if version else server,
        name=version.name if version else "",
        version=version,
        state=ToolState.APPROVED if version else None,
    )
    return LabelledCall(
        resolved=resolved, leaves=(), arguments_label=CLEAN, facts=replace(FACTS, **{**known, **facts})
    )
