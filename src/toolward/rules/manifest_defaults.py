"""What is assumed of a tool of which nobody said anything, derived from its definition alone.

A server's word may only make things stricter or tell reads from writes, and the second is shown to the
person who confirms it (`effect_source: hint`). Arguments that say who, where, which or how much are
`authority`; only plain prose is `content`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, Effect, Manifest

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_CONTENT: Final = frozenset(
    {
        *("text", "body", "content", "contents", "message", "description", "comment", "summary", "title"),
        *("subject", "note", "notes", "markdown", "html", "thought", "prompt", "caption", "data"),
        *("observation", "observations", "insight", "reason", "explanation"),
    }
)
_URL: Final = frozenset(
    {"url", "uri", "link", "href", "endpoint", "webhook", "host", "hostname", "domain", "website", "webpage"}
)
_ADDRESS: Final = frozenset(
    {
        *("to", "cc", "bcc", "recipient", "recipients", "email", "emails", "mail", "address"),
        *("account", "iban", "channel", "phone", "assignee"),
    }
)
_PATH: Final = frozenset(
    {
        *("path", "paths", "file", "files", "filename", "filepath", "directory", "dir", "folder", "cwd"),
        *("source", "destination"),
    }
)
_ASK_FORMATS: Final = {"uri": ArgumentKind.URL, "iri": ArgumentKind.URL, "email": ArgumentKind.ADDRESS}


def derive_manifest(definition: Mapping[str, Any]) -> Manifest:
    """The manifest for a definition that neither the ward nor the catalogue knows.

    `readOnlyHint: true` gives `read_only` with source `hint`; everything else is `irreversible` with source
    `default`, whatever else the server says of itself. Egress is assumed unless a read-only server says
    `openWorldHint: false` and no argument is a destination.
    """
    hints = definition.get("annotations")
    hints = hints if isinstance(hints, Mapping) else {}
    arguments = derive_arguments(definition)
    reads = hints.get("readOnlyHint") is True
    places = any(a.kind in (ArgumentKind.URL, ArgumentKind.ADDRESS) for a in arguments.values())
    return Manifest(
        effect=Effect.READ_ONLY if reads else Effect.IRREVERSIBLE,
        effect_source="hint" if reads else "default",
        egress=not (reads and hints.get("openWorldHint") is False and not places),
        arguments=arguments,
    )


def complete_manifest(manifest: Manifest, definition: Mapping[str, Any]) -> Manifest:
    """`manifest` with the default role and kind for every argument that it does not name."""
    arguments = {**derive_arguments(definition), **manifest.arguments}
    return manifest if arguments == manifest.arguments else replace(manifest, arguments=arguments)


def derive_arguments(definition: Mapping[str, Any]) -> dict[str, Argument]:
    """Role and kind for each top-level property of the input schema."""
    schema = definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return {}
    found = {str(name): _argument(str(name), below) for name, below in sorted(properties.items())}
    return {name: _on_route(name, each, found) for name, each in found.items()}


def _argument(name: str, schema: Any) -> Argument:
    words = [word.lower() for word in _WORD.findall(name)]
    kind = _kind(words, schema)
    prose = bool(words) and words[-1] in _CONTENT and kind is ArgumentKind.VALUE
    if prose and _may_be_text(schema):
        return Argument(role=ArgumentRole.CONTENT)
    return Argument(role=ArgumentRole.AUTHORITY, kind=kind)


def _on_route(name: str, argument: Argument, beside: Mapping[str, Argument]) -> Argument:
    """`travel_to` beside `travel_from` is the end of a way or a span, and nobody's address."""
    words = _WORD.findall(name)
    if argument.kind is not ArgumentKind.ADDRESS or len(words) == 1 or words[-1].lower() != "to":
        return argument
    begins = [*(word.lower() for word in words[:-1]), "from"]
    if any([word.lower() for word in _WORD.findall(other)] == begins for other in beside):
        return replace(argument, kind=ArgumentKind.VALUE)
    return argument


def kind_of(name: str) -> ArgumentKind:
    """What a value of that name denotes, where no schema says more."""
    return _kind([word.lower() for word in _WORD.findall(name)], None)


def _kind(words: list[str], schema: Any) -> ArgumentKind:
    stated = _format(schema)
    if stated in _ASK_FORMATS:
        return _ASK_FORMATS[stated]
    last = words[-1] if words else ""
    if not _may_be_text(schema):
        return ArgumentKind.VALUE
    if last in _URL or last.removesuffix("s") in _URL or (words and words[0] in ("url", "urls", "uri")):
        return ArgumentKind.URL
    if last in _ADDRESS:
        return ArgumentKind.ADDRESS
    if last in _PATH:
        return ArgumentKind.PATH
    return ArgumentKind.VALUE


def _format(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return ""
    for candidate in (schema, *(schema.get("anyOf") or ()), schema.get("items")):
        if isinstance(candidate, Mapping) and isinstance(candidate.get("format"), str):
            return str(candidate["format"])
    return ""


def _may_be_text(schema: Any) -> bool:
    """Whether a value of that schema can be or hold text; an unknown schema can."""
    if not isinstance(schema, Mapping):
        return True
    kinds = schema.get("type")
    if isinstance(kinds, str):
        kinds = [kinds]
    if isinstance(kinds, list):
        return any(kind in ("string", "array", "object") for kind in kinds)
    options = schema.get("anyOf") or schema.get("oneOf")
    return any(_may_be_text(option) for option in options) if isinstance(options, list) else True
