"""Package runners in a client's configuration: `uvx`, `npx` and their kin, as a pinned package.

Only what is understood completely is turned into a package; a runner with a flag or a source that is not
known here stays the command it was, with a note that says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath, PureWindowsPath
from typing import Final

from toolward.config.checks import PACKAGE

ResolveVersion = Callable[[str, str], str]
"""(`pypi` or `npm`, a name that may carry a range such as `x>=2` or `x@^1`) -> a version, or ''."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPackage:
    """A package whose tools the catalogue describes, at the version that was read."""

    version: str
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a server is started: a pinned `package`, or `command` when there is none."""

    package: str = ""
    entry: str = ""
    constraints: tuple[str, ...] = ()
    command: str = ""
    arguments: tuple[str, ...] = ()
    note: str = ""


@dataclass(slots=True)
class _Request:
    """What a runner was asked for."""

    kind: str
    requirement: str = ""
    entry: str = ""
    extra: list[str] = field(default_factory=list)
    arguments: tuple[str, ...] = ()
    refused: str = ""  # why it stays a command


_PYPI = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9._,-]+\])?(?:(==|@)([^=<>!~;@ ]+)|([<>!~=][^;@]*))?\Z"
)
_NPM = re.compile(r"((?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*)(?:@(.+))?\Z")
_EXACT_NPM = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[A-Za-z0-9.-]+)?\Z")
_UV_SILENT: Final = frozenset(
    {"-q", "--quiet", "--isolated", "--refresh", "-n", "--no-cache", "-U", "--upgrade"}
)
_UV_VALUED: Final = frozenset({"--python", "-p"})
_NPX_SILENT: Final = frozenset(
    {"-y", "--yes", "-q", "--quiet", "--silent", "--prefer-offline", "--prefer-online"}
)


def recognise(
    command: str,
    arguments: Sequence[str],
    *,
    resolve_version: ResolveVersion | None,
    known: Mapping[str, KnownPackage],
) -> Launch:
    """The launch for a command line. `known` maps `pypi:name` and `npm:name` to what the catalogue knows.

    A version that the file states is kept; else the catalogue's is taken, else `resolve_version` is asked.
    """
    plain = Launch(command=command, arguments=tuple(arguments))
    request = _request(command, list(arguments), known)
    if request is None:
        return plain
    if request.refused:
        return _as_command(plain, request.refused)
    name, stated, wanted = _split(request)
    if not name:
        return _as_command(plain, "its source is not a package of the registry")
    bare = _bare(request.kind, name)
    ready = known.get(f"{request.kind}:{bare}")
    version, note = stated, ""
    if not version and ready is not None and wanted == name:
        version, note = ready.version, f"pinned to {ready.version}, the version that the catalogue describes"
    if not version and resolve_version is not None:
        version = resolve_version(request.kind, wanted)
        note = f"pinned to {version}, the newest now" if version else ""
    package = f"{request.kind}:{name}{'==' if request.kind == 'pypi' else '@'}{version}"
    if not version or not PACKAGE.match(package):
        return _as_command(plain, "its version is not known, so it is not pinned")
    constraints = tuple(request.extra) + (ready.constraints if ready is not None else ())
    return Launch(
        package=package,
        entry="" if _bare(request.kind, request.entry) == bare else request.entry,
        constraints=tuple(dict.fromkeys(constraints)),
        arguments=request.arguments,
        note=note,
    )


def _as_command(plain: Launch, why: str) -> Launch:
    note = f"stays the command `{PurePath(plain.command).name}`: {why}"
    return Launch(command=plain.command, arguments=plain.arguments, note=note)


def _request(command: str, arguments: list[str], known: Mapping[str, KnownPackage]) -> _Request | None:
    program = PureWindowsPath(command).name.lower()
    program = re.sub(r"\.(exe|cmd|bat|ps1)\Z", "", program)
    if program == "cmd" and [a.lower() for a in arguments[:1]] == ["/c"] and len(arguments) > 1:
        return _request(arguments[1], arguments[2:], known)  # how npx is written on Windows
    if program == "uvx":
        return _uvx(arguments)
    if program == "uv" and arguments[:2] == ["tool", "run"]:
        return _uvx(arguments[2:])
    if program == "pipx" and arguments[:1] == ["run"]:
        return _pipx(arguments[1:])
    if program == "npx":
        return _npx(arguments)
    if program == "npm" and arguments[:1] in (["exec"], ["x"]):
        return _npx(arguments[1:])
    if re.match(r"python[0-9.]*\Z|py\Z", program) and arguments[:1] == ["-m"] and len(arguments) > 1:
        # A module's name need not be its package's, so only packages that we know are taken.
        name = arguments[1].replace("_", "-")
        if f"pypi:{name}" in known:
            return _Request("pypi", requirement=name, arguments=tuple(arguments[2:]))
    return None


def _uvx(arguments: list[str]) -> _Request:
    request = _Request("pypi")
    source = ""
    while arguments and arguments[0].startswith("-"):
        flag, equals, value = arguments.pop(0).partition("=")
        if flag in _UV_SILENT:
            continue
        if flag not in ("--from", "--with", *_UV_VALUED) or not (equals or arguments):
            request.refused = f"the option `{flag}` is not understood here"
            return request
        value = value if equals else arguments.pop(0)
        if flag == "--from":
            source = value
        elif flag == "--with":
            request.extra.append(value)
    if not arguments:
        request.refused = "it names no package"
        return request
    first = arguments.pop(0)
    request.requirement, request.arguments = source or first, tuple(arguments)
    request.entry = first if source else ""
    return request


def _pipx(arguments: list[str]) -> _Request:
    request = _Request("pypi")
    source = ""
    while arguments and arguments[0].startswith("-"):
        flag = arguments.pop(0)
        if flag != "--spec" or not arguments:
            request.refused = f"the option `{flag}` is not understood here"
            return request
        source = arguments.pop(0)
    if not arguments:
        request.refused = "it names no package"
        return request
    first = arguments.pop(0)
    request.requirement, request.arguments = source or first, tuple(arguments)
    request.entry = first if source else ""
    return request


def _npx(arguments: list[str]) -> _Request:
    request = _Request("npm")
    source = ""
    while arguments and arguments[0].startswith("-"):
        flag, equals, value = arguments.pop(0).partition("=")
        if flag == "--":
            break
        if flag in _NPX_SILENT:
            continue
        if flag not in ("-p", "--package") or not (equals or arguments) or source:
            request.refused = f"the option `{flag}` is not understood here"
            return request
        source = value if equals else arguments.pop(0)
    if arguments[:1] == ["--"]:
        arguments.pop(0)
    if not arguments:
        request.refused = "it names no package"
        return request
    first = arguments.pop(0)
    request.requirement, request.arguments = source or first, tuple(arguments)
    request.entry = first if source else ""
    return request


def _split(request: _Request) -> tuple[str, str, str]:
    """(name with extras, exact version or '', requirement to ask for) or empty texts."""
    if request.kind == "npm":
        match = _NPM.match(request.requirement)
        if match is None or ":" in request.requirement:
            return "", "", ""
        name, version = match.group(1), match.group(2) or ""
        if _EXACT_NPM.match(version):
            return name, version, name
        return name, "", name if version in ("", "latest") else request.requirement
    match = _PYPI.match(request.requirement)
    if match is None:
        return "", "", ""
    name = match.group(1) + (match.group(2) or "")
    if match.group(4) and match.group(4) != "latest":
        return name, match.group(4), name
    return name, "", name + (match.group(5) or "")


def _bare(kind: str, name: str) -> str:
    """As the catalogue writes it: without extras, normalised as PEP 503 has it."""
    if kind == "npm":
        return name
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()
