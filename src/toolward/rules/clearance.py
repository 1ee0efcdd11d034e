"""The way back: what an agent's clearance does not cover is taken out of a result before it leaves.

A text becomes a marker, another value null; the record and the receipt name the places. What stands a second
time in a text is taken out there too, and a text in which that can not be done is withheld whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
from msgspec import Struct

from toolward.model.label import UNKNOWN, Confidentiality, Label
from toolward.model.tool import Manifest
from toolward.rules.lineage.fields import ENVELOPE, JSON_CHARS_MAX
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.patterns import label_at
from toolward.rules.redact import CHARS_MIN, redact

PLACES_NAMED_MAX: Final = 64
"""Places of one result that its record and receipt name."""


class Withheld(Struct, frozen=True, kw_only=True):
    """A result as it may leave; `places` are JSON pointers, at most `PLACES_NAMED_MAX`."""

    result: Mapping[str, Any]
    places: tuple[str, ...] = ()
    count: int = 0

    def as_json(self) -> dict[str, Any]:
        """What the record and the receipt say of it."""
        return {"count": self.count, "places": list(self.places)}


def marker(label: Confidentiality) -> str:
    """What stands where a text was withheld."""
    return f"[withheld: {label.name.lower()}]"


def result_label(manifest: Manifest | None) -> Label:
    """The label of what a manifest says nothing more of."""
    return manifest.result if manifest is not None and manifest.result is not None else UNKNOWN


def lowered(manifest: Manifest | None, to: Confidentiality) -> Manifest:
    """The manifest with no label more confidential than `to`: what a person let through counts as that."""
    manifest = manifest or Manifest()

    def low(label: Label) -> Label:
        return Label(label.integrity, min(label.confidentiality, to))

    fields = {pointer: low(label) for pointer, label in manifest.result_fields.items()}
    return replace(manifest, result=low(result_label(manifest)), result_fields=fields)


def cleared_result(
    result: Mapping[str, Any],
    manifest: Manifest | None,
    clearance: Confidentiality,
    secrets: tuple[str, ...] = (),
) -> Withheld:
    """The result without what is above `clearance`; `secrets` are texts in it that are confidential."""
    fields = manifest.result_fields if manifest is not None else {}
    default = result_label(manifest)
    above = [each for each in (default, *fields.values()) if each.confidentiality > clearance]
    hidden = secrets if clearance < Confidentiality.CONFIDENTIAL else ()
    if not above and not hidden:
        return Withheld(result=result)
    sieve = _Sieve(fields, default, clearance)
    out: Mapping[str, Any] = sieve.pass_(result, "")
    values = (*hidden, *sieve.values)
    out, again = redact(out, values)
    out = _short_ones(out, [value for value in values if len(value) < CHARS_MIN], sieve)
    count = sieve.count + again
    return Withheld(result=out if count else result, places=tuple(sieve.places), count=count)


class _Sieve:
    """Goes through a result and keeps what was taken out."""

    def __init__(self, fields: Mapping[str, Label], default: Label, clearance: Confidentiality) -> None:
        self._fields = fields
        self._default = default
        self._clearance = clearance
        self.values: list[str] = []
        self.places: list[str] = []
        self.count = 0

    def pass_(self, value: Any, pointer: str) -> Any:
        """The value without what is above the clearance."""
        if isinstance(value, Mapping):
            return {key: self.pass_(item, f"{pointer}/{_part(key)}") for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.pass_(item, f"{pointer}/{index}") for index, item in enumerate(value)]
        if value is None or isinstance(value, bool) or ENVELOPE.fullmatch(pointer):
            return value
        label = label_at(pointer, self._fields, self._default)
        if label.confidentiality > self._clearance:
            return self.withhold(value, pointer, label.confidentiality)
        return self._text(value, pointer) if isinstance(value, str) else value

    def withhold(self, value: Any, pointer: str, label: Confidentiality) -> str | None:
        """Note it, and what stands in its place."""
        self.count += 1
        if len(self.places) < PLACES_NAMED_MAX:
            self.places.append(pointer)
        self.values.append(str(value))
        return marker(label) if isinstance(value, str) else None

    def _text(self, text: str, pointer: str) -> str:
        """A text that is JSON is gone through as what it says."""
        if text[:1] not in ("{", "[") or len(text) > JSON_CHARS_MAX:
            return text
        try:
            inside = orjson.loads(text)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return text
        before = self.count
        cleaned = self.pass_(inside, pointer)
        return text if self.count == before else orjson.dumps(cleaned).decode()


def _short_ones(result: Mapping[str, Any], short: list[str], sieve: _Sieve) -> Mapping[str, Any]:
    """Withhold whole texts of `content` in which a withheld value may stand that is too short to look for."""
    content = result.get("content")
    if not short or not isinstance(content, list):
        return result
    out = []
    for index, part in enumerate(content):
        said = part.get("text") if isinstance(part, Mapping) else None
        if isinstance(said, str) and any(value in said for value in short):
            whole = sieve.withhold(said, f"/content/{index}/text", Confidentiality.CONFIDENTIAL)
            out.append({**part, "text": whole})
        else:
            out.append(part)
    return {**result, "content": out}


def unseen(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result as the session's memory takes it: a marker is nobody's value."""
    marks = {marker(each) for each in Confidentiality}
    return result if not any(leaf in marks for _, leaf in leaves_of(result)) else _without(result, marks)


def _without(value: Any, marks: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(item, marks) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, marks) for item in value]
    return None if isinstance(value, str) and value in marks else value


def _part(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
