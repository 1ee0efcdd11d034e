"""The terms of the open path for a found server: its binding, its manifests, what of its list is taken."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from toolward.errors import Rejected
from toolward.model.capability import Capabilities, IsolationLevel
from toolward.model.egress import Refusal
from toolward.model.found import FoundServer, Source
from toolward.model.label import Integrity, Label
from toolward.model.server import FOUND_PREFIX, ServerBinding
from toolward.model.tool import SEPARATOR, BindingKind, CallScope, Manifest, OutputRule
from toolward.rules.canonical import canonical
from toolward.rules.egress.destination import upstream_grant
from toolward.rules.manifest_defaults import derive_manifest

TOOLS_MAX: Final = 200
"""Of one found server; public servers of use have some dozens."""
DEFINITION_BYTES_MAX: Final = 32 * 1024
"""One tool; what is longer was not written to be read."""
TIMEOUT_MS: Final = 30_000
OUTPUT_BYTES: Final = 1024 * 1024
START_MS: Final = 30_000
_SLUG: Final = re.compile(r"[^a-z0-9]+")
_TOOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def server_id(source: str, name: str) -> str:
    """The id of a found server: nobody can choose one that another server has, whatever it is named."""
    mark = hashlib.sha256(f"{source}\0{name}".encode()).hexdigest()[:8]
    slug = _SLUG.sub("-", name.rpartition("/")[2].lower()).strip("-")[:15].strip("-") or "server"
    return f"{FOUND_PREFIX}{slug}-{mark}"


def binding_of(server: FoundServer, source: Source) -> ServerBinding:
    """How it is reached. Never with a root, a grant, an environment, a secret or a header.

    Raises `Rejected` for what can not run on the open path.
    """
    if server.unfit:
        raise Rejected(f"`{server.name}` can not run on the open path: {server.unfit}")
    if server.url:
        _check_url(server.url, source)
    return ServerBinding(
        server=server_id(source.name, server.name),
        kind=BindingKind.HTTP if server.url else BindingKind.STDIO,
        url=server.url,
        private_network=source.private_network and bool(server.url),
        package=server.package,
        command=server.command,
        arguments=server.arguments,
        capabilities=None if server.url else Capabilities(),
        found_by=source.name,
        timeout_ms=TIMEOUT_MS,
        start_timeout_ms=START_MS,
    )


def _check_url(url: str, source: Source) -> None:
    """A stranger's URL leads to the public network, over TLS, unless the source may name private ones."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise Rejected("its url is none") from error
    grant = upstream_grant(host, port, private_network=source.private_network)
    if isinstance(grant, Refusal):
        raise Rejected(f"its url can not be connected to: {grant.text}", remedy=grant.remedy)
    if grant.unsafe_private and not source.private_network:
        raise Rejected(
            "its url leads into your own network", remedy="declare the server yourself if it is meant"
        )
    if parts.scheme != "https" and not grant.unsafe_private:
        raise Rejected("its url is not encrypted")


def found_manifest(definition: Mapping[str, Any], binding: ServerBinding, source: Source) -> Manifest:
    """The manifest of a found tool: whatever it says of itself, its results are untrusted whole.

    Contained here it can carry nothing out; elsewhere it is assumed to.
    """
    remote = binding.kind is BindingKind.HTTP
    return replace(
        derive_manifest(definition),
        egress=remote,
        result=Label(Integrity.UNTRUSTED, source.confidentiality),
        timeout_ms=binding.timeout_ms,
        output_bytes_max=OUTPUT_BYTES,
        output=OutputRule(),
        capabilities=None if remote else Capabilities(),
        min_isolation=IsolationLevel.NONE if remote else IsolationLevel.NAMESPACES,
        min_scope=CallScope.REMOTE if remote else CallScope.SESSION,
    )


def fit(
    tools: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[tuple[str, str]]]:
    """What of a found server's list is taken, and what is not: (name, why), bounded."""
    taken: dict[str, Mapping[str, Any]] = {}
    refused: list[tuple[str, str]] = []
    for tool in tools:
        name = tool.get("name")
        if not isinstance(name, str) or not _TOOL.fullmatch(name) or SEPARATOR in name:
            shown = str(name)[:64].encode("ascii", "replace").decode()
            refused.append((shown, "its name is not one of letters, digits, `.`, `-` and single `_`"))
        elif name in taken:
            refused.append((name, "it is listed twice"))
        elif len(taken) >= TOOLS_MAX:
            refused.append(("", f"more than {TOOLS_MAX} tools"))
            break
        elif why := _unreadable(tool):
            refused.append((name, why))
        else:
            taken[name] = tool
    return list(taken.values()), refused[:TOOLS_MAX]


def _unreadable(tool: Mapping[str, Any]) -> str:
    try:
        size = len(canonical(tool))
    except Rejected as no:
        return no.reason.text
    return f"its definition has more than {DEFINITION_BYTES_MAX} bytes" if size > DEFINITION_BYTES_MAX else ""
