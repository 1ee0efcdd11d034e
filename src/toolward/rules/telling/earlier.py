"""What a session may tell though it has read something confidential: what it had read before that.

And, since then, what the operator calls public; and, to a server, what that server has answered to calls that
leave the operator's reach, since whoever runs it knows that. Any other result that came later may hold the
secret in other words, whatever its label: an agent may have put it into a file and read it back.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container
from typing import Final

import orjson

from toolward.model.label import Confidentiality, Integrity
from toolward.rules.integrity.words import stem
from toolward.rules.lineage.fields import labelled_fields
from toolward.rules.lineage.index import Index
from toolward.rules.lineage.pages import Said

EDGES: Final = ".,;:!?\"'()[]{}<>"
"""What may stand around a word or an identifier."""
WORDS_KEPT_MAX: Final = 8_000
"""Words of all such results, the newest; about a megabyte. To name one of so many tells 13 bits."""
CHARS_KEPT_MAX: Final = 65_536
"""Of one value; what is behind explains nothing."""
WHOLES_KEPT_MAX: Final = 4_000
"""Whole values of vouched-for fields; past it they count as words."""


class Earlier:
    """Read from the session's results when a call asks for it first, and then what came since."""

    __slots__ = ("_chunks", "_index", "_joined", "_known", "_read_to", "_runs", "wholes")

    def __init__(self, index: Index) -> None:
        self._index = index
        self.wholes: set[str] = set()
        self._runs: deque[tuple[str, list[str]]] = deque()  # as it was written, and the stems of it
        self._joined: tuple[str, str] | None = None
        self._chunks: set[str] = set()
        self._known = 0
        self._read_to = 0

    @property
    def choice_bits(self) -> int:
        """What naming one place in it tells."""
        return self._known.bit_length()

    def is_of(self, index: Index) -> bool:
        """Whether it reads from that index; a session whose values were dropped has another one."""
        return self._index is index

    def read(self, own: Container[str], *, whole: bool) -> Earlier:
        """Take up the results that are new; `own` are the calls whose answers the server itself gave.

        Without `whole`, some were forgotten: then nothing is known to have come before the secret.
        """
        index = self._index
        first = index.first_secret if whole and index.first_secret is not None else (0, "")
        taken: list[tuple[str, bool]] = []
        words = 0
        for serial, said in reversed(list(index.shelf.after(self._read_to))):  # the newest fill it
            self._read_to = max(self._read_to, serial)
            lent = said.call_id in own or (serial < first[0] and said.call_id != first[1])
            if words < WORDS_KEPT_MAX and (lent or _has_public(said)):
                found = [
                    (text[:CHARS_KEPT_MAX], label.integrity is Integrity.TRUSTED)
                    for _, text, label in labelled_fields(orjson.loads(said.body), said.fields, said.default)
                    if label.confidentiality is Confidentiality.PUBLIC
                    or (lent and label.confidentiality is not Confidentiality.CONFIDENTIAL)
                ]
                words += sum(text.count(" ") + 1 for text, _ in found)
                taken += reversed(found)
        for text, vouched in reversed(taken):
            self._add(text, vouched=vouched)
        return self

    def holds(self, text: str) -> bool:
        """Whether a text stands there letter by letter between spaces; line ends are spaces."""
        return f" {text} ".replace("\n", " ") in self._join()[1]

    def has(self, chunk: str) -> bool:
        """Whether what stands between two spaces stands so there, whatever is around it."""
        self._join()
        return chunk in self._chunks

    def longest(self, words: list[str]) -> int:
        """How many of these words, from the first on, stand side by side in one of its values."""
        known = self._join()[0]
        low, high = 0, 1  # so many do; so many do not, or were not tried
        while high <= len(words) and f" {' '.join(words[:high])} " in known:
            low, high = high, high * 2
        high = min(high, len(words) + 1)
        while high - low > 1:
            middle = (low + high) // 2
            found = f" {' '.join(words[:middle])} " in known
            low, high = (middle, high) if found else (low, middle)
        return low

    def _join(self) -> tuple[str, str]:
        """All stems, and all texts as they were written."""
        if self._joined is None:
            stems = "\n".join(f" {' '.join(stems)} " for _, stems in self._runs)
            written = "\n".join(f" {raw} " for raw, _ in self._runs)
            self._joined = (stems, written)
            self._chunks = {each.strip(EDGES) for each in written.split()}
        return self._joined

    def _add(self, text: str, *, vouched: bool) -> None:
        if vouched and len(self.wholes) < WHOLES_KEPT_MAX:
            self.wholes |= {text, text.lower()}
        stems = [stem(word) for word in words_in(text)[:WORDS_KEPT_MAX]]
        self._runs.append((" ".join(text.split()), stems))
        self._known += len(stems)
        while self._known > WORDS_KEPT_MAX:
            self._known -= len(self._runs.popleft()[1])
        self._joined = None


def _has_public(said: Said) -> bool:
    """Whether something of it is public, without looking at what it holds."""
    return any(
        each.confidentiality is Confidentiality.PUBLIC for each in (said.default, *said.fields.values())
    )


_WORD: Final = re.compile(r"[^\W_]+")


def words_in(text: str) -> list[str]:
    """Every run of letters and digits, in any script, as it is written."""
    return _WORD.findall(text)
