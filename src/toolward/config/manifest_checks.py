"""Manifests beside what their servers list: names that nobody has would leave a default standing, unseen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from toolward.config.convert import suggest
from toolward.config.finder import Finder
from toolward.config.shape import ManifestFile
from toolward.config.yamltext import Node
from toolward.errors import WardError


def check_names_against(
    manifest: ManifestFile, root: Node, definitions: Mapping[str, Mapping[str, Any]], *, file: str
) -> list[WardError]:
    """Warnings: tools and arguments that the server does not list. `definitions` are the server's, by tool.

    Of a server of which no tool is known yet, nothing is said.
    """
    finder = Finder(root, file)
    for tool, entry in manifest.tools.items() if definitions else ():
        if tool not in definitions:
            finder.say(
                ("tools", tool),
                f"`{manifest.server}` lists no tool `{tool}`, so nothing here is used",
                did_you_mean(tool, definitions),
            )
            continue
        known = arguments_of(definitions[tool])
        for name in entry.arguments if known is not None else ():
            if name not in (known or ()):
                finder.say(
                    ("tools", tool, "arguments", name),
                    f"`{tool}` has no argument `{name}`",
                    did_you_mean(name, known or ()),
                )
    return finder.found


def arguments_of(definition: Mapping[str, Any] | None) -> frozenset[str] | None:
    """The names of a tool's arguments; None if it takes others too, or is not known."""
    schema = definition.get("inputSchema") if definition is not None else None
    if not isinstance(schema, Mapping) or schema.get("additionalProperties"):
        return None
    properties = schema.get("properties")
    return frozenset(properties) if isinstance(properties, Mapping) else frozenset()


def did_you_mean(name: str, known: Collection[str]) -> str:
    """A remedy."""
    near = suggest(name, known)
    return f"did you mean `{near}`?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
