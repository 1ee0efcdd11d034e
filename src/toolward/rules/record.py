"""The bytes of an audit record: canonical JSON (RFC 8785) of the envelope and the event's body.

`orjson` with sorted keys writes exactly RFC 8785 as long as keys are ASCII and numbers are integers that
a double can hold (2^53 - 1); anything else in a body is a bug of whoever built it and is refused here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import compress
from operator import not_
from typing import Any, Final

import orjson

from toolward.errors import InvariantBroken
from toolward.model.event import Event

RECORD_VERSION: Final = 1
ENVELOPE: Final = frozenset(
    {"v", "event_id", "time", "kind", "call_id", "session_id", "tool", "payload_digests"}
)
"""Members that the log writes itself; a body that held one could pass for another record."""
_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER  # what RFC 8785 can write exactly; nanoseconds are recorded as strings
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_TIME_END_NS: Final = 2**63
"""In the year 2262, and the end of what a database column holds."""
_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400


def encode_event(event: Event, payload_digests: Mapping[str, str]) -> bytes:
    """The record's bytes, to be hashed and stored. Raises `InvariantBroken` for what none may hold."""
    body = event.body
    if not ENVELOPE.isdisjoint(body):
        raise InvariantBroken(f"the body of `{event.kind}` names a member of the envelope")
    if not 0 <= event.time_ns < _TIME_END_NS:
        raise InvariantBroken(f"the time of `{event.kind}` is not a number of nanoseconds since 1970")
    record: dict[str, Any] = {
        "v": RECORD_VERSION,
        "event_id": event.event_id,
        "time": timestamp(event.time_ns),
        "kind": event.kind,  # written as its value
        "call_id": event.call_id,
        "session_id": event.session_id,
        "tool": event.tool,
        **body,
    }
    if payload_digests:
        record["payload_digests"] = payload_digests
    try:
        data = orjson.dumps(record, default=_plain, option=_OPTIONS)
    except TypeError as error:
        raise InvariantBroken(f"the body of `{event.kind}` can not be recorded: {error}") from error
    _check_values(body.values())
    if not data.isascii():
        _check_keys(body)
    return data


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is not JSON")


_PLAIN_TYPES: Final[set[type]] = {str, bool, int}
"""Types whose values need no look. The enumerations of texts that records hold join as they are met."""


def _check_values(values: Collection[Any]) -> None:
    """Exact types first, and all at once: this runs for each value of each record."""
    below = [values]
    for group in below:  # grows while it is gone through
        for value in compress(group, map(not_, map(_PLAIN_TYPES.__contains__, map(type, group)))):
            kind = type(value)
            if kind is dict or isinstance(value, Mapping):
                below.append(value.values())
            elif kind is list or kind is tuple:
                below.append(value)
            elif issubclass(kind, str):
                _PLAIN_TYPES.add(kind)
            else:
                raise InvariantBroken(f"a {kind.__name__} can not be recorded")


def _check_keys(container: object) -> None:
    if isinstance(container, Mapping):
        if not all(key.isascii() for key in container):
            raise InvariantBroken("a key that is not ASCII can not be recorded")
        container = container.values()
    if isinstance(container, Iterable) and not isinstance(container, str):
        for value in container:
            _check_keys(value)


def timestamp(time_ns: int) -> str:
    """RFC 3339 in UTC with microseconds, rounded down."""
    second, nanosecond = divmod(time_ns, _NS)
    return f"{_second_text(second)}.{nanosecond // 1000:06d}Z"


@lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    """Proleptic Gregorian date and time, by counting 400-year cycles that begin in March."""
    days, rest = divmod(second, _DAY_S)
    cycle, day_of_cycle = divmod(days + 719_468, 146_097)
    year_of_cycle = (
        day_of_cycle - day_of_cycle // 1_460 + day_of_cycle // 36_524 - day_of_cycle // 146_096
    ) // 365
    day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle // 4 - year_of_cycle // 100)
    shifted = (5 * day_of_year + 2) // 153  # months counted from March
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9  # noqa: PLR2004 -- ten months from March to December
    year = year_of_cycle + 400 * cycle + (month <= 2)  # noqa: PLR2004 -- January and February end the shifted year
    hour, rest = divmod(rest, 3600)
    minute, rest = divmod(rest, 60)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{rest:02d}"
