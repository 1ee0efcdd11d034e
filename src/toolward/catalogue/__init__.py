"""Ready manifests for well-known servers, matched by the digest of the definition that a server lists.

`servers/*.yaml` is written by people; `digests.json` by `python -m toolward.lab.catalogue_refresh` from the
servers themselves. A match says: this is word for word the definition that somebody here read the code of.
It does not prove that the process behind it runs that code; the pinned package does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final

import msgspec

from toolward.config.clients.runners import KnownPackage
from toolward.config.convert import to_struct
from toolward.config.meaning import to_manifest
from toolward.config.render import NetworkNeeds
from toolward.config.section import Section
from toolward.config.shape import EffectSource, ToolEntry
from toolward.config.yamltext import read_yaml
from toolward.errors import InvariantBroken, Rejected
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind, Manifest, Metadata
from toolward.rules.manifest_defaults import complete_manifest, derive_manifest
from toolward.rules.undo_templates import can_be_kept
from toolward.rules.version import definition_digest

ManifestOf = Callable[[str, Mapping[str, Any]], Manifest]
"""(server, definition) -> manifest."""
_VARIES: Final = "<varies>"


class CatalogueFile(Section, frozen=True):
    """`catalogue/servers/<name>.yaml`."""

    name: str
    purpose: str
    package: Annotated[str, msgspec.Meta(pattern=r"^(pypi:.+==|npm:.+@)[0-9]")]
    constraints: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()  # with which the server can be started to list its tools
    env: dict[str, str] = msgspec.field(default_factory=dict)
    network: tuple[str, ...] = ()  # destinations that its tools need whatever they are asked
    network_more: str = ""  # in words: those that depend on what it is used for
    varies: tuple[str, ...] = ()  # patterns in descriptions that depend on the configuration
    tools: dict[str, ToolEntry] = msgspec.field(default_factory=dict)

    @property
    def package_name(self) -> str:
        """The package without its version."""
        return bare_package(self.package)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What the catalogue knows about a definition."""

    manifest: Manifest
    metadata: Metadata
    provenance: str  # for the person who confirms
    package: str  # "pypi:name" or "npm:name", without version


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Manifests by definition digest."""

    servers: Mapping[str, CatalogueFile]  # file stem -> content
    digests: Mapping[str, tuple[str, str]]  # digest -> (file stem, tool)

    def match(self, digest: str) -> tuple[Manifest, str] | None:
        """Manifest and provenance text for `sha256:<hex>` of a whole definition, or None."""
        found = self._by_digest(digest)
        return (found.manifest, found.provenance) if found else None

    def match_definition(self, definition: Mapping[str, Any], *, binding: ServerBinding) -> Match | None:
        """The match for what the server behind `binding` lists, or None.

        A remote server, or a package of another name, that lists a known definition is not the known
        server, so it is not matched. A bare command is, and the provenance says that it proves nothing.
        """
        try:
            found = self._by_digest(definition_digest(definition)) or self._by_varying(definition)
        except Rejected:
            return None
        if found is None or binding.kind is not BindingKind.STDIO:
            return None
        if binding.package and bare_package(binding.package) != found.package:
            return None
        if binding.package:
            return found
        return replace(
            found, provenance=f"{found.provenance}; started by a command, so its origin is unproven"
        )

    def network_of(self, package: str) -> NetworkNeeds:
        """What that package needs to reach; nothing is said of one that is not known here."""
        name = bare_package(package) if package else ""
        known = next((file for file in self.servers.values() if name and file.package_name == name), None)
        return NetworkNeeds(known.network, known.network_more) if known else NetworkNeeds()

    def packages(self) -> dict[str, KnownPackage]:
        """Known packages by name (`pypi:name`, `npm:name`), as an import wants them."""
        return {
            file.package_name: KnownPackage(
                version=re.split("==|@", file.package)[-1], constraints=file.constraints
            )
            for file in self.servers.values()
        }

    def _by_digest(self, digest: str) -> Match | None:
        known = self.digests.get(digest)
        if known is None:
            return None
        file = self.servers[known[0]]
        entry = file.tools.get(known[1])
        if entry is None:
            return None
        manifest = to_manifest(entry, timeout_ms=60_000)
        return Match(
            manifest=replace(manifest, effect_source=EffectSource.CATALOGUE.value),
            metadata=Metadata(purpose=entry.purpose or file.purpose),
            provenance=f"catalogue: {file.name}",
            package=file.package_name,
        )

    def _by_varying(self, definition: Mapping[str, Any]) -> Match | None:
        for file in self.servers.values():
            if file.varies:
                found = self._by_digest(definition_digest(without_varying(definition, file.varies)))
                if found is not None and found.package == file.package_name:
                    return found
        return None


def load_catalogue() -> Catalogue:
    """The catalogue that ships with toolward; parsed once. Raises `InvariantBroken` if its data is bad."""
    return _load()


@cache
def _load() -> Catalogue:
    here = files(__package__)
    servers: dict[str, CatalogueFile] = {}
    for item in sorted(here.joinpath("servers").iterdir(), key=lambda i: i.name):
        if item.name.endswith(".yaml"):
            servers[item.name.removesuffix(".yaml")] = read_server(item.read_bytes(), file=item.name)
    raw = json.loads(here.joinpath("digests.json").read_text(encoding="utf-8"))
    digests = {
        digest: (stem, tool)
        for stem, tools in raw.items()
        for tool, known in tools.items()
        for digest in known
    }
    return Catalogue(servers=servers, digests=digests)


def read_server(data: bytes, *, file: str) -> CatalogueFile:
    """One file of the catalogue. Raises `InvariantBroken`: it ships with the program."""
    root, found = read_yaml(data, file=file)
    value, more = to_struct(root, CatalogueFile, file=file)
    if value is None or found or more:
        raise InvariantBroken("; ".join(error.diagnostics() for error in (*found, *more)))
    return value


def resolve_manifest(
    definition: Mapping[str, Any],
    *,
    binding: ServerBinding,
    stated: Mapping[str, tuple[Manifest, Metadata]],
    catalogue: Catalogue,
) -> tuple[Manifest, str]:
    """The manifest in force for a definition and where it was read.

    The ward's own file wins, then the catalogue, then the server's hints and the schema's argument names.
    Arguments that the winner does not name get their default role and kind. `stated` is `Ward.manifests`.
    """
    own = stated.get(f"{binding.server}/{definition.get('name', '')}")
    if own is not None:
        return complete_manifest(own[0], definition), f"tools/{binding.server}.yaml"
    found = catalogue.match_definition(definition, binding=binding)
    if found is not None:
        manifest = replace(found.manifest, timeout_ms=binding.timeout_ms)
        if manifest.undo is not None and not can_be_kept(manifest.undo, binding, manifest):
            manifest = replace(manifest, undo=None)  # nothing is promised that could not be kept here
        return complete_manifest(manifest, definition), found.provenance
    derived = replace(derive_manifest(definition), timeout_ms=binding.timeout_ms)
    says = "the server's own hint" if derived.effect_source == "hint" else "nobody said; the worst is assumed"
    return derived, says


def manifest_of(
    bindings: Mapping[str, ServerBinding], stated: Mapping[str, tuple[Manifest, Metadata]]
) -> ManifestOf:
    """`resolve_manifest` in the form that the registry asks for."""
    catalogue = load_catalogue()

    def answer(server: str, definition: Mapping[str, Any]) -> Manifest:
        return resolve_manifest(definition, binding=bindings[server], stated=stated, catalogue=catalogue)[0]

    return answer


def without_varying(definition: Mapping[str, Any], varies: tuple[str, ...]) -> dict[str, Any]:
    """The definition with the parts of its description that depend on the configuration left out."""
    text = definition.get("description")
    out = dict(definition)
    if isinstance(text, str):
        for pattern in varies:
            text = re.sub(pattern, _VARIES, text)
        out["description"] = text
    return out


def bare_package(package: str) -> str:
    """`pypi:name==1` -> `pypi:name`, normalised as PEP 503 has it; `npm:@s/name@1` -> `npm:@s/name`."""
    kind, _, rest = package.partition(":")
    if kind == "pypi":
        name = re.split(r"[\[=<>!~; ]", rest, maxsplit=1)[0]
        return "pypi:" + re.sub(r"[-_.]+", "-", name).lower()
    head, at, _ = rest.rpartition("@")
    return f"{kind}:{head if at and head else rest}"
