"""How much goes to one destination: bytes of today, and whether it became more than it was (CUSUM).

Traffic is summed by the minute. Each minute that had any is a sample; its excess over the usual, less an
allowance, adds up, and a sum past the bound is a surge: one large upload as well as a steady drip that is a
little more than before. What is usual is learned slowly, from no one minute much: teaching takes hours.
Integers only: the state is a row of the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

BUCKET_NS: Final = 60 * 1_000_000_000
DAY_NS: Final = 86_400 * 1_000_000_000
LEARN_BUCKETS: Final = 8
"""Minutes with traffic before anything can be called unusual."""
ALLOWANCE: Final = 2
"""Deviations by which a minute may exceed the usual without adding up."""
BOUND: Final = 8
"""Deviations that may add up: with an allowance of two, a shift of four is told in five minutes."""
DEVIATION_BYTES_MIN: Final = 256
"""So that a destination that always got the same few bytes may get a few more."""
LEARN_SHIFT: Final = 5
"""Usual and deviation move by a 32nd of each difference, and by a difference of at most `CLIP` deviations."""
CLIP: Final = 3


class Traffic(Struct, frozen=True, kw_only=True):
    """What one agent sent to one destination. Bytes; times as counts of minutes and days since 1970."""

    minute: int = 0
    in_minute: int = 0
    day: int = 0
    in_day: int = 0
    samples: int = 0
    usual: int = 0
    deviation: int = 0
    excess: int = 0  # what added up before this minute

    @property
    def surge(self) -> bool:
        """Whether this minute, with what added up before it, is past the bound."""
        return self.samples >= LEARN_BUCKETS and _summed(self) > BOUND * _spread(self)

    def as_json(self) -> dict[str, int]:
        """As stored."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def traffic_from_json(value: Mapping[str, Any]) -> Traffic:
    """The inverse of `as_json`."""
    return Traffic(**value)


def sent(traffic: Traffic, size: int, now_ns: int) -> Traffic:
    """The traffic with `size` more bytes, now."""
    minute, day = now_ns // BUCKET_NS, now_ns // DAY_NS
    if minute != traffic.minute:
        traffic = _closed(traffic, minute)
    in_day = size + (traffic.in_day if day == traffic.day else 0)
    return replace(traffic, in_minute=traffic.in_minute + size, day=day, in_day=in_day)


def _closed(traffic: Traffic, minute: int) -> Traffic:
    """The minute that is over as a sample, if anything was sent in it."""
    if not traffic.in_minute:
        return replace(traffic, minute=minute)
    if traffic.samples == 0:
        return replace(traffic, minute=minute, in_minute=0, samples=1, usual=traffic.in_minute)
    learning = traffic.samples < LEARN_BUCKETS
    shift = min(traffic.samples.bit_length(), LEARN_SHIFT)  # a plain mean of the first few, nearly
    most = traffic.in_minute if learning else CLIP * _spread(traffic)
    off = max(-most, min(traffic.in_minute - traffic.usual, most))
    return replace(
        traffic,
        minute=minute,
        in_minute=0,
        samples=traffic.samples + 1,
        usual=traffic.usual + (off >> shift),
        deviation=traffic.deviation + ((abs(off) - traffic.deviation) >> shift),
        excess=0 if learning else _rested(_summed(traffic), traffic, minute),
    )


def _summed(traffic: Traffic) -> int:
    more = traffic.in_minute - traffic.usual - ALLOWANCE * _spread(traffic)
    return max(0, traffic.excess + more)


def _rested(excess: int, traffic: Traffic, minute: int) -> int:
    """A minute of silence takes the allowance off, so that a surge is over after a while."""
    quiet = max(0, minute - traffic.minute - 1)
    return max(0, min(excess, 4 * BOUND * _spread(traffic)) - quiet * ALLOWANCE * _spread(traffic))


def _spread(traffic: Traffic) -> int:
    return max(traffic.deviation, traffic.usual >> 3, DEVIATION_BYTES_MIN)
