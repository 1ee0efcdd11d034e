"""The text of a ward's files: plain YAML that `read_yaml` reads back unchanged. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from toolward.config.shape import (
    ArgumentConfig,
    CapabilitiesConfig,
    ConfidentialityName,
    EffectSource,
    IntegrityName,
    LabelConfig,
    ManifestFile,
    ServerConfig,
    ToolEntry,
)
from toolward.config.undoing import from_undo
from toolward.config.yamltext import is_plain_text
from toolward.model.label import Label
from toolward.model.tool import ArgumentKind, Manifest, Metadata

LINE_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class NetworkNeeds:
    """What a server has to reach: `destinations` are granted, `more` is for the operator to add."""

    destinations: tuple[str, ...] = ()
    more: str = ""

    def __bool__(self) -> bool:
        return bool(self.destinations or self.more)


_WORD = r"[A-Za-z0-9_./@+~=<>${}^*-]+"
_PLAIN = re.compile(rf"(?=[A-Za-z_/~$<]){_WORD}(?::{_WORD})*(?: [A-Za-z0-9_./@+=-]+)*\Z")
_SPECIAL = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def emit(value: Any, *, indent: int = 0) -> list[str]:
    """Lines of a mapping, sequence or scalar; small ones on one line."""
    pad = "  " * indent
    if isinstance(value, Mapping) and value:
        lines: list[str] = []
        for key, below in value.items():
            lines += _entry(f"{pad}{scalar(key)}:", below, indent)
        return lines
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        lines = []
        for below in value:
            flat = _flat(below)
            lines.append(f"{pad}- {flat}")
        return lines
    return [pad + _flat(value)]


def _entry(head: str, value: Any, indent: int) -> list[str]:
    flat = _flat(value)
    holds_many = isinstance(value, Mapping) and any(_is_many(below) for below in value.values())
    if not _is_many(value) or (len(head) + len(flat) < LINE_MAX and not holds_many):
        return [f"{head} {flat}"]
    return [head, *emit(value, indent=indent + 1)]


def _is_many(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple)) and bool(value)


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_inline(k)}: {_flat(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flat(item) for item in value) + "]"
    return _inline(value)


def _inline(value: Any) -> str:
    """A scalar, quoted also where only flow style needs it."""
    text = scalar(value)
    if isinstance(value, str) and not text.startswith('"') and re.search(r"[{}]", text):
        return _quoted(value)
    return text


def scalar(value: Any) -> str:
    """One scalar as YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return json.dumps(value)
    text = str(value)
    return text if _PLAIN.match(text) and is_plain_text(text) else _quoted(text)


def _quoted(text: str) -> str:
    return _SPECIAL.sub(lambda m: f"\\u{ord(m.group()):04x}", json.dumps(text, ensure_ascii=False))


def manifest_text(
    server: str,
    tools: Mapping[str, Manifest],
    *,
    metadata: Metadata,
    timeout_ms: int,
    purposes: Mapping[str, str] | None = None,
    network: NetworkNeeds = NetworkNeeds(),
) -> str:
    """`tools/<server>.yaml` for manifests as they are in force; reading it gives the same manifests.

    `timeout_ms` is the server's own, which entries need not repeat.
    """
    file = ManifestFile(
        server=server,
        owner=metadata.owner,
        purpose=metadata.purpose,
        review_by=metadata.review_by,
        capabilities=CapabilitiesConfig(network=network.destinations) if network.destinations else None,
    )
    head = {"server": server, **msgspec.to_builtins(file)}
    lines = [
        "# yaml-language-server: $schema=../.toolward/schema/manifest.schema.json",
        "# What these tools do. It is part of each version's digest: a change here has to be approved.",
        "# effect: read_only | idempotent_write | reversible | compensable | irreversible",
        "# egress: may carry data out of your reach",
        "# arguments: role authority (who, where, which) | content; kind value | path | url | address",
        "# result: {integrity: trusted | untrusted, confidentiality: public | internal | confidential};",
        "#   what is not said is untrusted and internal",
    ]
    lines += emit(head)
    lines += _network_lines(network)
    lines.append("tools:" if tools else "tools: {}")
    for name, manifest in tools.items():
        entry = entry_of(manifest, timeout_ms=timeout_ms, purpose=(purposes or {}).get(name, ""))
        lines += ["", *emit({name: _entry_json(entry)}, indent=1)]
    return "\n".join(lines) + "\n"


def _network_lines(network: NetworkNeeds) -> list[str]:
    """What nobody but the operator can know, ready to be filled in."""
    if not network.more:
        return []
    shown = ", ".join(f'"{each}"' for each in (*network.destinations, "HOST:443"))
    return [
        f"# It needs more of the network than that: {network.more}."
        if network.destinations
        else f"# Its cage has no network, and it needs some: {network.more}.",
        "# capabilities:",
        f"#   network: [{shown}]",
    ]


def _entry_json(entry: ToolEntry) -> dict[str, Any]:
    """Egress and roles are always said, since they are what reviewers look for."""
    said: dict[str, Any] = msgspec.to_builtins(entry)
    said.pop("egress", None)
    if entry.arguments:
        said["arguments"] = {
            name: {
                "role": a.role.value,
                **({"kind": a.kind.value} if a.kind is not ArgumentKind.VALUE else {}),
            }
            for name, a in entry.arguments.items()
        }
    return {"effect": said.pop("effect"), "egress": entry.egress, **said}


def entry_of(manifest: Manifest, *, timeout_ms: int, purpose: str = "") -> ToolEntry:
    """A manifest as an entry of `tools/<server>.yaml`; `ward.to_manifest` is the inverse."""
    return ToolEntry(
        effect=manifest.effect,
        source=EffectSource(manifest.effect_source),
        egress=manifest.egress,
        arguments={name: ArgumentConfig(role=a.role, kind=a.kind) for name, a in manifest.arguments.items()},
        result=_label(manifest.result) if manifest.result else None,
        result_fields={pointer: _label(label) for pointer, label in manifest.result_fields.items()},
        clearance=ConfidentialityName(manifest.clearance.name.lower()),
        timeout_ms=manifest.timeout_ms if manifest.timeout_ms != timeout_ms else None,
        output_bytes_max=manifest.output_bytes_max,
        undo=from_undo(manifest.undo) if manifest.undo is not None else None,
        purpose=purpose,
    )


def _label(label: Label) -> LabelConfig:
    """What the model merely assumed is not written down as trusted."""
    trusted = label.integrity.name.lower() == IntegrityName.TRUSTED.value
    return LabelConfig(
        integrity=IntegrityName.TRUSTED if trusted else IntegrityName.UNTRUSTED,
        confidentiality=ConfidentialityName(label.confidentiality.name.lower()),
    )


def server_json(server: ServerConfig) -> dict[str, Any]:
    """A server as it stands in `toolward.yaml`: only what differs from the defaults."""
    said: dict[str, Any] = msgspec.to_builtins(server)
    return said
