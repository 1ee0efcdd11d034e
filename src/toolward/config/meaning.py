"""What the files of a ward mean: servers as bindings, entries as manifests. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolward.config.capabilities import absolute, to_capabilities
from toolward.config.limits import UPSTREAM_TIMEOUT_MS
from toolward.config.per_call import to_commands, to_modules
from toolward.config.shape import LabelConfig, ManifestFile, ServerConfig, ToolEntry, WardConfig
from toolward.config.undoing import to_undo
from toolward.model.capability import Capabilities, IsolationLevel
from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.server import ServerBinding
from toolward.model.tool import Argument, BindingKind, Manifest, Metadata, OutputRule, Risk

EVERY: Final = ManifestFile(server="any")
"""A file that says nothing of its tools' cages, as the catalogue's do not."""
NO_CODE: Final[Mapping[str, bytes]] = {}


def binding(
    name: str,
    server: ServerConfig,
    ward: Path,
    *,
    capabilities: Capabilities | None = None,
    source: str = "",
    modules: Mapping[str, bytes] = NO_CODE,
) -> ServerBinding:
    """How the server is reached; relative paths count from the ward.

    `source` is its functions' text, `modules` the content of files by the name that the ward gives them.
    """
    return ServerBinding(
        server=name,
        kind=_kind(server),
        command=(server.command, *server.arguments) if server.command else (),
        package=server.package,
        entry=server.entry,
        constraints=server.constraints,
        arguments=() if server.command else server.arguments,
        env=dict(server.env),
        cwd=absolute(server.cwd, ward) if server.cwd else "",
        functions=server.functions,
        source=source,
        requirements=server.requirements,
        commands=to_commands(server.commands),
        modules=to_modules(server.modules, modules),
        url=server.url,
        headers=dict(server.headers),
        private_network=server.private_network,
        capabilities=capabilities,
        unsafe_no_sandbox=server.unsafe_no_sandbox,
        stateless=server.stateless,
        accepts=tuple(item.value for item in server.accepts),
        roots=tuple(absolute(root, ward) for root in server.roots),
        destinations=server.destinations,
        start_timeout_ms=server.start_timeout_ms,
        timeout_ms=server.timeout_ms,
        definitions_max_age_s=server.definitions_max_age_s,
    )


def _kind(server: ServerConfig) -> BindingKind:
    if server.functions:
        return BindingKind.FUNCTIONS
    if server.commands:
        return BindingKind.COMMANDS
    if server.modules:
        return BindingKind.MODULES
    return BindingKind.HTTP if server.url else BindingKind.STDIO


def timeout_ms(config: WardConfig, server: str) -> int:
    """The server's limit for one call; functions of this process have no entry and take the default."""
    entry = config.servers.get(server)
    return entry.timeout_ms if entry is not None else UPSTREAM_TIMEOUT_MS


def to_manifest(
    entry: ToolEntry, file: ManifestFile = EVERY, *, ward: Path = Path("/"), timeout_ms: int
) -> Manifest:
    """The security part of an entry; what it leaves out of the cage, its file says for all."""
    capabilities = entry.capabilities or file.capabilities
    return Manifest(
        effect=entry.effect,
        effect_source=entry.source.value,
        egress=entry.egress,
        arguments={name: Argument(role=a.role, kind=a.kind) for name, a in entry.arguments.items()},
        result=_label(entry.result) if entry.result else None,
        result_fields=_field_labels(entry, file),
        clearance=Confidentiality[entry.clearance.name],
        timeout_ms=entry.timeout_ms or timeout_ms,
        output_bytes_max=entry.output_bytes_max,
        capabilities=to_capabilities(capabilities, ward) if capabilities is not None else None,
        min_isolation=IsolationLevel((entry.min_isolation or file.min_isolation).value),
        min_scope=entry.min_scope or file.min_scope,
        output=OutputRule(repair=entry.output.repair) if entry.output is not None else None,
        undo=to_undo(entry.undo) if entry.undo is not None else None,
    )


def _field_labels(entry: ToolEntry, file: ManifestFile) -> dict[str, Label]:
    """What is said of single places first, then the names that are trusted wherever they stand."""
    said = {pointer: _label(item) for pointer, item in entry.result_fields.items()}
    readers = entry.result.confidentiality if entry.result else LabelConfig().confidentiality
    trusted = Label(Integrity.TRUSTED, Confidentiality[readers.name])
    for name in (*entry.trusted_fields, *file.trusted_fields):
        said.setdefault(f"/**/{name}", trusted)
    return said


def _label(config: LabelConfig) -> Label:
    return Label(Integrity[config.integrity.name], Confidentiality[config.confidentiality.name])


def metadata(entry: ToolEntry, file: ManifestFile) -> Metadata:
    """Who answers for a tool: its entry, else its file."""
    return Metadata(
        owner=entry.owner or file.owner,
        purpose=entry.purpose or file.purpose,
        review_by=entry.review_by or file.review_by,
        data_classes=entry.data_classes,
        risk=entry.risk if entry.risk is not Risk.UNRATED else file.risk,
        slo=entry.slo,
        cost=entry.cost,
    )
