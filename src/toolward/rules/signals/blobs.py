"""Long runs of characters that say nothing to a reader: enciphered or packed, so nobody can look inside.

What decodes to text or to a file of a known kind is none of these: lineage looks at decoded text, and a
picture is a picture. Digests are too short, or of the lengths that digests have.
"""

from __future__ import annotations

import binascii
import math
from collections import Counter
from functools import lru_cache
from typing import Any, Final

import re2

RUN_CHARS_MIN: Final = 128
"""96 bytes in base64: shorter ones are identifiers, digests and signatures."""
DIGEST_CHARS: Final = frozenset({128})
"""Hexadecimal digests of this length or more; SHA-512 is the longest in use."""
SAMPLE_CHARS: Final = 4_096
"""Of each run: as much tells noise from text."""
RUNS_MAX: Final = 16
"""Runs of one text that are looked at; past this there is one, since nobody writes so many."""
NOISE_SHARE_MIN: Final = 0.85
"""Of the entropy that as many random bytes have: measured, those have 0.90 to 1.02, text at most 0.7."""
_PRINTABLE_SHARE: Final = 0.95
_FILES: Final = (
    *(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF", b"RIFF", b"OggS", b"ID3", b"\x00\x00\x00", b"wOF"),
    *(b"BM", b"II*\x00", b"MM\x00*", b"OTTO", b"\x00\x01\x00\x00"),
)
"""Beginnings of pictures, sound, video, documents, fonts. No archives: anything can be in one."""


@lru_cache(maxsize=1)
def _runs() -> Any:
    return re2.compile(rf"[A-Za-z0-9+/_=\-]{{{RUN_CHARS_MIN}}}[A-Za-z0-9+/_=\-]*".encode())


def holds_blob(text: bytes) -> bool:
    """Whether some run of the text is undecodable noise."""
    if len(text) < RUN_CHARS_MIN:
        return False
    for number, match in enumerate(_runs().finditer(text)):
        if number >= RUNS_MAX or is_noise(match.group()[:SAMPLE_CHARS]):
            return True
    return False


def is_noise(run: bytes) -> bool:
    """Whether a run of characters decodes to what looks drawn at random."""
    data = _decoded(run)
    if data is None:
        return False
    if data.startswith(_FILES) or _is_text(data):
        return False
    return entropy_share(data) >= NOISE_SHARE_MIN


def _decoded(run: bytes) -> bytes | None:
    """By the narrowest alphabet that fits: hexadecimal, then base64; None for words and digests."""
    body = run.rstrip(b"=")
    if body.isalpha():
        return None  # random base64 of this length has digits
    try:
        if all(char in b"0123456789abcdefABCDEF" for char in body):
            return None if len(body) in DIGEST_CHARS else bytes.fromhex(body[: len(body) & ~1].decode())
        whole = body[: len(body) & ~3].replace(b"-", b"+").replace(b"_", b"/").replace(b"=", b"")
        return binascii.a2b_base64(whole[: len(whole) & ~3])
    except (ValueError, binascii.Error):
        return None


def _is_text(data: bytes) -> bool:
    try:
        said = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 3:
            return False
        said = data[: error.start].decode("utf-8")
    return sum(char.isprintable() or char.isspace() for char in said) >= _PRINTABLE_SHARE * len(said)


def entropy_share(data: bytes) -> float:
    """Entropy for each byte, as a share of what as many random bytes would have on average."""
    count = len(data)
    if count < 2:  # noqa: PLR2004 -- one byte has none
        return 0.0
    bits = -sum(n / count * math.log2(n / count) for n in Counter(data).values())
    # of fewer than 256 bytes not every value can occur: the expected entropy of a random sample is lower
    expected = 8 - 255 / (2 * count * math.log(2)) if count >= 1_024 else _expected_small(count)  # noqa: PLR2004
    return bits / expected


def _expected_small(count: int) -> float:
    """A little below log2(n), as long as few values come twice."""
    return math.log2(count) - count / 256 * 0.25 if count <= 256 else 8 - 0.72 * 256 / count  # noqa: PLR2004
