"""Labels that a person may accept for a tool, read off its definition and what it answered so far.

Nothing here is in force until it stands in the tool's manifest and that version is approved. A name alone
proves nothing and neither do values; where the name is one that platforms fill in and every value that was
seen has the shape of it, a person is asked to look. What people word freely is never proposed as trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from toolward.rules.integrity.words import listed, parts_of_name
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.secret_looks import is_secret_name, looks_secret

SHAPE_CHARS_MAX: Final = 100
"""A longer value is no identifier, address or time."""
RESULTS_MAX: Final = 200
"""Results that are looked at."""
_FILLED_IN: Final = listed(
    "id uid uuid key sender from recipient recipients to cc bcc owner author creator participant participants"
    " attendee attendees member members email mail iban account number timestamp created updated modified"
    " received sent date time start end due status state read unread size count total amount price balance"
    " currency quantity rating permission shared visibility type kind version hash digest sha"
)
"""Names of what a platform fills in by itself, or checks."""
_WORDED: Final = listed(
    "name title subject filename body content text description message comment note notes summary label bio"
    " topic caption snippet query url link location address review"
)
"""Names of what people word as they like, or where they like."""
_SHAPE: Final = re.compile(r"[\w.+@:/#-]+(?: [\d:.+-]+(?: ?[AP]M)?)?")


@dataclass(slots=True)
class Proposal:
    """What is proposed for one field, and why; `trusted` may only be accepted by a person."""

    field: str
    trusted: bool
    confidential: bool
    why: str
    seen: int


@dataclass(slots=True)
class _Seen:
    count: int = 0
    shaped: bool = True
    secret: bool = False
    longest: int = 0
    places: set[str] = field(default_factory=set)


def propose_fields(results: Iterable[Mapping[str, Any]]) -> list[Proposal]:
    """One proposal for each member name, in order of names. Holds no value of any result."""
    seen: dict[str, _Seen] = {}
    for result in results:
        for pointer, value in _members(result):
            name = next((part for part in reversed(pointer.split("/")) if not part.isdigit()), "")
            if not name or value is None or isinstance(value, bool) or "@" in name:
                continue
            _note(seen.setdefault(name, _Seen()), name, str(value))
    return [_proposal(name, found) for name, found in sorted(seen.items())]


def _members(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if (structured := result.get("structuredContent")) is not None:
        yield from leaves_of(structured)
        return
    for part in result.get("content") or ():
        text = part.get("text") if isinstance(part, Mapping) else None
        if isinstance(text, str) and text[:1] in ("{", "["):
            try:
                yield from leaves_of(orjson.loads(text))
            except orjson.JSONDecodeError:
                continue


def _note(found: _Seen, name: str, text: str) -> None:
    found.count += 1
    found.longest = max(found.longest, len(text))
    found.shaped = (
        found.shaped and len(text) <= SHAPE_CHARS_MAX and _SHAPE.fullmatch(text.strip()) is not None
    )
    found.secret = found.secret or looks_secret(name, text)


def _proposal(name: str, found: _Seen) -> Proposal:
    parts = parts_of_name(name)
    last = parts[-1] if parts else ""
    confidential = found.secret or is_secret_name(name)
    if last in _WORDED:
        return Proposal(
            name, trusted=False, confidential=confidential, why="people word it", seen=found.count
        )
    if not any(part in _FILLED_IN for part in parts):
        why = "its name does not say that the platform fills it in"
        return Proposal(name, trusted=False, confidential=confidential, why=why, seen=found.count)
    if not found.shaped:
        why = f"some values are no identifier, address, number or time (up to {found.longest} characters)"
        return Proposal(name, trusted=False, confidential=confidential, why=why, seen=found.count)
    why = f"platforms fill in such a field, and all {found.count} values have its shape"
    return Proposal(name, trusted=True, confidential=confidential, why=why, seen=found.count)
