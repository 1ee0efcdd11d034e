"""Whether a text holds something of a confidential result, in the open or encoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from msgspec.structs import replace

from toolward.model.label import CONFIDENTIAL
from toolward.model.lineage import How, Source, SourceKind
from toolward.rules.lineage.atoms import (
    ANCHOR,
    APART_CHARS_MAX,
    PART_CHARS_MIN,
    all_pieces,
    apart_key,
    apart_key_of,
    apart_keys,
    identifiers,
    is_date,
    may_be_day,
    pieces_of,
    signs_of,
    spelled,
    spelled_apart,
    tells,
    tokens_of,
)
from toolward.rules.lineage.grams import BLOCK, PROSE_BLOCKS_MIN, either_way, is_prose, runs_of, shared
from toolward.rules.lineage.index import Index
from toolward.rules.lineage.pages import Page
from toolward.rules.lineage.spelling import canonical_text, squeezed, squeezed_lines
from toolward.rules.lineage.views import views_of

READ_CHARS_MAX: Final = 65_536
"""Of one text; comparing all of it takes some 20 ms."""
SOURCES_MAX: Final = 4
"""Of one value; one is enough to withhold it, a few show a person where it comes from."""
DIGITS_MAX: Final = 4_096
"""Of one text at which identifiers inside longer runs are looked for; what stands behind is not."""
LIKE_MAX: Final = 64
"""So many identifiers that end as digits of a text do are looked for anywhere in it first."""
EARLIER_MAX: Final = 4
"""Results that are looked through for whether a run of letters was known before."""
LINES_MAX: Final = 64
"""Lines of a decoded text that are compared as values of their own."""
JOINED_CHARS_MAX: Final = DIGITS_MAX
"""Of texts that are looked at together: as much as is looked through of one for whatever is looked for."""
GLUED_MAX: Final = 8
"""Letters that may stand glued to the front of a mail address: what an encoding at another offset adds."""

_DIGIT: Final = re.compile(r"\d")
_TAIL: Final = re.compile(rf"\d(?<=(.{{{ANCHOR}}}))", re.DOTALL)
"""Each digit, with what stands before it."""
_ASCII_TAIL: Final = re.compile(rf"[0-9](?<=(.{{{ANCHOR}}}))", re.DOTALL)
"""The same, in half the time."""
_FILLER: Final = " " * (ANCHOR - 1)
_SIZES: Final = tuple(range(1, ANCHOR + 1))
_REVERSED: Final = "reversed"


def source_of(page: Page, pointer: str, how: How) -> Source:
    """A place as a source."""
    return Source(SourceKind.RESULT, page.call_id, page.label, pointer, how)


def confidential_in(text: str, canonical: str, index: Index, *, clear: bool = False) -> list[Source]:
    """Up to `SOURCES_MAX` confidential places of which `text` (`canonical`, as compared) holds something.

    `clear` says that `are_clear` was asked of it. A text too long to be looked through counts as one that
    holds something.
    """
    if len(text) > READ_CHARS_MAX:
        return [source_of(page, "", How.GRAM) for page in islice(index.words.values(), 1)]
    if not clear and (found := _gathered(_held_in(canonical, index))):
        return found
    views = list(views_of(text))
    if not views or _are_clear_views([decoded for _, decoded in views], index):
        return []
    for view, decoded in views:
        found = _gathered(_in_view(decoded, index))
        if found:
            return [replace(each, how=How.VIEW, view=view) for each in found]
    return []


def are_clear(texts: list[str], canonicals: list[str], index: Index) -> bool:
    """Whether no text is too long or holds something confidential in the open: one look at all together.

    It may say no where there is nothing, and never yes where there is something: it looks up every key and
    run that a look at each text does. Nothing matches across two of them, for what stands in between is in no
    canonical text.
    """
    return max(map(len, texts), default=0) <= READ_CHARS_MAX and _are_clear(canonicals, canonicals, index)


def _are_clear_views(decoded: list[str], index: Index) -> bool:
    """The same of decoded texts, and of their lines."""
    lines = [line for text in decoded for line in _lines_of(text)]
    texts = [canonical_text(each) for each in decoded]
    return _are_clear(texts, texts + [canonical_text(each) for each in lines], index)


def _are_clear(texts: list[str], values: list[str], index: Index) -> bool:
    """Whether nothing stands in the texts, and none of `values` is something as a whole."""
    text = "\n".join(texts)
    if len(text) > JOINED_CHARS_MAX:
        return False
    words = index.words.keys()
    if not (words.isdisjoint(values) and words.isdisjoint([each[::-1] for each in values])):
        return False
    tokens = tokens_of(text)
    signs = signs_of(tokens)
    keys = _all_keys(text, values, tokens, signs, index.hosts)
    if not all(kept.keys().isdisjoint(keys) for kept in index.secrets):
        return False
    letters = squeezed_lines(text)
    return not (signs and _may_hide(_tails(letters), letters, index)) and not index.blocks_in(letters)


def _all_keys(
    text: str, values: list[str], tokens: list[str], signs: list[str], hosts: set[str]
) -> list[str]:
    """Every key of `_whole` of the values and of `_identified`, and some more, of all of them together."""
    told = identifiers(signs)
    told.update(all_pieces(signs))
    long = [each for each in told if len(each) >= PART_CHARS_MIN]
    long = [each for each in long if not each[0].isdigit() or tells(each, squeezed(each))]  # no days
    short = [each for each in (*long, *values) if len(each) <= APART_CHARS_MAX]
    letters = squeezed_lines("\n".join(short))
    keys = [*long, *[each[::-1] for each in long], *apart_keys(letters), *apart_keys(letters[::-1])]
    for token in long:
        name, _, host = token.partition("@")
        if host in hosts:
            keys += [token[at:] for at in range(1, min(len(name), GLUED_MAX))]
    other = spelled(told.union(values))
    if len(tokens) > 1:
        other += spelled_apart(text, tokens, signs)
    days = any(map(may_be_day, values))  # else those in a text are no secret
    return keys + [each for each in other if days or not is_date(each)]


def _held_in(canonical: str, index: Index) -> Iterator[Source]:
    """Confidential identifiers and runs of characters in a canonical text; for one word, the word itself."""
    yield from _words(canonical, index)
    letters = squeezed(canonical)
    keys = _whole(canonical, letters)
    tokens = tokens_of(canonical)
    if signs := signs_of(tokens):
        _identified(keys, canonical, tokens, signs, index.hosts)
    yield from _secrets(index, keys)
    if signs:
        yield from _glued(letters, index)
    if len(letters) >= BLOCK:
        yield from _runs(letters, index)


def _words(canonical: str, index: Index) -> Iterator[Source]:
    """The value as a word there, or as one read backwards."""
    words, turned = index.words, canonical[::-1]
    if (page := words.get(canonical)) is not None:
        yield source_of(page, index.shelf.place(page, canonical)[0], How.WORD)
    if (page := words.get(turned)) is not None and len(canonical) >= PART_CHARS_MIN:
        yield replace(source_of(page, index.shelf.place(page, turned)[0], How.VIEW), view=_REVERSED)


def _whole(canonical: str, letters: str) -> dict[str, str]:
    """The keys of the value with its joints elsewhere or in another spelling, and how each has to be read."""
    keys = dict.fromkeys(spelled({canonical}), "") if not canonical.isalnum() else {}
    apart = apart_key_of(canonical, letters)
    return {apart: "", **keys} if apart else keys


def _identified(
    keys: dict[str, str], canonical: str, tokens: list[str], signs: list[str], hosts: set[str]
) -> None:
    """Put in the keys of the identifiers that stand in it."""
    told = identifiers(signs)
    told.update([piece for token in tuple(told) if not token.isalnum() for piece in pieces_of(token)])
    for token in told:
        letters = squeezed(token)
        if tells(token, letters):
            keys.setdefault(token, "")
            _beside(keys, token, letters, hosts)
    for key in spelled(told):
        if not is_date(key) and len(key) >= PART_CHARS_MIN:
            keys.setdefault(key, "")
    if len(tokens) > 1:
        for key in spelled_apart(canonical, tokens, signs):
            if not is_date(key):
                keys.setdefault(key, "")


def _beside(keys: dict[str, str], token: str, letters: str, hosts: set[str]) -> None:
    """Put in the keys of an identifier with its joints elsewhere, backwards, or with letters before it."""
    apart = apart_key_of(token, letters)
    keys.setdefault(apart, "")
    keys.setdefault(token[::-1], _REVERSED)
    if apart:
        keys.setdefault(apart_key_of(token, letters[::-1]), _REVERSED)
    name, _, host = token.partition("@")
    if host in hosts:
        for at in range(1, min(len(name), GLUED_MAX)):
            keys.setdefault(token[at:], "")


def _in_view(decoded: str, index: Index) -> Iterator[Source]:
    """As `_held_in`, line by line too: a decoded text may be several values, or one among noise."""
    yield from _held_in(canonical_text(decoded), index)
    for line in _lines_of(decoded):
        canonical = canonical_text(line)
        yield from _words(canonical, index)
        yield from _secrets(index, _whole(canonical, squeezed(canonical)))


def _lines_of(decoded: str) -> list[str]:
    """The lines of a decoded text that has several."""
    lines = decoded.splitlines()
    return lines[:LINES_MAX] if len(lines) > 1 else []


def _secrets(index: Index, keys: dict[str, str]) -> Iterator[Source]:
    """The confidential places of keys; nearly always there are none."""
    if all(kept.keys().isdisjoint(keys) for kept in index.secrets):
        return
    for key, view in keys.items():
        for each in _secret(index, key, How.VIEW if view else How.PART):
            yield replace(each, view=view) if view else each


def _secret(index: Index, key: str, how: How) -> Iterator[Source]:
    """The confidential places of a key, unless the session knew it before from elsewhere."""
    for kept in index.secrets:  # nearly always it is in none
        if key in kept:
            break
    else:
        return
    pages = index.pages(key)
    for page in pages:
        if page.label.confidentiality is not CONFIDENTIAL:
            continue
        known = any(
            each.serial < page.serial and each.label.confidentiality is not CONFIDENTIAL for each in pages
        )
        if not known:
            yield source_of(page, pointer_of(index, page, key), how)


def pointer_of(index: Index, page: Page, key: str) -> str:
    """Where a key stands in a page, whatever its spelling there."""
    return index.shelf.place(page, key)[0] or index.shelf.respelled(page, key)


def _glued(letters: str, index: Index) -> Iterator[Source]:
    """Identifiers with other letters before or behind them, or with something between their own."""
    tails, hidden = _tails(letters), index.hidden
    if not _may_hide(tails, letters, index):
        return
    digits = [found.start() for found in islice(_DIGIT.finditer(letters), DIGITS_MAX)]
    for at, tail in zip(digits, tails, strict=True):
        for size in _SIZES:
            for before, each in hidden.get(tail[-size:], ()):
                if at >= before and letters.startswith(each, at - before):
                    yield from _secret(index, apart_key(each), How.PART)
                    yield from _secret(index, apart_key(each[::-1]), How.PART)


def _tails(letters: str) -> list[str]:
    """The letters up to each of the first digits."""
    return (_ASCII_TAIL if letters.isascii() else _TAIL).findall(_FILLER + letters)[:DIGITS_MAX]


def _may_hide(tails: list[str], letters: str, index: Index) -> bool:
    """Whether a confidential identifier stands in these letters; yes, where many of them would fit."""
    hidden = index.hidden
    near = hidden.keys() & [tail[-size:] for size in _SIZES for tail in tails] if hidden else ()
    like = [each for end in near for _, each in hidden[end]]
    return len(like) > LIKE_MAX or any(each in letters for each in like)


def _runs(letters: str, index: Index) -> Iterator[Source]:
    found = index.blocks_in(letters)
    if not found:
        return
    earlier = _told_before(runs_of(letters), index)
    prose: set[str] = set()
    for block in found:
        page = index.blocks[either_way(block)]
        if any(each.serial < page.serial and index.shelf.holds(each, block) for each in earlier):
            continue  # known before from where it is not confidential
        prose.add(block)
        if not is_prose(block) or len(prose) >= PROSE_BLOCKS_MIN:
            yield source_of(page, index.shelf.holding(page, block), How.GRAM)


def _told_before(runs: list[str], index: Index) -> list[Page]:
    """A few results that are not confidential and share a run with a text.

    Their blocks begin elsewhere than those of the secret: what they hold is looked up in what they said.
    """
    passing = index.passing_blocks
    told = (*shared(runs, passing.young), *shared(runs, passing.old))
    pages = {page.serial: page for run in told if (page := passing.get(run)) is not None}
    return list(pages.values())[:EARLIER_MAX]


def _gathered(found: Iterator[Source]) -> list[Source]:
    """The first few, each place once."""
    out: dict[tuple[str, str], Source] = {}
    for each in found:
        out.setdefault((each.reference, each.pointer), each)
        if len(out) >= SOURCES_MAX:
            break
    return list(out.values())
