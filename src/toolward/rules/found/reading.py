"""Descriptions of servers as strangers write them, read so that nothing in them can do harm.

The shapes are those of the MCP registry's API (`ServerList`, `server.json`; OpenAPI of 2025-12-01, and the
earlier one without the `server` envelope) and of clients' `mcpServers`. Whatever is not of that shape is
refused by itself, with its name and why; the rest is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from toolward.errors import Rejected
from toolward.model.found import FoundServer
from toolward.rules.canonical import parse_strict

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""One page of a registry, or one file; the largest page of the public registry has some 200 KiB."""
NAME_MAX: Final = 200
DESCRIPTION_MAX: Final = 500
"""Characters that are kept; the registry's own limit is 100."""
ARGUMENTS_MAX: Final = 32
TEXT_MAX: Final = 1_000
CURSOR_MAX: Final = 1_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/-]*")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_PYPI: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NPM: Final = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_REGISTRY_META: Final = "io.modelcontextprotocol.registry/official"


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what it describes, what was refused as (name, why), and where to go on ("" at the end)."""

    servers: tuple[FoundServer, ...]
    refused: tuple[tuple[str, str], ...]
    cursor: str = ""


def read_page(body: bytes, *, source: str) -> Page:
    """A page of `GET /v0/servers`. Raises `Rejected` for what is no such page."""
    value = parse_strict(body, bytes_max=PAGE_BYTES_MAX)
    items = value.get("servers") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise Rejected("the answer has no list of servers")
    metadata = value.get("metadata")
    cursor = metadata.get("nextCursor") if isinstance(metadata, dict) else None
    if cursor is not None and (not isinstance(cursor, str) or len(cursor) > CURSOR_MAX):
        raise Rejected("the answer's cursor is no text of bounded length")
    return _page(_latest(items), source=source, cursor=cursor or "")


def read_file(body: bytes, *, source: str) -> Page:
    """A `server.json`, or a client's file with `mcpServers`. Raises `Rejected` for anything else."""
    value = parse_strict(body, bytes_max=PAGE_BYTES_MAX)
    if isinstance(value, dict) and isinstance(value.get("mcpServers"), dict):
        return _page(((name, entry, True) for name, entry in value["mcpServers"].items()), source=source)
    if isinstance(value, dict) and "name" in value:
        return _page([(value["name"], value, False)], source=source)
    raise Rejected("neither a `server.json` nor a file with `mcpServers`")


def read_proposal(proposal: Mapping[str, Any], *, source: str) -> FoundServer:
    """What an agent proposes: `name`, one of `url` and `package`, `reason`. Raises `Rejected`."""
    name = _name(proposal.get("name"))
    said = {"name": name, "description": proposal.get("reason", "")}
    url, package = proposal.get("url", ""), proposal.get("package", "")
    if bool(url) == bool(package):
        raise Rejected("give exactly one of `url` and `package`")
    if url:
        said["remotes"] = [{"type": "streamable-http", "url": url}]
    else:
        registry, _, rest = str(package).partition(":")
        identifier, _, version = rest.replace("==", "@").rpartition("@")
        item = {"registryType": registry, "identifier": identifier, "version": version}
        said["packages"] = [{**item, "transport": {"type": "stdio"}}]
    server = _server_json(name, said, source)
    if server.unfit:
        raise Rejected(server.unfit)
    return server


def _latest(items: list[Any]) -> Iterator[tuple[Any, Any, bool]]:
    """(name, description, whether a client's entry) of what is not deleted and the newest of its name."""
    for item in items:
        if not isinstance(item, dict):
            yield "", item, False
            continue
        inner = item.get("server")
        said = inner if isinstance(inner, dict) else item
        meta = item.get("_meta")
        official = meta.get(_REGISTRY_META) if isinstance(meta, dict) else None
        official = official if isinstance(official, dict) else {}
        status = official.get("status", said.get("status", "active"))
        if status == "deleted" or official.get("isLatest") is False:
            continue
        yield said.get("name"), said, False


def _page(entries: Any, *, source: str, cursor: str = "") -> Page:
    servers: list[FoundServer] = []
    refused: list[tuple[str, str]] = []
    for said_name, entry, of_client in entries:
        try:
            name = _name(said_name)
            if not isinstance(entry, dict):
                raise Rejected("not an object")  # noqa: TRY301 -- told of like what the readers below say
            servers.append((_client_entry if of_client else _server_json)(name, entry, source))
        except Rejected as no:
            refused.append((_shown(said_name), no.reason.text))
    return Page(tuple(servers), tuple(refused), cursor)


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > NAME_MAX or not _NAME.fullmatch(value):
        raise Rejected(f"its name is no text of at most {NAME_MAX} letters, digits and `._@/-`")
    return value


def _shown(value: Any) -> str:
    """A name as it can stand in a record."""
    text = value if isinstance(value, str) else type(value).__name__
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:NAME_MAX])


