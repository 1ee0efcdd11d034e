"""From a tool's JSON Schema to the types that its arguments have in policies.

A type is a claim that is checked again on every value at run time: a value that does not fit makes the
decision an error, hence a denial. So a schema that lies, or keywords that this reader does not weigh
(`if`, `not`, `dependentSchemas`), can cost a call but never slip a value past a rule.

What has no honest Cedar type is *left out*: a rule about it does not validate, so it can't be written and
silently pass. Left out are: unions of different types, arrays of anything but scalars, recursion, records
deeper than `RECORD_DEPTH_MAX`, references that are not local, and schemas that say nothing of the type.
JSON `number` is Cedar `decimal` (four fraction digits); see `cedar_request` for numbers that don't fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field

RECORD_DEPTH_MAX: Final = 4
"""Records inside records; deeper members are left out."""
FIELDS_MAX: Final = 512
"""Members of one tool's arguments, all depths together; a hostile schema can't make the policy set huge."""
NODES_MAX: Final = 5_000
"""Schema objects read for one tool; bounds what references to references can cost."""
NESTING_MAX: Final = 100
"""Schemas inside schemas, references included."""
RESERVED_KEYS: Final = frozenset({"__entity", "__extn", "__expr"})
"""Keys that the policy engine's JSON gives a meaning of their own."""

SCALARS: Final = {"string": "String", "integer": "Long", "boolean": "Bool", "number": "decimal"}


class Scalar(Struct, frozen=True):
    """`String`, `Long`, `Bool` or `decimal`."""

    name: str


class SetOf(Struct, frozen=True):
    """A Cedar set: order and repetition of the array are lost."""

    element: Scalar


class Member(Struct, frozen=True):
    """One attribute of a record. A nullable member is never required: null is dropped."""

    name: str
    type: ArgumentType
    required: bool
    nullable: bool


class Record(Struct, frozen=True):
    """A record with the members that could be typed."""

    members: tuple[Member, ...]


ArgumentType = Scalar | SetOf | Record


class ArgumentPlan(Struct, frozen=True):
    """The typed arguments of one tool, and what was left out: (JSON pointer, why)."""

    record: Record
    left_out: tuple[tuple[str, str], ...] = ()


def plan_arguments(schema: Any) -> ArgumentPlan:
    """Read an `inputSchema` (any JSON value; nothing raises). No reference is ever fetched."""
    reader = _Reader(root=schema)
    found = reader.read(schema, _Place("", 0, frozenset()))
    record = found.type if isinstance(found.type, Record) else Record(())
    if found.why:
        reader.left_out.append(("", found.why))
    return ArgumentPlan(record, tuple(reader.left_out))


def merge_plans(first: Record, second: Record) -> Record:
    """What holds for both of two versions of one tool: equal members, required only where both require."""
    theirs = {m.name: m for m in second.members}
    merged = []
    for mine in first.members:
        other = theirs.pop(mine.name, None)
        if other is None:
            merged.append(Member(mine.name, mine.type, required=False, nullable=mine.nullable))
        elif (kind := _merge_types(mine.type, other.type)) is not None:
            required = mine.required and other.required
            merged.append(Member(mine.name, kind, required, mine.nullable or other.nullable))
    merged += [Member(m.name, m.type, required=False, nullable=m.nullable) for m in theirs.values()]
    return Record(tuple(merged))


def _merge_types(first: ArgumentType, second: ArgumentType) -> ArgumentType | None:
    if isinstance(first, Record) and isinstance(second, Record):
        return merge_plans(first, second)
    return first if first == second else None


class _Found(Struct, frozen=True):
    """What a schema says: a type, or why there is none; `silent` if it constrains no type at all."""

    type: ArgumentType | None = None
    nullable: bool = False
    why: str = ""
    silent: bool = False


class _Place(Struct, frozen=True):
    pointer: str
    depth: int
    seen: frozenset[str]  # references being resolved, so that recursion ends


_SILENT: Final = _Found(nullable=True, silent=True)
_NULL: Final = _Found(nullable=True)


def _opaque(why: str) -> _Found:
    return _Found(why=why)


