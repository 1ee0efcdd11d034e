"""Which deed the words ask of which thing: "read A, then write a summary to B" asks nobody to write to A.

Words are cut where a sentence ends and where the next verb follows an `and`, a `then` or a comma. A deed is
asked of what stands in its own clause. A clause that names no thing, or speaks of `it`, is about what was
named before; what is named in a statement may be meant by any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from toolward.rules.integrity import words as vocabulary
from toolward.rules.lazily import pattern
from toolward.rules.spoken import stands_in

_ENDS: Final = pattern(r"(?<=[.!?;:])(?=\s)|\n")
_NEXT: Final = pattern(r"(?:,|\band\b|\bthen\b)(?:\s+(?:and|then|also|please|finally))*\s+(?=([A-Za-z]+))")
_NAMED: Final = pattern(r"[/\\]\w|\w[@.]\w|\d{3}|[\"'\u2018\u201c]\w")
"""What things are called by: paths, addresses, file names, numbers, quotations."""
_CALLED: Final = pattern(
    r"(?<!\S)(?:[~.]{0,2}[/\\]|\w{1,9}:[/\\])\S+|[^\s@]{1,64}@\S+|[^\s.]{1,64}\.[a-z0-9]{1,5}\b"
)
"""What is a part of a path, an address or a file's name asks for nothing: `/to/move/x` for no move."""
_BACK: Final = pattern(
    r"\b(?:it|its|them|their|this|that|these|those|there|here|both|each|all)\b", re.IGNORECASE
)
_WORD: Final = pattern(r"[A-Za-z]+(?:'[a-z]+)?")
_BREAK: Final = pattern(r"[.!?:;,\n\d)(-]")
_FILE: Final = r"[^\s\"'`\u2019\u201d@]*(?:/[^\s\"'`\u2019\u201d@]*|\.[a-z]\w{0,7}\b)"
_INTO: Final = pattern(
    r"\b(?:to|into|onto|as|called|named|over|(?:end|top|bottom|beginning|start) of)\s+"
    r"(?:(?:the|a|my|new|file)\s+){0,3}"
    rf"[\"'`\u2018\u201c]?({_FILE})"
)
"""What a clause says that something is put into, among files."""
SEVERAL_WORDS: Final = 3
"""From so many on, what stands in the words may say something else than what it was cut out of."""
_OPENS: Final = frozenset(".,;:!?([{\"'`\u2018\u201c")
_CLOSES: Final = frozenset(".;:!?)]}\"'`\u2019\u201d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One verb's part of a sentence, or several that nothing cuts apart."""

    text: str  # folded
    verbs: frozenset[str]
    names: bool  # something is named in it
    back: bool  # it speaks of something that was named before
    into: frozenset[str]  # files that something is put into
    states: bool  # neither orders nor asks: `her address is ann@x.org`


def clauses_of(text: str) -> tuple[Clause, ...]:
    """The clauses of a text, in their order."""
    found = []
    for sentence in _ENDS.split(text):
        start = 0
        for cut in _NEXT.finditer(sentence):
            word = vocabulary.stem(cut[1])
            if word in vocabulary.DEEDS and not vocabulary.points(word):
                found.append(sentence[start : cut.start()])
                start = cut.end()
        found.append(sentence[start:])
    return tuple(_clause(each) for each in found if each.strip())


def _clause(text: str) -> Clause:
    verbs = frozenset(verbs_in(text))
    return Clause(
        text=text.casefold(),
        verbs=verbs,
        names=_NAMED.search(text) is not None,
        back=_BACK.search(text) is not None,
        into=frozenset(each.rstrip(".,;:!?") for each in _INTO.findall(text.casefold()) if "://" not in each),
        states=verbs.isdisjoint(vocabulary.DEEDS)
        and verbs.isdisjoint(vocabulary.READS)
        and not text.endswith("?"),
    )


def asked_of(
    value: str, clauses: tuple[Clause, ...], beside: frozenset[str] = frozenset()
) -> frozenset[str] | None:
    """The verbs that are said of what is called so; None where any of the words' verbs may be meant.

    A file beside which a clause names another one to put something into is only what that comes from:
    "write a summary of A to B". Unless the call names the other one too, in `beside`: "move A to B".
    """
    folded = value.strip().casefold()
    at = [n for n, each in enumerate(clauses) if stands_in(folded, each.text)] if folded else []
    if not at or any(clauses[n].states for n in at):
        return None
    file = re.fullmatch(_FILE, folded) is not None
    about = [
        each.verbs
        for n, each in enumerate(clauses)
        if (n in at or not each.names or (each.back and n > at[0]))
        and not (file and each.into and folded not in each.into and each.into.isdisjoint(beside))
    ]
    return frozenset[str]().union(*about)


def is_cut(value: str, clauses: tuple[Clause, ...], kinds: frozenset[str]) -> bool:
    """Whether a text of several words goes on in the words, or began before: `DELETE FROM a` of `… WHERE b`.

    `kinds` are words that may stand before it: what such a thing is called.
    """
    folded = value.strip().casefold()
    if len(folded.split()) < SEVERAL_WORDS:
        return False
    found = [each.text for each in clauses if stands_in(folded, each.text)]
    return bool(found) and not any(_is_whole(folded, text, kinds) for text in found)


def _is_whole(folded: str, text: str, kinds: frozenset[str]) -> bool:
    start = text.find(folded)
    while start >= 0:
        before, after = text[:start].rstrip(), text[start + len(folded) :].lstrip()
        lead = vocabulary.stems(before)[-1:]
        begins = not before or before[-1] in _OPENS or (bool(lead) and _leads(lead[0], kinds))
        if begins and (not after or after[0] in _CLOSES):
            return True
        start = text.find(folded, start + 1)
    return False


def _leads(word: str, kinds: frozenset[str]) -> bool:
    known = word in vocabulary.DEEDS or word in vocabulary.EMPTY or word in vocabulary.TOPICS
    return known or word in kinds


def verbs_in(text: str) -> list[str]:
    """The words that can be meant as verbs: `email Ann` asks for a mail, `my emails` does not."""
    return [verb for verb, _ in orders_in(text)]


def orders_in(text: str) -> Iterator[tuple[str, str]]:
    """The same, each with what follows it."""
    before, end = "", 0
    text = _CALLED.sub("_", text)
    for match in _WORD.finditer(text):
        word = vocabulary.stem(match[0])
        broken = not end or _BREAK.search(text[end : match.start()]) is not None
        ordered = not vocabulary.points(word) and before not in vocabulary.STATES
        if ordered or broken or before in vocabulary.BEFORE_VERBS:
            yield word, text[match.end() :]
        before, end = match[0].lower(), match.end()
