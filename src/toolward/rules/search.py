"""Which texts fit a few words best: Okapi BM25 over an inverted index that texts come into and leave.

Robertson and Zaragoza, *The Probabilistic Relevance Framework: BM25 and Beyond* (2009), with the usual k1
and b and an idf that is never negative. Libraries for it build an index once and bring numpy along; tools
come and go one by one, and ten thousand of them fit here.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Sequence
from math import log
from typing import Final

K1: Final = 1.2
"""How soon more of the same word stops counting."""
B: Final = 0.75
"""How much long texts are held back."""
WORDS_MAX: Final = 400
"""Of one text: what a tool says beyond that is not looked at, so that no text can crowd out others."""
QUERY_WORDS_MAX: Final = 32
_WORD: Final = re.compile(r"[^\W_]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words_of(text: str, words_max: int = WORDS_MAX) -> list[str]:
    """Lower-case words, `camelCase` and `snake_case` taken apart, plurals without their `s`."""
    found: list[str] = []
    for run in _WORD.finditer(text):
        for part in _HUMP.split(run.group()):
            word = part.casefold()
            found.append(word[:-1] if len(word) > 3 and word.endswith("s") else word)  # noqa: PLR2004 -- not `is`
        if len(found) >= words_max:
            break
    return found[:words_max]


class TextIndex:
    """Texts by key. To put or drop one costs its own words, to ask the postings of the query's words."""

    def __init__(self) -> None:
        self._texts: dict[str, Counter[str]] = {}
        self._lengths: dict[str, int] = {}
        self._postings: dict[str, dict[str, int]] = {}
        self._length = 0

    def __len__(self) -> int:
        """Texts in it."""
        return len(self._texts)

    def put(self, key: str, words: Sequence[str]) -> None:
        """Take a text, in place of the one that had this key. A word that counts more stands more often."""
        self.drop(key)
        counts = Counter(words)
        self._texts[key] = counts
        self._lengths[key] = len(words)
        self._length += len(words)
        for word, count in counts.items():
            self._postings.setdefault(word, {})[key] = count

    def drop(self, key: str) -> None:
        """Forget a text, if it is there."""
        for word in self._texts.pop(key, ()):
            postings = self._postings[word]
            del postings[key]
            if not postings:
                del self._postings[word]
        self._length -= self._lengths.pop(key, 0)

    def find(self, query: str, *, shown: Callable[[str], bool], limit: int) -> list[str]:
        """The keys that fit best and are `shown`, best first; of equals in the order of keys.

        `shown` is asked in the order of fitness, until there are enough.
        """
        scores: dict[str, float] = {}
        average = self._length / max(len(self._texts), 1)
        for word in dict.fromkeys(words_of(query, QUERY_WORDS_MAX)):
            postings = self._postings.get(word)
            if not postings:
                continue
            rarity = log(1 + (len(self._texts) - len(postings) + 0.5) / (len(postings) + 0.5))
            for key, count in postings.items():
                weight = K1 * (1 - B + B * self._lengths[key] / average)
                scores[key] = scores.get(key, 0.0) + rarity * count * (K1 + 1) / (count + weight)
        ranked = [(-score, key) for key, score in scores.items()]
        heapq.heapify(ranked)
        found: list[str] = []
        while ranked and len(found) < limit:
            _, key = heapq.heappop(ranked)
            if shown(key):
                found.append(key)
        return found
