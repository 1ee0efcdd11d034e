"""From nodes to Structs, with every finding and its line rather than the first one without."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from toolward.config.yamltext import Node
from toolward.errors import WardError

T = TypeVar("T", bound=msgspec.Struct)


def to_struct(node: Node | None, kind: type[T], *, file: str) -> tuple[T | None, list[WardError]]:
    """`node` as a `kind`, or None and all findings. An empty file counts as an empty mapping."""
    found: list[WardError] = []
    root = node if node is not None and not _is_null(node) else Node(1, entries={})
    _check(root, kind, "", found, file)
    return (None, found) if found else (msgspec.convert(root.plain(), kind, strict=True), [])


def suggest(word: str, known: Iterable[str]) -> str:
    """The known word that was most likely meant, or ''."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else ""


def _check(node: Node, kind: Any, path: str, found: list[WardError], file: str) -> None:
    inner = _choose(node, kind)
    origin = get_origin(inner)
    before = len(found)
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        _check_struct(node, inner, path, found, file)
    elif origin in (dict, Mapping) and node.entries is not None:
        key_kind, value_kind = get_args(inner)
        for key, below in node.entries.items():
            _leaf(key, key_kind, f"{path}.{key}".lstrip("."), found, (file, below.line))
            _check(below, value_kind, f"{path}.{key}".lstrip("."), found, file)
    elif origin in (tuple, list) and node.items is not None:
        for index, below in enumerate(node.items):
            _check(below, get_args(inner)[0], f"{path}[{index}]", found, file)
    if len(found) == before:  # scalars, and what a container as a whole must fulfil
        _leaf(node.plain(), kind, path, found, (file, node.line))


def _check_struct(
    node: Node, kind: type[msgspec.Struct], path: str, found: list[WardError], file: str
) -> None:
    where = f"`{path}`" if path else "the file"
    if node.entries is None:
        found.append(
            WardError(f"{where} must be a mapping", file=file, line=node.line, remedy="write `key: value`")
        )
        return
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
    for key, below in node.entries.items():
        if key in fields:
            _check(below, fields[key].type, f"{path}.{key}".lstrip("."), found, file)
            continue
        near = suggest(key, fields)
        remedy = f"did you mean `{near}`?" if near else f"known here: {', '.join(sorted(fields))}"
        found.append(WardError(f"unknown key `{key}` in {where}", file=file, line=below.line, remedy=remedy))
    for name, info in fields.items():
        if info.required and name not in node.entries:
            found.append(
                WardError(f"{where} lacks `{name}`", file=file, line=node.line, remedy=f"add `{name}: …`")
            )


def _choose(node: Node, kind: Any) -> Any:
    """The member of a union that the node's shape asks for, without its annotations."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    members = [_choose(node, member) for member in get_args(kind)]
    if node.entries is not None:
        wanted = [m for m in members if get_origin(m) in (dict, Mapping) or _is_struct(m)]
    elif node.items is not None:
        wanted = [m for m in members if get_origin(m) in (tuple, list)]
    else:
        wanted = []
    return wanted[0] if wanted else kind


def _leaf(value: Any, kind: Any, path: str, found: list[WardError], place: tuple[str, int]) -> None:
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        text, remedy = _words(str(error)), ""
        options = re.match(r"invalid enum value `?'?(.*?)'?`?\Z", text, re.IGNORECASE)
        if options:
            names = _enum_names(kind)
            near = suggest(str(value), names)
            remedy = (f"did you mean `{near}`? " if near else "") + f"known: {', '.join(names)}"
        found.append(WardError(f"`{path}`: {text}", file=place[0], line=place[1], remedy=remedy))


def _enum_names(kind: Any) -> list[str]:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        return [name for member in get_args(kind) for name in _enum_names(member)]
    return [str(item.value) for item in kind] if hasattr(kind, "__members__") else []


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_null(node: Node) -> bool:
    return node.entries is None and node.items is None and node.value is None


def _words(text: str) -> str:
    """A library's message in the form that ours have."""
    text = re.sub(r" - at `[^`]*`\Z", "", text)
    text = re.sub(r"str matching regex '(.*)'", r"text that matches `\1`", text)
    names = {
        "object": "mapping",
        "array": "list",
        "str": "text",
        "int": "whole number",
        "bool": "true or false",
    }
    for old, new in names.items():
        text = text.replace(f"`{old}`", f"`{new}`")
    return text[:1].lower() + text[1:]
