"""How much a call tells that nothing explains, in bits.

What explains a text is, first, the user's own words, each as often as they hold it; whole values of fields
that the server vouches for; and what this server was told before. All of that costs nothing. A run of words
from a result that the session may still tell from, or a word of the tool's own definition, costs what
choosing it tells, since whoever wrote that may have laid out an alphabet in it. A word from nowhere costs its
letters.

Not counted is how the user's own words are chosen and put in order, and when a call is made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log2
from typing import Any, Final

from orjson import JSONDecodeError, dumps, loads

from toolward.model.call import LIST_ACTIONS, OWN_ACTIONS, UPSTREAM_ACTIONS, Facts, ResolvedCall
from toolward.model.signal import Telling
from toolward.model.tool import ArgumentKind
from toolward.rules.integrity.grounds import read_words
from toolward.rules.integrity.words import EMPTY, stem
from toolward.rules.lineage.leaves import leaves_of, names_in
from toolward.rules.spoken import stands_in
from toolward.rules.telling.earlier import EDGES, Earlier, words_in

DEFINITIONS_REMEMBERED: Final = 1_024
"""Tools whose words stay read, some kilobytes each."""
LOOKED_CHARS_MAX: Final = 4_096
"""Of one text that is explained word by word; what stands behind costs its characters."""
ENOUGH_BITS: Final = 512
"""Past so many the rest of a call is not looked at word by word: it costs its characters."""
LITTLE_BITS: Final = 7
"""For a word that only joins others (`of`, `the`), past one for each that says something: there are 120."""
MARK_BITS: Final = 5
"""For a sign between words, past one for every two of them: there are 32."""
ODD_BITS: Final = 8
"""For each byte of a sign that is not seen or not plain, and of white space that is more than one space."""
LOOSE_MAX: Final = 12
"""Words from nowhere that are named to people."""
LOOSE_CHARS_MAX: Final = 40
"""Of one such word."""
_PLACES: Final = frozenset({ArgumentKind.URL, ArgumentKind.ADDRESS})
_SPELLED: Final = re.compile(r"(?:[1-9]\d{0,14}|0)(?:\.\d{1,2})?|\d{4}-\d\d-\d\d")
"""A number or a date in the plainest form: others would tell something by how they are written."""
_SPACES: Final = frozenset(" \n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What may explain what a call tells."""

    words: str  # of the user, the host and the operator: prompt, objective, step
    told: AbstractSet[str]  # stems of what its server was told before by this session
    earlier: Earlier | None  # None where no earlier result is known


def tells_server(resolved: ResolvedCall, facts: Facts) -> bool:
    """Whether what the call says goes to whoever runs its server, uncleared, and to no place that it names.

    Such a place is where a write can not do without one: a URL or an address that its schema requires. What a
    read is told beside a URL is told to its server.
    """
    version = resolved.version
    if version is None:
        return resolved.call.action not in LIST_ACTIONS | OWN_ACTIONS | UPSTREAM_ACTIONS
    if not facts.egress or facts.cleared:
        return False
    given, required = resolved.call.arguments, _read(version.definition).required
    return not facts.writes or not any(
        argument.kind in _PLACES and name in required and given.get(name)
        for name, argument in version.manifest.arguments.items()
    )


def telling(resolved: ResolvedCall, ground: Ground) -> Telling:
    """What the call tells: every value but its URLs, and every member's name that its schema does not hold.

    Pure. A URL is judged as a destination.
    """
    call, version = resolved.call, resolved.version
    definition = version.definition if version is not None else b""
    declared = version.manifest.arguments if version is not None else {}
    said = {
        name: value
        for name, value in call.arguments.items()
        if name not in declared or declared[name].kind is not ArgumentKind.URL
    }
    values: list[Any] = [value for _, value in leaves_of(said)]
    values += [value for _, value in leaves_of(call.retry.get("inputResponses"))]
    values += names_in(call.arguments)
    count = _Count(ground, _read(definition).words)
    for value in values:
        if value is None or isinstance(value, bool):
            continue
        if not (isinstance(value, str) and dumps(value) in definition):  # one of a few that the schema lists
            count.add(str(value))
    return Telling(
        server=resolved.server,
        bits=count.bits,
        words=frozenset(count.said),
        loose=tuple(dict.fromkeys(count.loose))[:LOOSE_MAX],
    )


@dataclass(frozen=True, slots=True)
class _Defined:
    words: frozenset[str]  # stems of all that stands in a tool's definition
    required: frozenset[str]  # arguments that it can not do without


@lru_cache(maxsize=DEFINITIONS_REMEMBERED)
def _read(definition: bytes) -> _Defined:
    try:
        said = loads(definition)
        required = frozenset(said["inputSchema"]["required"])
    except (JSONDecodeError, KeyError, TypeError):  # none, or none that can be read
        required = frozenset()
    return _Defined(frozenset(map(stem, words_in(definition.decode("utf-8", "replace")))), required)


