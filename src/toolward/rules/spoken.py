"""The user's own words: whether a value was said, and not merely cut out of something that was."""

from __future__ import annotations

from typing import Final

_PART_OF_A_PATH: Final = frozenset("/\\~.%")
_JOINS: Final = frozenset("._-/\\@:+~%#=&?$")
_GOES_ON: Final = frozenset("./\\~*_")


def spoken_words(*texts: str) -> str:
    """The user's own words, as values are compared with them."""
    return "\n".join(text.casefold() for text in texts if text)


def stands_in(value: str, words: str) -> bool:
    """Whether `value` stands in `words` as a whole, not as a part of a longer word, number, path or address.

    `/etc` does not stand in `/etc/hosts`, `100` not in `1,100` or `100.50`, `bob@x.y` not in `not.bob@x.y`.
    Sentence marks end a value, so `bob@x.y` stands in `write to bob@x.y.` Nothing stands nowhere.
    """
    start = words.find(value) if value else -1
    while start >= 0:
        if _begins(words, start, value[0]) and _ends(words, start + len(value)):
            return True
        start = words.find(value, start + 1)
    return False


def _begins(words: str, start: int, first: str) -> bool:
    before = words[start - 1] if start else " "
    if before.isalnum() or before in _PART_OF_A_PATH:
        return False
    beyond = words[start - 2] if start > 1 else " "
    if before == ",":
        return not (beyond.isdigit() and first.isdigit())
    if before in ":=":  # `to:bob`, but not the path of `c:/data` or the rest of an address
        return first not in _PART_OF_A_PATH
    return not (before in _JOINS and beyond.isalnum())


def _ends(words: str, end: int) -> bool:
    after = words[end] if end < len(words) else " "
    if after.isalnum():
        return False
    beyond = words[end + 1] if end + 1 < len(words) else " "
    if after == ",":
        return not (words[end - 1].isdigit() and beyond.isdigit())
    return not (after in _JOINS and (beyond.isalnum() or beyond in _GOES_ON))
