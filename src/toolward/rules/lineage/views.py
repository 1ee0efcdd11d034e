"""What a text says once its encodings are undone, in every order, within bounds.

A view is a guess: most are noise. So views only ever take trust away or withhold; they prove nothing.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import zlib
from collections.abc import Callable, Iterator
from string import ascii_lowercase, ascii_uppercase, hexdigits
from typing import Any, Final
from urllib.parse import unquote

import orjson

from toolward.rules.lineage.leaves import leaves_of, names_in

DEPTH_MAX: Final = 3
"""Encodings inside each other that are undone."""
VIEWS_MAX: Final = 48
"""Decoded texts of one value that are looked at."""
VIEW_CHARS_MAX: Final = 65_536
"""All decoded texts of one value together; a packed text is unpacked to no more than this."""
RUNS_MAX: Final = 16
"""Runs of one text that are taken for encoded ones; a text of many is read as one run as well."""
RUN_CHARS_MIN: Final = 10
"""A shorter run holds no more than seven bytes, and is everywhere."""
WORD_CHARS_MAX: Final = 4 * RUN_CHARS_MIN
"""A run of so many small letters is no word."""
LABELS_MAX: Final = 12
"""Of a host's name that are read together."""
PLAIN_CHARS_MAX: Final = 4_096
"""Of texts that are looked at together for whether anything in them is encoded."""
SHORT_BYTES: Final = 48
"""Of decoded data in which four characters in a row are taken for a text; in longer data twelve are: noise
has four everywhere."""
TURNED_CHARS_MAX: Final = 4_096
"""Of a run that is read backwards too."""

_CHARACTER: Final = (
    rb"(?:[\t\n\r\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2})"
)
_BYTE: Final = rb"[\t\n\r\x20-\x7e\x80-\xbf\xc2-\xf0]"
"""Any of a character: most noise is given up for want of these alone."""
_TEXT: Final = re.compile(rb"(?=" + _BYTE + rb"{4})" + _CHARACTER + rb"{4,}+")
_LONG_TEXT: Final = re.compile(rb"(?=" + _BYTE + rb"{12})" + _CHARACTER + rb"{12,}+")
_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]{10,}")  # of at least RUN_CHARS_MIN, as the next three
_ANY_DIGIT: Final = re.compile(r"[0-9]")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{10,}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){5,}[0-9A-Fa-f]?")
_BASE32: Final = re.compile(r"[A-Z2-7]{10,}|[a-z2-7]{10,}")
_IN_A_ROW: Final = b"1" * RUN_CHARS_MIN
_HEX_DIGITS, _CAPITALS, _SMALL = (
    bytes(ord("1") if chr(each) in characters else 0 for each in range(256))
    for characters in (hexdigits, f"{ascii_uppercase}234567", f"{ascii_lowercase}234567")
)
"""What the two expressions above take."""
_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY: Final = re.compile(r"&#?\w{2,}")
_ESCAPE: Final = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([0-7]{3})|(.))"
)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_SPACED_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[\s:,.-]{1,2}){3}")
_BEGINS_JSON: Final = frozenset('{["')
_CLASSES: Final = bytes(
    ord(
        "h"
        if chr(each) in hexdigits
        else "_"
        if chr(each).isspace() or chr(each) in ":,.-"
        else "x"
        if each == ord("x")
        else "."
    )
    for each in range(256)
)
"""What `_SPACED_HEX` tells apart: digits, what may stand between two, an `x`, all else."""
_MAYBE_SPACED_HEX: Final = re.compile(rb"hh__?(?:.x)?hh__?(?:.x)?hh_")
"""All that `_SPACED_HEX` finds has this shape; it begins as it does, so that it is looked for in no time."""
_HEX_JOINTS: Final = re.compile(r"\\x|0x|[\s:,.-]")
_JOINTS: Final = re.compile(r"[\s.\"',;|]+")
_TWO_DOTS: Final = re.compile(r"\.[^\s.]*\.")
_LABELS: Final = re.compile(r"(?<![\w-])[\w-]{1,63}(?:\.[\w-]{1,63}){2,}")
_PACKED: Final = (
    (b"\x1f\x8b\x08", 31, "gzip"),
    (b"\x78\x9c", 15, "zlib"),
    (b"\x78\xda", 15, "zlib"),
    (b"\x78\x01", 15, "zlib"),
    (b"\x78\x5e", 15, "zlib"),
)
_PACKED_WITHIN: Final = 64
"""Bytes at the front of decoded data in which a packed text is looked for."""