class _Count:
    """What one call tells, value by value."""

    __slots__ = (
        "_again",
        "_choice_bits",
        "_defined",
        "_ground",
        "_grounds",
        "_left",
        "bits",
        "loose",
        "said",
    )

    def __init__(self, ground: Ground, defined: frozenset[str]) -> None:
        self.bits = 0
        self.said: set[str] = set()
        self.loose: list[str] = []
        self._ground = ground
        self._defined = defined
        self._grounds = read_words(ground.words)
        self._left = _spoken(ground.words).copy()  # how often each may still be said
        self._choice_bits = len(self._left).bit_length()
        self._again = set(ground.told)  # what this call did not say again yet

    def add(self, text: str) -> None:
        """Count one value."""
        whole = text.strip()
        self.bits += ODD_BITS * (len(text) - len(whole))
        if not whole or stands_in(whole, self._ground.words):
            return
        earlier = self._ground.earlier
        if (earlier is not None and whole in earlier.wholes) or self._is_held(whole):
            self.said.update(map(stem, words_in(whole)))
            return
        looked = whole[:LOOKED_CHARS_MAX] if self.bits < ENOUGH_BITS else ""
        chunks = looked.split()
        spaces = [each for each in looked if each.isspace()]
        odd = sum(each not in _SPACES for each in spaces) + max(0, len(spaces) - len(chunks) + 1)
        self.bits += ODD_BITS * (odd + len(whole[len(looked) :].encode("utf-8", "replace")))
        words: list[str] = []
        marks = 0
        for chunk in chunks:
            if self.bits >= ENOUGH_BITS:
                self.bits += ODD_BITS * len(chunk)
                continue
            bare = chunk.strip(EDGES)
            marks += len(chunk) - len(bare)
            inside = words_in(bare)
            if not bare.isalpha() and (self._is_said(bare, inside) or self._is_held(bare, alone=False)):
                self.said.update(map(stem, inside))
            else:
                words += inside
                marks += self._signs(bare)
        self._count(words)
        self.bits += MARK_BITS * max(0, marks - len(chunks) // 2)

    def _is_held(self, text: str, *, alone: bool = True) -> bool:
        """Whether an earlier result holds it letter by letter; then that choice is counted, and no more."""
        earlier = self._ground.earlier
        if earlier is None or not text or not (earlier.holds(text) if alone else earlier.has(text)):
            return False
        self.bits += earlier.choice_bits
        return True

    def _signs(self, bare: str) -> int:
        """How many plain signs stand in a chunk beside its words; what is not plain is counted at once."""
        signs = [each for each in bare if not each.isalnum()]
        odd = [each for each in signs if not (each.isascii() and each.isprintable())]
        self.bits += ODD_BITS * len("".join(odd).encode("utf-8", "replace"))
        return len(signs) - len(odd)

    def _is_said(self, bare: str, words: list[str]) -> bool:
        """Whether an identifier, a number or a date stands in the user's words, not used up by this call."""
        if not words:
            return False
        stems = [stem(word) for word in words]
        if any(each in self.said and self._left[each] <= 0 for each in stems):
            return False
        spelled = _SPELLED.fullmatch(bare) is not None and self._grounds.says(bare)  # `1200` for "1,200.00"
        if not spelled and not stands_in(bare, self._ground.words):
            return False
        for each in stems:
            if each in self._left:
                self._left[each] -= 1
        return True

    def _count(self, words: list[str]) -> None:
        """Words that are looked at one by one, or as runs of an earlier result."""
        stems = [stem(word) for word in words]
        self.said.update(stems)
        little = meant = at = 0
        while at < len(words) and self.bits < ENOUGH_BITS:
            is_little = stems[at] in EMPTY and self._left[stems[at]] <= 0 and self._is_plain(words[at])
            taken = 0 if is_little else self._explained(words, stems, at)
            little, meant, at = little + is_little, meant + taken, at + max(taken, 1)
        self.bits += LITTLE_BITS * max(0, little - meant) + ODD_BITS * len("".join(words[at:]))

    def _explained(self, words: list[str], stems: list[str], at: int) -> int:
        """How many words from here on something explains, at what that costs; 0 for one from nowhere."""
        word, each = words[at], stems[at]
        plain = self._is_plain(word)
        if plain and each in self._left:
            self._left[each] -= 1
            self.bits += self._choice_bits if self._left[each] < 0 else 0
            return 1
        if plain and each in self._again:
            self._again.discard(each)
            return 1
        if plain and (earlier := self._ground.earlier) is not None:
            run = earlier.longest(stems[at:])
            run = next((n for n in range(run) if not self._is_plain(words[at + n])), run)
            self.bits += earlier.choice_bits if run else 0
            if run:
                return run
        if plain and each in self._defined:
            self.bits += len(self._defined).bit_length()
            return 1
        self.loose.append(word[:LOOSE_CHARS_MAX])
        self.bits += _letters_bits(word)
        return 0

    def _is_plain(self, word: str) -> bool:
        """Whether the case of its letters tells nothing: as a sentence writes it, or as the user did."""
        return word in (word.lower(), word.capitalize()) or stands_in(word, self._ground.words)


@lru_cache(maxsize=64)
def _spoken(words: str) -> Counter[str]:
    """How often the user said each word."""
    return Counter(map(stem, words_in(words)))


def _letters_bits(word: str) -> int:
    """What a word from nowhere tells: each of its letters, one of as many as there are of its kind."""
    if not word.isascii():
        return ODD_BITS * len(word.encode("utf-8", "replace"))
    if word.isdigit():
        return ceil(len(word) * log2(10))
    return ceil(len(word) * log2(26 if word.isalpha() and word in (word.lower(), word.capitalize()) else 62))