def _words(value: Any, characters_max: int = DESCRIPTION_MAX) -> str:
    text = value if isinstance(value, str) else ""
    return " ".join(text.split())[:characters_max]


def _server_json(name: str, said: Mapping[str, Any], source: str) -> FoundServer:
    """The first way in which it can run here, else the first remote one, else why there is none."""
    base = FoundServer(
        source=source,
        name=name,
        description=_words(said.get("description")),
        version=_words(said.get("version"), 100),
    )
    why: list[str] = []
    for package in _objects(said.get("packages")):
        try:
            return replace(base, package=_package(package), arguments=_arguments(package))
        except Rejected as no:
            why.append(no.reason.text)
    for remote in _objects(said.get("remotes")):
        try:
            return replace(base, url=_remote(remote))
        except Rejected as no:
            why.append(no.reason.text)
    return replace(base, unfit="; ".join(dict.fromkeys(why))[:TEXT_MAX] or "it names no way to run it")


def _client_entry(name: str, entry: Mapping[str, Any], source: str) -> FoundServer:
    """An entry of `mcpServers`; what it would get as environment or headers is never taken over."""
    if entry.get("env") or entry.get("headers"):
        return FoundServer(source=source, name=name, unfit="it needs an environment or headers of its own")
    if isinstance(entry.get("url"), str):
        kind = entry.get("type", "http")
        said = {"type": "streamable-http" if kind == "http" else kind, "url": entry["url"]}
        try:
            return FoundServer(source=source, name=name, url=_remote(said))
        except Rejected as no:
            return FoundServer(source=source, name=name, unfit=no.reason.text)
    command, arguments = entry.get("command"), entry.get("args", [])
    if not isinstance(command, str) or not command or not _texts(arguments):
        raise Rejected("it has neither a `url` nor a `command` with `args`")
    return FoundServer(source=source, name=name, command=(command, *arguments))


def _package(package: Mapping[str, Any]) -> str:
    """`pypi:NAME==VERSION` or `npm:NAME@VERSION`. Raises `Rejected` where it can not be run here."""
    kind, identifier, version = (package.get(key) for key in ("registryType", "identifier", "version"))
    transport = package.get("transport")
    if not isinstance(transport, dict) or transport.get("type") != "stdio":
        raise Rejected("its package does not speak over stdio")
    if kind not in ("pypi", "npm"):
        raise Rejected(f"packages of `{_shown(kind)}` are not run here")
    pattern, between = (_PYPI, "==") if kind == "pypi" else (_NPM, "@")
    if not isinstance(identifier, str) or len(identifier) > NAME_MAX or not pattern.fullmatch(identifier):
        raise Rejected("its package has no name of that registry")
    if not isinstance(version, str) or len(version) > NAME_MAX or not _VERSION.fullmatch(version):
        raise Rejected("its package names no exact version")
    for variable in _objects(package.get("environmentVariables")):
        if variable.get("isRequired") or variable.get("isSecret"):
            raise Rejected(f"it needs `{_shown(variable.get('name'))}`, and no environment is given here")
    return f"{kind}:{identifier}{between}{version}"


def _arguments(package: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments that are fixed by the description. Raises `Rejected` where somebody has to choose one."""
    if package.get("runtimeArguments"):
        raise Rejected("it wants arguments for its runtime")
    found: list[str] = []
    for item in _objects(package.get("packageArguments")):
        value = item.get("value", item.get("default"))
        if value is None and not item.get("isRequired"):
            continue
        if not isinstance(value, str) or "{" in value or not isinstance(item.get("name", ""), str):
            raise Rejected("it needs arguments that somebody has to choose")
        found += [str(item["name"]), value] if item.get("type") == "named" and "name" in item else [value]
    if not _texts(found):
        raise Rejected(f"it wants more than {ARGUMENTS_MAX} arguments, or longer ones than {TEXT_MAX}")
    return tuple(found)


def _remote(remote: Mapping[str, Any]) -> str:
    """Its URL; where that leads is judged when it is connected to. Raises `Rejected`."""
    url = remote.get("url")
    if remote.get("type") != "streamable-http":
        raise Rejected("it is not reached by streamable http")
    if not isinstance(url, str) or len(url) > TEXT_MAX or not url.isascii() or not url.isprintable():
        raise Rejected("its url is no text of bounded length")
    if not url.startswith(("https://", "http://")) or any(each in url for each in "{ @"):
        raise Rejected("its url has to be filled in, or holds a credential")
    for header in _objects(remote.get("headers")):
        if header.get("isRequired") or header.get("isSecret"):
            raise Rejected(f"it needs the header `{_shown(header.get('name'))}`, and no secret is given here")
    return url


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= ARGUMENTS_MAX
        and all(isinstance(each, str) and len(each) <= TEXT_MAX and "\0" not in each for each in value)
    )
