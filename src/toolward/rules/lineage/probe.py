"""Whether a text holds something of a confidential result, in the open or encoded."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from toolward.model.label import Confidentiality
from toolward.model.lineage import How, Source, SourceKind
from toolward.rules.lineage.atoms import (
    PART_CHARS_MIN,
    apart_key,
    identifiers,
    pieces_of,
    spelled,
    spelled_apart,
    tells,
    tokens_of,
)
from toolward.rules.lineage.grams import PROBED_CHARS_MAX, PROSE_BLOCKS_MIN, is_prose, shared
from toolward.rules.lineage.index import Index, Place
from toolward.rules.lineage.spelling import canonical_text, squeezed
from toolward.rules.lineage.views import views_of

SOURCES_MAX = 4
"""Of one value; one is enough to withhold it, a few show a person where it comes from."""


def source_of(place: Place, *, how: How | None = None, view: str = "") -> Source:
    """The place as a source."""
    return Source(
        SourceKind.RESULT, place.call_id, place.label, place.pointer, place.how if how is None else how, view
    )


def confidential_in(text: str, canonical: str, index: Index) -> list[Source]:
    """Up to `SOURCES_MAX` confidential places of which `text` (`canonical`, as compared) holds something."""
    found = _gathered(held_in(canonical, index))
    if found:
        return found
    for view, decoded in views_of(text):
        inside = canonical_text(decoded)
        found = _gathered(_in_view(inside, decoded, index))
        if found:
            return [replace(each, how=How.VIEW, view=view) for each in found]
    return []


def held_in(canonical: str, index: Index) -> Iterator[Source]:
    """Confidential identifiers and runs of characters in a canonical text; for one word, the word itself."""
    if (word := index.words.get(canonical)) is not None:
        yield source_of(word)
    yield from _whole(canonical, index)
    tokens = tokens_of(canonical)
    for token in identifiers(tokens):
        for part in (token, *pieces_of(token)):
            yield from _identifier(part, index)
    if len(tokens) > 1:
        for key in spelled_apart(canonical, tokens):
            if key[1] != "d":  # a date is no secret beside other words
                yield from _secret(index, key, How.PART)
    letters = squeezed(canonical)
    yield from _glued(letters, index)
    yield from _runs(letters, index)


def _in_view(canonical: str, decoded: str, index: Index) -> Iterator[Source]:
    """As `held_in`, line by line too: a decoded text may be several values, or one among noise."""
    yield from held_in(canonical, index)
    for line in decoded.splitlines()[1:] and decoded.splitlines()[:64]:
        inside = canonical_text(line)
        if (word := index.words.get(inside)) is not None:
            yield source_of(word)
        yield from _whole(inside, index)


def _whole(canonical: str, index: Index) -> Iterator[Source]:
    for key in (canonical, apart_key(canonical)):
        if key:
            yield from _secret(index, key, None if key is canonical else How.PART)


def _identifier(token: str, index: Index) -> Iterator[Source]:
    if not tells(token):
        return
    yield from _secret(index, token, How.PART)
    for key in spelled(token):
        yield from _secret(index, key, How.PART)
    if apart := apart_key(token):
        yield from _secret(index, apart, How.PART)


def _secret(index: Index, key: str, how: How | None) -> Iterator[Source]:
    """The confidential places of a key, unless the session knew it before from where it is not confidential.

    A value that stands whole (`how` None) is compared without that exception.
    """
    places = index.kept.get(key, ())
    for place in places:
        if place.label.confidentiality is not Confidentiality.CONFIDENTIAL:
            continue
        if how is not None and any(
            each.label.confidentiality is not Confidentiality.CONFIDENTIAL and each.serial < place.serial
            for each in index.places(key)
        ):
            return
        yield source_of(place, how=how)


def _glued(letters: str, index: Index) -> Iterator[Source]:
    """Identifiers with other letters before or behind them, or with something between their own."""
    starts = index.starts
    if not starts:
        return
    for at in range(min(len(letters), PROBED_CHARS_MAX) - PART_CHARS_MIN + 1):
        for each in starts.get(letters[at : at + PART_CHARS_MIN], ()):
            if letters.startswith(each, at):
                yield from _secret(index, apart_key(each), How.PART)


def _runs(letters: str, index: Index) -> Iterator[Source]:
    if len(letters) > PROBED_CHARS_MAX:
        first = next(iter(index.blocks.values()), None)
        if first is not None:
            yield source_of(first)  # too long to be looked through: it counts as found
        return
    prose: dict[str, Place] = {}
    for block in shared(letters, index.blocks):
        place = index.blocks[block]
        before = index.passing_blocks.get(block)
        if before is not None and before.serial < place.serial:
            continue  # known before from where it is not confidential
        if not is_prose(block):
            yield source_of(place)
        else:
            prose[block] = place
            if len(prose) >= PROSE_BLOCKS_MIN:
                yield source_of(place)


def _gathered(found: Iterator[Source]) -> list[Source]:
    """The first few, each place once."""
    out: dict[tuple[str, str], Source] = {}
    for each in found:
        out.setdefault((each.reference, each.pointer), each)
        if len(out) >= SOURCES_MAX:
            break
    return list(out.values())
