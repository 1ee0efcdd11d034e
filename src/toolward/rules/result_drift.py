"""What a tool's results are like, and whether they still are: counts and moments, never the results. Pure.

`Profile.learn` takes one result in at a time and keeps a bounded summary: which paths there are with which
types, how often they are null, the range of numbers, the words of short texts as digests, the size. `compare`
says where a window of newer results is unlike a baseline. The bounds are wide on purpose: an alarm that is
usually nothing is one that nobody reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson
from msgspec import Struct, field

from toolward.model.finding import Finding, Severity

PATHS_MAX: Final = 200
VISITED_MAX: Final = 300
"""Leaves of one result that are looked at, half a millisecond; a table's later rows are like its first."""
WORDS_MAX: Final = 16
"""Past this a field is no category."""
WORD_CHARS_MAX: Final = 64
PARSED_BYTES_MAX: Final = 64 * 1024
SHARE: Final = 0.2
"""Of the results of a window that have to be unlike the baseline."""
_DOUBLED: Final = 1.0  # in powers of two
_DEVIATIONS: Final = 4.0
_ALWAYS, _RARELY = 0.98, 0.5
_TREND: Final = 0.9
_NUMBERS_MIN: Final = 20
Token = Callable[[str], str]
"""Turns a word into what is kept of it."""


class Moments(Struct):
    """Mean and variance of a stream (Welford)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


class Leaf(Struct):
    """What stands at one path; an array's items share one path."""

    results: int = 0  # results that have it
    values: int = 0
    kinds: dict[str, int] = field(default_factory=dict)  # type -> results
    low: float = 0.0
    high: float = 0.0
    numbers: int = 0
    rises: int = 0  # numbers greater than the one before: a clock, a counter
    last: float = 0.0
    words: dict[str, int] | None = field(default_factory=dict)  # None: too many to be a category
    news_late: int = 0  # results of the later half that brought a new word


class Profile(Struct):
    """A summary of results."""

    results: int = 0
    sizes: Moments = field(default_factory=Moments)  # of log2 of bytes
    leaves: dict[str, Leaf] = field(default_factory=dict)
    news_late: int = 0  # results of the later half that brought a new path
    whole: int = 0  # how many results it is to be made of

    def learn(self, result: Mapping[str, Any], size_bytes: int, *, token: Token | None) -> None:
        """Take one result in. Without `token` only shape and size: the values are nobody's business."""
        self.results += 1
        self.sizes.add(math.log2(max(1, size_bytes)))
        late = self.results * 2 > self.whole
        found: dict[str, list[Any]] = {}
        for visited, (path, value) in enumerate(_leaves(result)):
            if visited >= VISITED_MAX:
                break
            found.setdefault(path, []).append(value)
        news = False
        for path, values in found.items():
            leaf = self.leaves.get(path)
            if leaf is None:
                if len(self.leaves) >= PATHS_MAX:
                    continue
                leaf = self.leaves[path] = Leaf()
                news = True
            _learn_leaf(leaf, values, late=late, token=token)
        self.news_late += news and late


def _learn_leaf(leaf: Leaf, values: list[Any], *, late: bool, token: Token | None) -> None:
    leaf.results += 1
    leaf.values += len(values)
    for kind in {_kind(each) for each in values}:
        leaf.kinds[kind] = leaf.kinds.get(kind, 0) + 1
    if token is None:
        return
    news = False
    for value in values:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            _learn_number(leaf, float(value))
        elif isinstance(value, (str, bool)) and leaf.words is not None:
            word = token(str(value)[: WORD_CHARS_MAX + 1])
            news = news or word not in leaf.words
            leaf.words[word] = leaf.words.get(word, 0) + 1
            if len(leaf.words) > WORDS_MAX:
                leaf.words = None
    leaf.news_late += news and late