class _Reader(Struct):
    root: Any
    nodes: int = 0
    nesting: int = 0
    fields: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def read(self, schema: Any, place: _Place) -> _Found:
        """One schema: everything it says of the type must agree."""
        self.nodes += 1
        if self.nodes > NODES_MAX or self.nesting > NESTING_MAX:
            return _opaque("the schema is too large")
        self.nesting += 1
        try:
            return self._read(schema, place)
        finally:
            self.nesting -= 1

    def _read(self, schema: Any, place: _Place) -> _Found:
        if schema is True or schema == {}:
            return _SILENT
        if not isinstance(schema, Mapping):
            return _opaque("no value is allowed here" if schema is False else "not a schema")
        said = [self._own(schema, place)]
        if "$ref" in schema:
            said.append(self._reference(schema["$ref"], place))
        if "$dynamicRef" in schema or "$recursiveRef" in schema:
            said.append(_opaque("dynamic references are not followed"))
        said += [self.read(part, place) for part in _schemas(schema.get("allOf"))]
        for word in ("anyOf", "oneOf"):
            if word in schema:
                said.append(_union([self.read(part, place) for part in _schemas(schema[word])]))
        return _all_of(said)

    def _reference(self, ref: Any, place: _Place) -> _Found:
        if not isinstance(ref, str) or not ref.startswith("#"):
            return _opaque("only references inside the schema are followed")
        if ref in place.seen:
            return _opaque("the schema is recursive")
        found, target = _resolve(self.root, ref[1:])
        if not found:
            return _opaque(f"`{ref}` points nowhere")
        return self.read(target, _Place(place.pointer, place.depth, place.seen | {ref}))

    def _own(self, schema: Mapping[str, Any], place: _Place) -> _Found:
        kinds = _kinds(schema)
        if kinds is None:
            return _SILENT
        nullable = "null" in kinds
        kinds = kinds - {"null"}
        if kinds == {"integer", "number"}:
            kinds = {"number"}
        if not kinds:
            return _NULL
        if len(kinds) > 1:
            return _opaque(f"may be {' or '.join(sorted(kinds))}")
        kind = next(iter(kinds))
        if kind in SCALARS:
            return _Found(Scalar(SCALARS[kind]), nullable)
        found = self._array(schema, place) if kind == "array" else self._object(schema, place)
        return _Found(found.type, nullable, found.why)

    def _array(self, schema: Mapping[str, Any], place: _Place) -> _Found:
        if "prefixItems" in schema or isinstance(schema.get("items"), Sequence):
            return _opaque("a tuple has no Cedar type")
        found = self.read(schema.get("items", True), place)
        if isinstance(found.type, Scalar) and not found.nullable:
            return _Found(SetOf(found.type))
        return _opaque("only arrays of one scalar type become sets")

    def _object(self, schema: Mapping[str, Any], place: _Place) -> _Found:
        if place.depth > RECORD_DEPTH_MAX:
            return _opaque(f"nested deeper than {RECORD_DEPTH_MAX} records")
        listed = schema.get("required")
        required = {x for x in listed if isinstance(x, str)} if isinstance(listed, list) else set()
        properties = schema.get("properties")
        members = []
        for name, value in properties.items() if isinstance(properties, Mapping) else ():
            pointer = f"{place.pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
            found = self.read(value, _Place(pointer, place.depth + 1, place.seen))
            self.fields += 1
            why = _unusable(name) or found.why or ("" if found.type else "its type is not stated")
            if self.fields > FIELDS_MAX:
                why = "the schema has too many members"
            if why or found.type is None:
                self.left_out.append((pointer, why))
                continue
            needed = name in required and not found.nullable
            members.append(Member(name, found.type, needed, found.nullable))
        return _Found(Record(tuple(members)))


def _unusable(name: Any) -> str:
    if not isinstance(name, str) or any(0xD800 <= ord(c) <= 0xDFFF for c in name):  # noqa: PLR2004 -- surrogates
        return "not a Unicode name"
    return "the name has a meaning for the policy engine" if name in RESERVED_KEYS else ""


def _schemas(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _kinds(schema: Mapping[str, Any]) -> set[str] | None:
    """The JSON types that a schema names, else those that its keywords imply, else None."""
    named = schema.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        return {x for x in named if isinstance(x, str)}
    values = schema["enum"] if isinstance(schema.get("enum"), list) else None
    if "const" in schema:
        values = [schema["const"]]
    if values:
        return {_kind_of(v) for v in values}
    if "properties" in schema:
        return {"object"}
    if "items" in schema or "prefixItems" in schema:
        return {"array"}
    return None


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


_ESCAPED: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def _unescape(escaped: re.Match[str]) -> str:
    return bytes.fromhex(escaped.group().replace("%", "")).decode("utf-8", "replace")


def _resolve(root: Any, fragment: str) -> tuple[bool, Any]:
    """A local JSON pointer; anchors are not followed."""
    here = root
    if fragment and not fragment.startswith("/"):
        return False, None
    for raw in fragment.split("/")[1:]:
        step = _ESCAPED.sub(_unescape, raw).replace("~1", "/").replace("~0", "~")
        if isinstance(here, Mapping) and step in here:
            here = here[step]
        elif isinstance(here, list) and step.isascii() and step.isdigit() and int(step) < len(here):
            here = here[int(step)]
        else:
            return False, None
    return True, here


def _all_of(said: Sequence[_Found]) -> _Found:
    loud = [x for x in said if not x.silent]
    if not loud:
        return _SILENT
    for x in loud:
        if x.why:
            return x
    merged = loud[0].type
    for x in loud[1:]:
        if isinstance(merged, Record) and isinstance(x.type, Record):
            merged = _join_records(merged, x.type)
        elif merged != x.type:
            return _opaque("its parts state different types")
    return _Found(merged, all(x.nullable for x in loud))


def _join_records(first: Record, second: Record) -> Record:
    """Members of both branches of an `allOf`; a member on which they differ is left out."""
    merged = {m.name: m for m in first.members}
    for m in second.members:
        mine = merged.get(m.name)
        if mine is None:
            merged[m.name] = m
        elif mine.type == m.type:
            required = mine.required or m.required
            merged[m.name] = Member(m.name, m.type, required, mine.nullable and m.nullable)
        else:
            del merged[m.name]
    return Record(tuple(merged.values()))


def _union(branches: Sequence[_Found]) -> _Found:
    if not branches:
        return _SILENT
    nullable = any(x.nullable for x in branches)
    for x in branches:
        if x.why:
            return x
        if x.silent:
            return _opaque("a branch of the union says nothing of the type")
    types = {x.type for x in branches if x.type is not None}
    if not types:
        return _NULL
    if len(types) > 1:
        return _opaque("may be of different types")
    return _Found(next(iter(types)), nullable)
