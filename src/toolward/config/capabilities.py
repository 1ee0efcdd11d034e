"""What a manifest's `capabilities` say, and what is wrong with them before there is a call."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from toolward.config.finder import Finder
from toolward.config.shape import (
    CapabilitiesConfig,
    GrantedPath,
    ManifestFile,
    PathEntry,
    ServerConfig,
    WardConfig,
)
from toolward.errors import ToolwardError
from toolward.model.capability import Capabilities, Kept, Limits, PathAccess, PathCapability
from toolward.model.server import IN_PROCESS_SERVER
from toolward.rules.capability import STATE_DIRECTORY, check_capabilities
from toolward.rules.egress.destination import parse_grant

Place = tuple[str | int, ...]
_LISTS: Final = ("read", "write", "network", "unsafe_private_network", "secrets")
_NOTHING: Final = CapabilitiesConfig()


def absolute(text: str, ward: Path) -> str:
    """A path of the ward's files: counted from the ward, `~` is the gateway's own home."""
    return str(ward.absolute() / Path(text).expanduser())


def to_capabilities(config: CapabilitiesConfig, ward: Path) -> Capabilities:
    """What is declared, with paths counted from the ward. Raises `ToolwardError` for an odd destination."""
    paths = [
        _path_capability(path, access, ward)
        for access, paths in ((PathAccess.READ, config.read), (PathAccess.WRITE, config.write))
        for path in paths
    ]
    private = [parse_grant(text, unsafe_private=True) for text in config.unsafe_private_network]
    return Capabilities(
        paths=tuple(paths),
        network=(*(parse_grant(text) for text in config.network), *private),
        secrets=config.secrets,
        environment=tuple(sorted(config.environment.items())),
        limits=Limits(**msgspec.structs.asdict(config.limits)),
    )


def _path_capability(path: GrantedPath, access: PathAccess, ward: Path) -> PathCapability:
    if isinstance(path, PathEntry):
        return PathCapability(access=access, template=path.template, root=absolute(path.root, ward))
    return PathCapability(access=access, template=absolute(path, ward))


def check_manifest_capabilities(
    manifest: ManifestFile, config: WardConfig | None, finder: Finder, *, ward: Path
) -> None:
    """All findings in the capabilities of a file and its tools."""
    server = config.servers.get(manifest.server) if config is not None else None
    per_call = server is None or bool(server.functions or server.commands or server.modules)
    if manifest.capabilities is not None:
        _check(manifest.capabilities, ("capabilities",), finder, ward)
        _check_of_modules(manifest.capabilities, ("capabilities",), finder, server)
        if not per_call:
            _check_of_process(manifest.capabilities, finder)
    for tool, entry in manifest.tools.items():
        here = ("tools", tool, "capabilities")
        if entry.capabilities is None:
            continue
        _check(entry.capabilities, here, finder, ward)
        _check_of_modules(entry.capabilities, here, finder, server)
        if not per_call or manifest.server == IN_PROCESS_SERVER:
            finder.say(
                here,
                f"`{tool}` has no cage of its own, so nothing would hold it to this",
                "declare them for the whole file: its process has one cage for all tools",
            )


def _check_of_process(capabilities: CapabilitiesConfig, finder: Finder) -> None:
    for key in ("read", "write"):
        for index, path in enumerate(getattr(capabilities, key)):
            if isinstance(path, PathEntry):
                finder.say(
                    ("capabilities", key, index),
                    "a server's process can not be scoped by call",
                    "grant a path; `functions`, `commands` and `modules` run per call and can be scoped so",
                )


def _check_of_modules(
    capabilities: CapabilitiesConfig, here: Place, finder: Finder, server: ServerConfig | None
) -> None:
    for key in ("network", "unsafe_private_network"):
        if server is not None and server.modules and getattr(capabilities, key):
            finder.say(
                (*here, key), "webassembly has no network", "remove it, or use `functions` or `commands`"
            )


def _check(config: CapabilitiesConfig, here: Place, finder: Finder, ward: Path) -> None:
    """Each part by itself, so that each finding has its line."""
    parts: list[tuple[Place, CapabilitiesConfig]] = [
        ((*here, key, index), msgspec.structs.replace(_NOTHING, **{key: (item,)}))
        for key in _LISTS
        for index, item in enumerate(getattr(config, key))
    ]
    parts += [
        ((*here, "environment", name), CapabilitiesConfig(environment={name: value}))
        for name, value in config.environment.items()
    ]
    kept = Kept(
        hidden=(str((ward / STATE_DIRECTORY).resolve()), str(ward.absolute() / STATE_DIRECTORY)),
        wards=(str(ward.resolve()),),
    )
    for place, part in parts:
        try:
            check_capabilities(to_capabilities(part, ward), kept=kept)
        except ToolwardError as no:
            finder.say(place, no.reason.text, no.reason.remedy)
        except RuntimeError:  # `~someone`, who is not known here
            finder.say(place, "there is no such home directory", "write an absolute path")