def _learn_number(leaf: Leaf, value: float) -> None:
    leaf.low = min(leaf.low, value) if leaf.numbers else value
    leaf.high = max(leaf.high, value) if leaf.numbers else value
    leaf.rises += leaf.numbers > 0 and value > leaf.last
    leaf.numbers += 1
    leaf.last = value


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves with their paths; texts that hold JSON are looked into."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= PARSED_BYTES_MAX:
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            yield path, value
            return
    if isinstance(value, Mapping) and value:
        for name, below in value.items():
            yield from _leaves(below, f"{path}/{name}")
    elif isinstance(value, list) and value:
        for below in value:
            yield from _leaves(below, f"{path}/*")
    else:
        yield path, value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


# --- comparing ---------------------------------------------------------------------------------------


def compare(baseline: Profile, window: Profile) -> tuple[Finding, ...]:
    """Where the window is unlike the baseline, each kind of difference once for each path."""
    found = [*_sizes(baseline, window)]
    novelty = max(SHARE, 3 * baseline.news_late * 2 / max(1, baseline.results))
    for path, leaf in window.leaves.items():
        known = baseline.leaves.get(path)
        share = leaf.results / window.results
        if known is None:
            # results whose members are names of things bring new ones for ever: then that is no news
            if share >= novelty and len(baseline.leaves) < PATHS_MAX:
                found.append(
                    _finding("new_shape", path, f"was never there, and is in {share:.0%} of results")
                )
            continue
        found += _kinds(path, known, leaf)
        found += _numbers(path, known, leaf)
        found += _words(path, known, leaf)
    for path, known in baseline.leaves.items():
        now = window.leaves[path].results / window.results if path in window.leaves else 0.0
        if known.results / baseline.results >= _ALWAYS and now < _RARELY:
            found.append(_finding("new_shape", path, f"was always there, and is in {now:.0%} of results"))
    return tuple(found)


def _sizes(baseline: Profile, window: Profile) -> Iterator[Finding]:
    moved = window.sizes.mean - baseline.sizes.mean
    if abs(moved) > max(_DOUBLED, 3 * baseline.sizes.deviation):
        was, now = 2**baseline.sizes.mean, 2**window.sizes.mean
        yield _finding("size", "", f"typically had {was:.0f} bytes, and now {now:.0f}")


def _kinds(path: str, known: Leaf, leaf: Leaf) -> Iterator[Finding]:
    for kind, results in leaf.kinds.items():
        share = results / leaf.results
        before = known.kinds.get(kind, 0) / known.results
        if kind == "null":
            error = math.sqrt(max(before * (1 - before), 1 / known.results) / leaf.results)
            if abs(share - before) > max(SHARE, _DEVIATIONS * error):
                yield _finding(
                    "null_rate", path, f"was null in {before:.0%} of results, and now in {share:.0%}"
                )
        elif not before and share >= SHARE:
            kinds = ", ".join(sorted(known.kinds))
            yield _finding("new_shape", path, f"was {kinds}, and is {kind} in {share:.0%} of results")


def _numbers(path: str, known: Leaf, leaf: Leaf) -> Iterator[Finding]:
    if known.numbers < _NUMBERS_MIN or not leaf.numbers or known.rises > _TREND * (known.numbers - 1):
        return
    slack = max(known.high - known.low, abs(known.high) / 2, 1.0)
    if leaf.low > known.high + slack or leaf.high < known.low - slack:
        was = f"{known.low:g} to {known.high:g}"
        yield _finding("range", path, f"was {was}, and is {leaf.low:g} to {leaf.high:g}")


def _words(path: str, known: Leaf, leaf: Leaf) -> Iterator[Finding]:
    if not known.words or sum(known.words.values()) < _NUMBERS_MIN:
        return
    settled = known.news_late * 2 <= SHARE * known.results / 3
    if leaf.words is None:
        unseen = 1.0
    else:
        strange = sum(count for word, count in leaf.words.items() if word not in known.words)
        unseen = strange / max(1, sum(leaf.words.values()))
    if settled and unseen >= SHARE:
        many = len(known.words)
        yield _finding(
            "categories", path, f"was one of {many} words, and is another in {unseen:.0%} of cases"
        )


def _finding(identity: str, path: str, text: str) -> Finding:
    return Finding(
        id=identity,
        severity=Severity.WARN,
        where=path[:200],
        text=text,
        remedy="look at newer results; approving the tool again makes a new baseline",
    )