def views_of(text: str) -> Iterator[tuple[str, str]]:
    """Name and text of every view; the name lists the encodings in the order in which they were undone."""
    seen = {text}
    left = VIEW_CHARS_MAX
    level: list[tuple[str, str]] = [("", text)]
    for _ in range(DEPTH_MAX):
        below: list[tuple[str, str]] = []
        for name, coded in level:
            for step, view in _undone(coded):
                if view in seen:
                    continue
                seen.add(view)
                left -= len(view)
                if len(seen) > VIEWS_MAX or left < 0:
                    return
                below.append((f"{name} {step}".lstrip(), view))
                yield below[-1]
        level = below


def are_plain(texts: list[str]) -> bool:
    """Whether none of these texts has a view: one look at all together, which may say no too often."""
    joined = "\n".join(texts)
    if len(joined) > PLAIN_CHARS_MAX or "%" in joined or "&" in joined or "\\" in joined:
        return False
    if not _BEGINS_JSON.isdisjoint([each[:1] for each in texts]):
        return False
    pieces = joined.split()
    if _encoded(pieces) or _TWO_DOTS.search(joined) or _is_spaced_hex(joined):
        return False
    return not any(_are_odd(each.split()) for each in texts)


def _undone(text: str) -> Iterator[tuple[str, str]]:
    """Every way to read a text as an encoded one."""
    if "%" in text and _PERCENT.search(text):
        yield "percent", unquote(text)
    if "&" in text and _ENTITY.search(text):
        yield "html", html.unescape(text)
    if "\\" in text:
        plain = _ESCAPE.sub(_unescaped, text)
        yield "escapes", plain
        if not plain.isascii() and (wide := _bytes_as_text(plain)):
            yield "escapes", wide
    if text[:1] in _BEGINS_JSON and (said := _said(text)):
        yield "json", said
    yield from _runs(text)
    dotted = [each for each in text.split() if each.count(".") > 1] if _TWO_DOTS.search(text) else []
    if dotted and (labels := _LABELS.search(" ".join(dotted))) is not None:
        yield from _named(labels[0].split("."))


def _named(parts: list[str]) -> Iterator[tuple[str, str]]:
    """What the name of a host says: some of its first labels, which may hold what was encoded, in one."""
    for count in range(1, min(len(parts), LABELS_MAX)):
        run = "".join(parts[:count])
        if count > 1:
            yield "dns", run
        # elsewhere no run of small letters is taken for base32
        if len(run) >= RUN_CHARS_MIN and _is_word(run):
            for data in _from_base32(run):
                yield from _read("dns base32", data)
    yield from (("dns " + step, view) for step, view in _runs("".join(parts)))


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code:
        number = int(code, 16)
        return chr(number) if number <= 0x10FFFF else ""  # noqa: PLR2004 -- the last character there is
    return chr(int(found[4], 8)) if found[4] else _ESCAPED.get(found[5], found[5])


