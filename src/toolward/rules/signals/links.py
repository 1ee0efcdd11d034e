"""Links and pictures in a text that a person's program may load or follow: a way out that no call mediates.

Markdown (inline and by reference), HTML and bare URLs are read as renderers do, more willingly rather than
less. A link *carries* something when its query, its fragment, a part of its path or a label of its host is
long enough to hold data; a picture is loaded without anybody's asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import re2

PAYLOAD_CHARS_MIN: Final = 24
"""In a query or fragment: a page number, a language and an anchor are shorter."""
PART_CHARS_MIN: Final = 40
"""In one part of a path or of a host: names and digests of files are shorter, or have an ending."""
LINKS_MAX: Final = 4_096
"""Links of one text that are looked at, some microseconds each; past this the text counts as carrying one."""
_LEADING: Final = "a|area|link|iframe|video|audio|source|object|embed|form"
_TARGET: Final = "href|src|data|action|poster"
_PATTERNS: Final = (
    r"(?P<image>!?)\[[^\[\]\n]{0,500}\]\(\s*<?(?P<url>[^)\s>]{4,})",
    r"(?m:^)\s{0,3}\[(?P<label>[^\[\]\n]{1,200})\]:\s*<?(?P<url>[^\s>]{4,})",
    r"(?i:<img\b[^>]{0,500}?\bsrc\s*=\s*[\"']?)(?P<url>[^\"'\s>]{4,})",
    rf"(?i:<(?:{_LEADING})\b[^>]{{0,500}}?\b(?:{_TARGET})\s*=\s*[\"']?)(?P<url>[^\"'\s>]{{4,}})",
    r"\b(?P<url>[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s<>\"'\)\]]{3,})",
)
_INLINE, _REFERENCE, _IMG, _TAG, _BARE = range(5)
_USED_AS_IMAGE: Final = r"!\[([^\[\]\n]{0,200})\]\[([^\[\]\n]{0,200})\]|!\[([^\[\]\n]{1,200})\](?:[^\(\[:]|$)"


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads. `image`: it is loaded when the text is shown. `carries`: there is room for data."""

    url: str
    host: str
    image: bool
    carries: bool


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[Any, ...], Any]:
    return tuple(re2.compile(each) for each in _PATTERNS), re2.compile(_USED_AS_IMAGE)


def has_links(text: bytes) -> bool:
    """Whether it is worth while to look: mostly not. One character is found much faster than two."""
    return (
        b"<" in text
        or (b"/" in text and b"://" in text)
        or (b"]" in text and (b"](" in text or b"]:" in text))
    )


def links_in(text: bytes) -> list[Link]:
    """Every link of a text, each URL once, and an image where it is one anywhere.

    Of a text of more than `LINKS_MAX` the last one stands for the rest: a picture that carries something.
    """
    if not has_links(text):
        return []
    said = text.decode("utf-8", "replace")
    found: dict[str, bool] = {}
    rest: list[Link] = []
    for tries, (url, image) in enumerate(_urls(said)):
        if tries >= LINKS_MAX:
            rest.append(Link("", "", image=True, carries=True))
            break
        found[url] = found.get(url, False) or image
    return [link for url, image in found.items() if (link := _read(url, image=image)) is not None] + rest


def _urls(said: str) -> Iterator[tuple[str, bool]]:
    patterns, used = _patterns()
    for match in patterns[_INLINE].finditer(said):
        yield match.group("url"), match.group("image") == "!"
    if "]:" in said:
        uses = list(islice(used.finditer(said), LINKS_MAX + 1))
        images = {name.strip().casefold() for use in uses for name in use.groups() if name is not None}
        for match in patterns[_REFERENCE].finditer(said):
            image = len(uses) > LINKS_MAX or match.group("label").strip().casefold() in images
            yield match.group("url"), image
    if "<" in said:
        for match in patterns[_IMG].finditer(said):
            yield match.group("url"), True
        for match in patterns[_TAG].finditer(said):
            yield match.group("url"), False
    for match in patterns[_BARE].finditer(said):
        yield match.group("url").rstrip(".,;:!?"), False


def _read(url: str, *, image: bool) -> Link | None:
    """None for what leads to no other host: anchors, paths, `mailto:`."""
    try:
        parts = urlsplit(f"https:{url}" if url.startswith("//") else url)
        host = (parts.hostname or "").casefold()
    except ValueError:
        return Link(url, "", image, carries=True)  # no reader can say where it leads
    if not host:
        return None
    return Link(url, host, image, carries=_carries(host, parts.path, parts.query, parts.fragment))


def _carries(host: str, path: str, query: str, fragment: str) -> bool:
    if len(query) >= PAYLOAD_CHARS_MIN or len(fragment) >= PAYLOAD_CHARS_MIN:
        return True
    if any(len(label) >= PART_CHARS_MIN for label in host.split(".")):
        return True
    return any(_is_payload(part) for part in unquote(path).split("/"))


def _is_payload(part: str) -> bool:
    """Long, and no name of words: `how-to-file-a-report-about-a-broken-device` is one."""
    if len(part) < PART_CHARS_MIN:
        return False
    words = [word for word in part.replace("_", "-").replace("+", "-").split("-") if word]
    return any(len(word) >= PAYLOAD_CHARS_MIN for word in words) or not all(
        word.isalpha() and word.islower() for word in words
    )
