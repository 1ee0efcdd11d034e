"""From what is declared, and one call's arguments, to what this call is granted. Text only: no disk.

Links, mounts and races are the sandbox's, which resolves every grant again with the kernel's help.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from toolward.errors import BadArguments, Denied, ReasonCode
from toolward.model.capability import (
    Capabilities,
    Kept,
    Limits,
    PathAccess,
    PathCapability,
    PathGrant,
    Scope,
)
from toolward.model.egress import Grant
from toolward.rules.egress.destination import parse_grant

PATHS_MAX: Final = 64
"""Grants of one call: each is a mount, and a call that touches more wants their directory."""
PATH_BYTES_MAX: Final = 4_096
"""What the kernel takes."""
STATE_DIRECTORY: Final = ".toolward"
"""Where a ward keeps its keys and its log: never a tool's."""

NOTHING_KEPT: Final = Kept()
_NEVER: Final = ("/proc", "/sys", "/dev", "/run", "/var/run", "/boot")
"""The kernel's own trees, and the sockets of the machine's services."""
_NEVER_WRITTEN: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc")
"""What every program on the machine runs from."""
_PLACEHOLDER: Final = re.compile(r"\{(arg|dir):([^{}:/]+)\}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOADER: Final = ("LD_", "PYTHON", "NODE_OPTIONS", "BASH_ENV", "ENV")


def scope_of(capabilities: Capabilities, arguments: Mapping[str, Any], *, kept: Kept = NOTHING_KEPT) -> Scope:
    """The scope of one call.

    Raises `Denied` when the operator's declaration can not be granted, `BadArguments` when an argument is
    missing or leads out of its root.
    """
    grants: dict[str, PathGrant] = {}
    for capability in capabilities.paths:
        for grant in _grants(capability, arguments):
            _check_grantable(grant, kept)
            for own in (*kept.hidden, *(kept.wards if grant.access is PathAccess.WRITE else ())):
                if _inside(own, grant.path):
                    grants[own] = PathGrant(own, PathAccess.HIDE, own)
            known = grants.get(grant.path)
            if known is None or grant.access is PathAccess.WRITE:
                grants[grant.path] = grant
    _check_count(grants.values())
    _check_environment(_variables(capabilities))
    return Scope(
        paths=tuple(sorted(grants.values())),
        network=tuple(sorted(set(capabilities.network))),
        secrets=tuple(sorted(set(capabilities.secrets))),
        environment=tuple(sorted(capabilities.environment)),
        limits=capabilities.limits,
    )


def capabilities_from_json(value: Mapping[str, Any]) -> Capabilities:
    """The inverse of `Capabilities.as_json`. Raises `KeyError` or `ValueError` for anything unknown."""
    return Capabilities(
        paths=tuple(
            PathCapability(access=PathAccess(path["access"]), template=path["template"], root=path["root"])
            for path in value["paths"]
        ),
        network=tuple(_grant_of(text) for text in value["network"]),
        secrets=tuple(value["secrets"]),
        environment=tuple(sorted(value["environment"].items())),
        limits=Limits(**value["limits"]),
    )


def _grant_of(text: str) -> Grant:
    destination, _, private = text.partition(" ")
    return parse_grant(destination, unsafe_private=bool(private))


def check_capabilities(capabilities: Capabilities, *, kept: Kept = NOTHING_KEPT) -> None:
    """Raise `Denied` for a declaration that no call could be granted, before there is a call."""
    for capability in capabilities.paths:
        if _PLACEHOLDER.fullmatch(capability.template):
            root = _root(capability)
            _check_grantable(PathGrant(root, capability.access, root), kept)
        else:
            for grant in _grants(capability, {}):
                _check_grantable(grant, kept)
    _check_environment(_variables(capabilities))


# --- paths -------------------------------------------------------------------------------------------


def _grants(capability: PathCapability, arguments: Mapping[str, Any]) -> list[PathGrant]:
    match = _PLACEHOLDER.fullmatch(capability.template)
    if match is None:
        path = _plain(capability.template)
        if path is None or "{" in path:
            raise _refused(
                capability.template,
                "is not an absolute path without `..`",
                "write a path, `{arg:NAME}` or `{dir:NAME}`",
            )
        root = _root(capability) if capability.root else path
        if not _inside(path, root):
            raise _refused(path, f"is not in its root `{root}`", "declare it under that root")
        return [PathGrant(path, capability.access, root)]
    kind, name = match.groups()
    root = _root(capability)
    return [
        PathGrant(_resolved(text, name=name, kind=kind, root=root), capability.access, root)
        for text in _texts(arguments, name)
    ]


def _root(capability: PathCapability) -> str:
    root = _plain(capability.root)
    if root is None:
        raise _refused(
            capability.root or capability.template,
            "has no absolute root" if not capability.root else "is not an absolute path without `..`",
            "give the capability a `root`: an absolute path",
        )
    return root


def _texts(arguments: Mapping[str, Any], name: str) -> list[str]:
    value = arguments.get(name)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) for each in values):
        raise BadArguments(
            f"the argument `{name}` decides which path the tool may touch, and it is not a path",
            code=ReasonCode.PATH_REFUSED,
            remedy=f"send `{name}` as an absolute path",
        )
    return [str(each) for each in values]


