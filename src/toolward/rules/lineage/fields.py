"""The fields of a result, each under its label. A text that is JSON is read as the fields it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from toolward.model.label import CONFIDENTIAL, Label
from toolward.rules.lineage.leaves import leaves_of, names_in
from toolward.rules.lineage.patterns import label_at
from toolward.rules.worded import as_worded

JSON_CHARS_MAX: Final = 262_144
"""Of a text that is parsed to see its fields."""
_TOLD: Final = frozenset({str, int, float})
"""What can be told apart from other values; parsed JSON holds no subclass of them."""
ENVELOPE: Final = re.compile(r"/resultType|/(?:content|messages)/\d+/(?:type|role|content/type)")
"""What the protocol says and not the server: `text` is no secret because a secret came as text."""
_MAY_BEENVELOPE: Final = frozenset({"/r", "/c", "/m"})
_JSON_BEGINS: Final = frozenset("{[")


Field = tuple[str, str, Label]
"""Pointer, text and label of one value."""


def labelled_fields(result: Mapping[str, Any], fields: Mapping[str, Label], default: Label) -> list[Field]:
    """Pointer, text and label of every value, then of every member name (without a pointer).

    The pointer of a value inside a text that is JSON goes on from the text's own: `/content/0/text/id`.
    """
    return as_worded(_placed(result, fields, default), default, fields)


def _placed(result: Mapping[str, Any], fields: Mapping[str, Label], default: Label) -> list[Field]:
    placed: list[Field] = []
    for pointer, leaf in leaves_of(result):
        kind = type(leaf)
        if kind not in _TOLD or (pointer[:2] in _MAY_BEENVELOPE and ENVELOPE.fullmatch(pointer)):
            continue
        label = label_at(pointer, fields, default) if fields else default
        if kind is not str:
            placed.append((pointer, str(leaf), label))
        elif leaf[:1] not in _JSON_BEGINS or (inside := _parsed(leaf)) is None:
            placed.append((pointer, leaf, label))
        else:
            placed += _inside(inside, pointer, fields, default)
            if label.confidentiality is CONFIDENTIAL:
                placed.append((pointer, leaf, label))  # it may be passed on as it is
    if (structured := result.get("structuredContent")) is not None:
        placed += [("", name, default) for name in dict.fromkeys(names_in(structured))]
    return placed


def _inside(value: Any, pointer: str, fields: Mapping[str, Label], default: Label) -> Iterator[Field]:
    for below, leaf in leaves_of(value, pointer):
        if type(leaf) in _TOLD:
            yield below, str(leaf), label_at(below, fields, default)
    outer = label_at(pointer, fields, default)
    for name in dict.fromkeys(names_in(value)):
        yield "", name, outer


def _parsed(text: str) -> Any:
    """What a text that begins like a JSON object or array says; None if it is none."""
    if len(text) > JSON_CHARS_MAX:
        return None
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