def _bytes_as_text(text: str) -> str:
    """What characters up to 255 say where each was a byte of UTF-8; "" where they were none."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return ""


def _said(text: str) -> str:
    """The values and names of a JSON text, one a line; "" if it is none."""
    try:
        value: Any = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return ""
    if isinstance(value, str):
        return value
    return "\n".join([*(str(leaf) for _, leaf in leaves_of(value)), *names_in(value)])


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """What its runs are in base64 (at any offset), hex and base32, unpacked where they are packed."""
    pieces = text.split()
    runs = _encoded(pieces)
    if _is_spaced_hex(text):
        runs.append(_HEX_JOINTS.sub("", text))
    if len(runs) != 1 and _are_odd(pieces):
        runs.append(_JOINTS.sub("", text))
    for run in dict.fromkeys(runs[:RUNS_MAX]):
        for name, decode in _CODINGS:
            for data in decode(run):
                yield from _read(name, data)
        if len(run) <= TURNED_CHARS_MAX:
            for name, decode in _CODINGS:
                for data in decode(run[::-1]):
                    yield from _read(f"reversed {name}", data)


def _encoded(pieces: list[str]) -> list[str]:
    """The runs in pieces of a text that are no words; none goes from one piece into the next."""
    long = [each for each in pieces if len(each) >= RUN_CHARS_MIN and not (each.isalpha() and _is_word(each))]
    return [run for run in _RUN.findall(" ".join(long)) if not _is_word(run)] if long else []


def _is_spaced_hex(text: str) -> bool:
    if text.isascii() and _MAYBE_SPACED_HEX.search(text.encode().translate(_CLASSES)) is None:
        return False
    return _SPACED_HEX.search(text) is not None


def _is_word(run: str) -> bool:
    """Whether a run is words, joined perhaps, and nothing that was encoded."""
    return len(run) < WORD_CHARS_MAX and run[1:].islower() and _ANY_DIGIT.search(run) is None


def _are_odd(pieces: list[str]) -> bool:
    """Whether a text of several pieces is of some that are no words."""
    if len(pieces) < 2:  # noqa: PLR2004 -- several
        return False
    words = list(filter(str.isalpha, pieces))
    small = sum(map(str.islower, words))
    return small * 2 <= len(pieces) and (small + sum(map(str.istitle, words))) * 2 <= len(pieces)


def _from_base64(run: str) -> Iterator[bytes]:
    if run.isupper() and run.isalpha():
        return  # a word, or base32
    for part in _BASE64.findall(run):
        plain = part.replace("-", "+").replace("_", "/").encode()
        for offset in range(min(4, len(plain))):
            cut = plain[offset:]
            yield binascii.a2b_base64(cut[: len(cut) // 4 * 4] + _tail(cut))


def _tail(cut: bytes) -> bytes:
    """The last one or two bytes of a run that is no whole number of groups."""
    rest = cut[len(cut) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _has_run(text: str, table: bytes) -> bool:
    """Whether `RUN_CHARS_MIN` characters of a table stand in a row: an expression takes ten times as long."""
    return _IN_A_ROW in text.encode("utf-8", "replace").translate(table)


def _from_hex(run: str) -> Iterator[bytes]:
    if not _has_run(run, _HEX_DIGITS):
        return
    for part in _HEX.findall(run):
        for offset in (0, 1):
            cut = part[offset:]
            yield bytes.fromhex(cut[: len(cut) // 2 * 2])


def _from_base32(run: str) -> Iterator[bytes]:
    if not (_has_run(run, _CAPITALS) or _has_run(run, _SMALL)):
        return
    for part in _BASE32.findall(run):
        cut = part.upper()
        if len(cut) % 8 in (1, 3, 6):
            cut = cut[:-1]
        yield base64.b32decode(cut + "=" * (-len(cut) % 8))


_CODINGS: Final[tuple[tuple[str, Callable[[str], Iterator[bytes]]], ...]] = (
    ("base64", _from_base64),
    ("hex", _from_hex),
    ("base32", _from_base32),
)


def _read(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    """The text in decoded bytes, and what is packed in them."""
    for magic, bits, packing in _PACKED:
        start = data.find(magic, 0, _PACKED_WITHIN)
        if start >= 0 and (inside := _unpacked(data[start:], bits)):
            yield from _read(f"{name} {packing}", inside)
            return
    if data.count(0) * 3 >= len(data):
        data = data.replace(b"\0", b"")  # sixteen bits for each character
    found = (_TEXT if len(data) <= SHORT_BYTES else _LONG_TEXT).findall(data)
    if found:
        yield name, b"\n".join(found).decode("utf-8", errors="replace")


def _unpacked(data: bytes, bits: int) -> bytes:
    try:
        return zlib.decompressobj(bits).decompress(data, VIEW_CHARS_MAX)
    except zlib.error:
        return b""