def _resolved(text: str, *, name: str, kind: str, root: str) -> str:
    path = _plain(text)
    if path is None:
        raise BadArguments(
            f"the path in `{name}` is not absolute, or holds `..` or a control character",
            code=ReasonCode.PATH_REFUSED,
            remedy=f"send an absolute path inside `{root}`",
        )
    granted = posixpath.dirname(path) if kind == "dir" else path
    if not _inside(granted, root):
        raise BadArguments(
            f"the path in `{name}` is outside `{root}`",
            code=ReasonCode.PATH_REFUSED,
            remedy=f"send a path inside `{root}`",
        )
    return granted


def _plain(text: str) -> str | None:
    """`text` without doubled or trailing slashes, or None if it is not one plain absolute path."""
    if not text.startswith("/") or len(text.encode("utf-8", "surrogatepass")) > PATH_BYTES_MAX:
        return None
    if any(ord(char) < ord(" ") or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text):
        return None
    parts = [part for part in text.split("/") if part]
    if any(part in {".", ".."} for part in parts):
        return None
    return "/" + "/".join(parts)


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _check_grantable(grant: PathGrant, kept: Kept) -> None:
    path = grant.path
    if path == "/":
        raise _refused(path, "is the whole machine", "grant the directory that the tool needs")
    if any(_inside(path, never) for never in _NEVER):
        raise _refused(path, "belongs to the kernel or the machine's services", "grant something else")
    if grant.access is PathAccess.WRITE and any(_inside(path, never) for never in _NEVER_WRITTEN):
        raise _refused(path, "is what every program runs from", "grant it as `read`")
    if any(_inside(never, path) for never in (*_NEVER, *_NEVER_WRITTEN) if grant.access is PathAccess.WRITE):
        raise _refused(path, "holds what every program runs from", "grant a directory inside it")
    if STATE_DIRECTORY in path.split("/"):
        raise _refused(path, "is the state of a ward: its keys and its log", "no tool may touch it")
    for own in kept.hidden:
        if _inside(path, own):
            raise _refused(path, f"lies in `{own}`, which is a gateway's own", "grant something else")
    if grant.access is PathAccess.WRITE:
        _check_written(path, kept)


def _check_written(path: str, kept: Kept) -> None:
    """What is hidden must lie directly in the grant: who may rename what is above it uncovers it."""
    for ward in kept.wards:
        if _inside(path, ward):
            raise _refused(
                path, f"lies in the ward `{ward}`, whose files decide", "grant a directory outside"
            )
    held = [own for own in (*kept.wards, *kept.hidden) if _inside(own, path)]
    covered = [own for own in held if posixpath.dirname(own) == path]
    for own in held:
        if not any(_inside(own, each) for each in covered):
            raise _refused(
                path,
                f"holds `{own}`, which is a gateway's own, deeper inside",
                "grant a directory beside it, or the one directly above it",
            )


def _check_count(grants: Collection[PathGrant]) -> None:
    named = sum(grant.access is not PathAccess.HIDE for grant in grants)
    if named > PATHS_MAX:
        raise BadArguments(
            f"the call names {named} paths and the limit is {PATHS_MAX}",
            code=ReasonCode.PATH_REFUSED,
            remedy="name fewer in one call",
        )
    if len(grants) > PATHS_MAX:
        raise Denied(
            f"the grants hold {len(grants) - named} places to hide, and {PATHS_MAX} paths are the limit",
            code=ReasonCode.GRANT_REFUSED,
            remedy="grant directories that hold fewer wards",
        )


def _refused(path: str, why: str, remedy: str) -> Denied:
    return Denied(f"`{path}` can not be granted: it {why}", code=ReasonCode.GRANT_REFUSED, remedy=remedy)


# --- the rest ----------------------------------------------------------------------------------------


def _variables(capabilities: Capabilities) -> list[tuple[str, str]]:
    """A secret is a variable of its own name, which takes no other's place."""
    return [*capabilities.environment, *((name, "") for name in capabilities.secrets)]


def _check_environment(environment: Sequence[tuple[str, str]]) -> None:
    for name, value in environment:
        if not _VARIABLE.fullmatch(name) or "\x00" in value:
            raise _refused(name, "is not a name and a text for an environment", "use letters, digits and _")
        if name.upper().startswith(_LOADER):
            raise _refused(
                name, "changes which code a program loads", "put the code where the program looks for it"
            )
