"""What a ward grants, looked up on this machine: a cage takes no link and nothing that is not there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolward.config.capabilities import absolute
from toolward.config.convert import to_struct
from toolward.config.finder import Finder
from toolward.config.reading import CONFIG_FILE
from toolward.config.shape import CapabilitiesConfig, ManifestFile, PathEntry
from toolward.config.ward import Ward
from toolward.config.yamltext import read_yaml
from toolward.errors import WardError

Place = tuple[str | int, ...]


def check_places(ward: Ward) -> list[WardError]:
    """Every root, working directory and granted path with which a server or a call would be refused."""
    found = _of_servers(ward)
    for name in ward.files:
        if name.startswith("tools/"):
            found += _of_manifest(ward, name)
    return found


def _of_servers(ward: Ward) -> list[WardError]:
    root, _ = read_yaml(ward.files[CONFIG_FILE], file=CONFIG_FILE)
    if root is None:
        return []
    finder = Finder(root, CONFIG_FILE)
    for name, server in ward.config.servers.items():
        if server.url or server.unsafe_no_sandbox or server.functions or server.commands:
            continue
        here = ("servers", name)
        for index, text in enumerate(server.roots):
            _look(finder, (*here, "roots", index), text, ward.path)
        if server.cwd and not Path(absolute(server.cwd, ward.path)).is_dir():
            finder.say((*here, "cwd"), f"there is no directory `{server.cwd}`", "make it, or name another")
    return finder.found


def _of_manifest(ward: Ward, file: str) -> list[WardError]:
    root, _ = read_yaml(ward.files[file], file=file)
    manifest, _ = to_struct(root, ManifestFile, file=file)
    if root is None or manifest is None:
        return []
    finder = Finder(root, file)
    server = ward.config.servers.get(manifest.server)
    if server is not None and server.unsafe_no_sandbox:
        return []
    said: list[tuple[Place, CapabilitiesConfig | None]] = [(("capabilities",), manifest.capabilities)]
    said += [(("tools", tool, "capabilities"), entry.capabilities) for tool, entry in manifest.tools.items()]
    for here, capabilities in said:
        for key, index, text in _granted(capabilities):
            _look(finder, (*here, key, index), text, ward.path)
    return finder.found


def _granted(capabilities: CapabilitiesConfig | None) -> Iterator[tuple[str, int, str]]:
    """Key, index and path; of a path that an argument gives, the root that holds it."""
    if capabilities is None:
        return
    lists: Sequence[tuple[str, Sequence[str | PathEntry]]] = (
        ("read", capabilities.read),
        ("write", capabilities.write),
    )
    for key, paths in lists:
        for index, path in enumerate(paths):
            yield key, index, path.root if isinstance(path, PathEntry) else path


def _look(finder: Finder, place: Place, text: str, ward: Path) -> None:
    said = absolute(text, ward)
    path = os.path.normpath(said)
    if ".." in Path(said).parts:
        finder.say(place, f"`{text}` leads through `..`, which no cage follows", f"write `{path}`")
    elif not os.path.lexists(path):
        finder.say(place, f"`{text}` does not exist, so nothing starts with it", "make it, or take it out")
    elif (real := os.path.realpath(path)) != path:
        finder.say(
            place, f"`{text}` is a link or leads through one, which no cage follows", f"write `{real}`"
        )
