"""Tool versions: content-addressed over definition, binding and the security part of the manifest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from toolward.model.capability import IsolationLevel
from toolward.model.label import Confidentiality, Label
from toolward.model.tool import (
    Argument,
    ArgumentKind,
    ArgumentRole,
    CallScope,
    Effect,
    Manifest,
    OutputRule,
    Repair,
    ToolVersion,
)
from toolward.rules.canonical import canonical
from toolward.rules.capability import capabilities_from_json
from toolward.rules.undo import undo_from_json


def definition_digest(definition: Mapping[str, Any]) -> str:
    """`sha256:<hex>` over the canonical JSON of a definition exactly as the server listed it."""
    return "sha256:" + hashlib.sha256(canonical(definition)).hexdigest()


def make_version(
    server: str, definition: Mapping[str, Any], *, binding: str, manifest: Manifest
) -> ToolVersion:
    """The version for a definition. Raises `Rejected` if the definition is no canonical JSON."""
    body = canonical(definition)
    digest = hashlib.sha256(
        canonical(
            {
                "server": server,  # one program may be two servers, with other secrets and another cage
                "definition": body.decode(),
                "binding": binding,
                "manifest": manifest.as_json(),
            }
        )
    ).hexdigest()
    return ToolVersion(
        server=server,
        name=str(definition.get("name", "")),
        definition=body,
        definition_digest="sha256:" + hashlib.sha256(body).hexdigest(),
        binding=binding,
        manifest=manifest,
        digest="sha256:" + digest,
    )


def version_to_json(version: ToolVersion) -> dict[str, Any]:
    """As stored; `version_from_json` is the inverse."""
    return {
        "server": version.server,
        "name": version.name,
        "definition": version.definition.decode(),
        "binding": version.binding,
        "manifest": version.manifest.as_json(),
    }


def version_from_json(value: Mapping[str, Any]) -> ToolVersion:
    """Rebuild a version; its digests are computed again, never believed."""
    return make_version(
        value["server"],
        orjson.loads(value["definition"]),
        binding=value["binding"],
        manifest=manifest_from_json(value["manifest"]),
    )


def manifest_from_json(value: Mapping[str, Any]) -> Manifest:
    """The inverse of `Manifest.as_json`. Raises `KeyError` or `ValueError` for anything unknown."""
    result = value["result"]
    base = Manifest(
        effect=Effect(value["effect"]),
        effect_source=value["effect_source"],
        egress=value["egress"],
        timeout_ms=value["timeout_ms"],
        output_bytes_max=value["output_bytes_max"],
    )
    return replace(
        base,
        arguments={
            name: Argument(role=ArgumentRole(item["role"]), kind=ArgumentKind(item["kind"]))
            for name, item in value["arguments"].items()
        },
        result=Label.from_json(result) if result else None,
        clearance=Confidentiality[value.get("clearance", "internal").upper()],
        result_fields={name: Label.from_json(item) for name, item in value["result_fields"].items()},
        capabilities=capabilities_from_json(value["capabilities"]) if value["capabilities"] else None,
        min_isolation=IsolationLevel(value["min_isolation"]),
        min_scope=CallScope(value["min_scope"]),
        undo=undo_from_json(value["undo"]) if "undo" in value else None,
        output=_output(value["output"]) if "output" in value else None,
    )


def _output(value: Mapping[str, Any]) -> OutputRule:
    return OutputRule(repair=tuple(Repair(each) for each in value["repair"]))


def alike(first: ToolVersion, second: ToolVersion) -> bool:
    """Whether the same would run: definition and binding are equal, whatever the manifests say."""
    return first.definition == second.definition and first.binding == second.binding


def but_for_its_name(version: ToolVersion) -> bytes | None:
    """The definition without its names; None where nothing is left that would tell two tools apart."""
    definition = orjson.loads(version.definition)
    rest = {key: value for key, value in definition.items() if key not in ("name", "title")}
    return canonical(rest) if rest.get("description") else None


_LOCKED = re.compile(r"( sha256:[0-9a-f]{64})?( serverInfo \{.*\})?\Z")


def is_bound(version: ToolVersion, identity: str) -> bool:
    """Whether the version was listed by a server of that identity, whatever was installed for it then.

    And whatever it called itself.
    """
    same = version.binding == identity  # mostly; what follows costs every call of a server with variants
    return same or _LOCKED.sub("", version.binding) == _LOCKED.sub("", identity)


_ASPECTS = ("name", "title", "description", "annotations", "inputSchema", "outputSchema", "icons", "_meta")


def drifted_aspects(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Which members of the definition differ, known ones first; empty if none."""
    names = [name for name in _ASPECTS if name in old or name in new]
    names += sorted((set(old) | set(new)) - set(names))
    return tuple(
        name
        for name in names
        if (name in old) != (name in new) or canonical(old.get(name)) != canonical(new.get(name))
    )
