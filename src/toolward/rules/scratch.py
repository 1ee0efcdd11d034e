"""A server as it would be in a scratch copy of its roots, and arguments to try a tool with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from toolward.model.capability import Capabilities
from toolward.model.server import ServerBinding
from toolward.model.tool import ArgumentKind, Manifest

DEPTH_MAX: Final = 6
Moves = Mapping[str, str]
"""Root -> its scratch copy."""


def moved(text: str, moves: Moves) -> str:
    """`text` with a path in one of the roots, also after `=`, as the path in its copy."""
    head, equals, value = text.rpartition("=")
    for root in sorted(moves, key=len, reverse=True):
        if value == root or value.startswith(root.rstrip("/") + "/"):
            return head + equals + moves[root] + value[len(root.rstrip("/")) :]
    return text


def moved_value(value: Any, moves: Moves) -> Any:
    """The same in every text of a JSON value."""
    if isinstance(value, str):
        return moved(value, moves)
    if isinstance(value, Mapping):
        return {name: moved_value(item, moves) for name, item in value.items()}
    if isinstance(value, list):
        return [moved_value(item, moves) for item in value]
    return value


def moved_binding(binding: ServerBinding, moves: Moves) -> ServerBinding:
    """The server, started on the copies."""
    return replace(
        binding,
        command=tuple(moved(each, moves) for each in binding.command),
        arguments=tuple(moved(each, moves) for each in binding.arguments),
        env={name: moved(text, moves) for name, text in binding.env.items()},
        cwd=moved(binding.cwd, moves),
        roots=tuple(moved(each, moves) for each in binding.roots),
        capabilities=_moved(binding.capabilities, moves),
    )


def moved_manifest(manifest: Manifest, moves: Moves) -> Manifest:
    """What the operator says of a tool, of the copies."""
    undo = manifest.undo
    if undo is not None and undo.snapshot is not None:
        paths = tuple(moved(each, moves) for each in undo.snapshot.paths)
        undo = replace(undo, snapshot=replace(undo.snapshot, paths=paths))
    return replace(manifest, capabilities=_moved(manifest.capabilities, moves), undo=undo)


def _moved(capabilities: Capabilities | None, moves: Moves) -> Capabilities | None:
    if capabilities is None:
        return None
    paths = tuple(
        replace(path, template=moved(path.template, moves), root=moved(path.root, moves))
        for path in capabilities.paths
    )
    return replace(capabilities, paths=paths)


def sample_arguments(definition: Mapping[str, Any], manifest: Manifest, root: str) -> dict[str, Any]:
    """Arguments that fit the schema, as far as types tell; paths name a new file in `root`."""
    schema = definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    required = schema.get("required") if isinstance(schema, Mapping) else None
    out: dict[str, Any] = {}
    for name in required if isinstance(required, list) else ():
        below = properties.get(name) if isinstance(properties, Mapping) else None
        argument = manifest.arguments.get(name)
        if argument is not None and argument.kind is ArgumentKind.PATH:
            path = f"{root}/toolward-prove"
            out[name] = [path] if _type(below) == "array" else path
        else:
            out[name] = _sample(below, DEPTH_MAX)
    return out


def _type(schema: Any) -> str:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return str(kind[0] if isinstance(kind, list) and kind else kind)


def _sample(schema: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth == 0:
        return "sample"
    for stated in ("const", "default"):
        if stated in schema:
            return schema[stated]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    match _type(schema):
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "array":
            return [_sample(schema.get("items"), depth - 1)]
        case "object":
            inner = schema.get("properties") or {}
            return {name: _sample(inner.get(name), depth - 1) for name in schema.get("required") or ()}
        case _:
            return "sample"
