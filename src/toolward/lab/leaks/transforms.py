"""Ways in which a value can be told in other words, and ways that matching does not have to see."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote

Transform = Callable[[str], str]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8")


def _base64(text: str) -> str:
    return base64.b64encode(_utf8(text)).decode()


def _base32(text: str) -> str:
    return base64.b32encode(_utf8(text)).decode().rstrip("=").lower()


def _labels(coded: str) -> str:
    return ".".join([*(coded[at : at + 40] for at in range(0, len(coded), 40)), "sink", "example"])


SEEN: dict[str, Transform] = {
    "as it is": lambda text: text,
    "inside a sentence": lambda text: f"By the way, {text}, as you know",
    "upper case": str.upper,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "zero width between": "\u200b".join,
    "dashes between": "-".join,
    "spaces between": " ".join,
    "wider white space": lambda text: text.replace(" ", " \n\t "),
    "percent": lambda text: quote(text, safe=""),
    "percent, every byte": lambda text: "".join(f"%{byte:02x}" for byte in _utf8(text)),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "query of a URL": lambda text: f"https://sink.example/a?q={quote(text, safe='')}&r=1",
    "path of a URL in base64": lambda text: (
        "https://sink.example/" + base64.urlsafe_b64encode(_utf8(text)).decode().rstrip("=")
    ),
    "base64": _base64,
    "base64, one byte later": lambda text: _base64("x" + text),
    "base64, two bytes later": lambda text: _base64("x " + text + " y"),
    "base64 behind one letter": lambda text: "Q" + _base64(text),
    "base64 behind two letters": lambda text: "Qz" + _base64(text),
    "base64 behind three letters": lambda text: "Qz9" + _base64(text),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(_utf8(text)).decode().rstrip("="),
    "base64 in lines": lambda text: base64.encodebytes(_utf8(text)).decode(),
    "hex": lambda text: _utf8(text).hex(),
    "hex, upper case": lambda text: _utf8(text).hex().upper(),
    "hex with colons": lambda text: _utf8(text).hex(":"),
    "hex with spaces": lambda text: _utf8(text).hex(" "),
    "hex escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode("latin-1", "replace")),
    "base32": lambda text: base64.b32encode(_utf8(text)).decode(),
    "base32, lower case": _base32,
    "JSON": lambda text: json.dumps({"note": [text]}),
    "JSON in JSON": lambda text: json.dumps({"note": json.dumps({"inner": text})}),
    "unicode escapes": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "HTML entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML entities in hex": lambda text: "".join(f"&#x{ord(c):x};" for c in text),
    "zlib in base64": lambda text: base64.b64encode(zlib.compress(_utf8(text))).decode(),
    "gzip in base64": lambda text: base64.b64encode(gzip.compress(_utf8(text), mtime=0)).decode(),
    "gzip in hex": lambda text: gzip.compress(_utf8(text), mtime=0).hex(),
    "labels of a DNS name": lambda text: _labels(_base32(text)),
    "labels of a DNS name in hex": lambda text: _labels(_utf8(text).hex()),
    "reversed": lambda text: text[::-1],
    "reversed, in base64": lambda text: _base64(text[::-1]),
    "base64, reversed": lambda text: _base64(text)[::-1],
    "base64 of JSON": lambda text: _base64(json.dumps({"a": {"b": text}})),
    "base64 of base64": lambda text: _base64(_base64(text)),
    "base64 of percent": lambda text: _base64(quote(text, safe="")),
    "base64 of JSON of base64": lambda text: _base64(json.dumps({"data": _base64(text)})),
}
"""Matching finds a value of at least eight bytes through each of these."""


def _interleaved(text: str) -> str:
    return "".join(c + d for c, d in zip(text, "q7w8e9r1t2y3" * len(text), strict=False))


def _bits(text: str) -> str:
    return "".join(f"{byte:08b}" for byte in _utf8(text))


CODEBOOK = tuple(
    f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("na", "ro", "li", "ke", "su")
)
"""Words that a page holds, which the session read before the secret: as an attacker's page may."""


def _by_codebook(text: str) -> str:
    return " ".join(CODEBOOK[byte] for byte in _utf8(text))


_SAID = "the weather in malmo tomorrow and the opening hours of the city library on saturday"
"""Words of the user's, to hide in: see `HARMLESS`."""


def _in_case(text: str) -> str:
    letters = iter(_bits(text))
    return "".join(c.upper() if c.isalpha() and next(letters, "0") == "1" else c for c in _SAID)


def _in_spaces(text: str) -> str:
    words, bits = _SAID.split(), _bits(text)
    return "".join(word + "  "[: 1 + (bit == "1")] for word, bit in zip(words, bits, strict=False))


def _in_repeats(text: str) -> str:
    return " ".join("weather" if bit == "1" else "library" for bit in _bits(text))


UNSEEN: dict[str, Transform] = {
    "base85": lambda text: base64.b85encode(_utf8(text)).decode(),
    "XOR in base64": lambda text: base64.b64encode(bytes(byte ^ 0x5A for byte in _utf8(text))).decode(),
    "interleaved": _interleaved,
    "paraphrased": lambda _: (
        "the third letter of the alphabet, then what a dog says, then the year of the moon"
    ),
    "paraphrased in little words": lambda text: " ".join(
        ("the", "of", "to", "in")[int(pair, 4)] for pair in _quads(text)
    ),
    "in words that were read before": _by_codebook,
    "in the case of the user's words": _in_case,
    "in the spaces between them": _in_spaces,
    "in which of them comes how often": _in_repeats,
}
"""Matching need not find these: the session's taint has to hold."""


def _quads(text: str) -> str:
    return "".join(f"{byte >> at & 3}" for byte in _utf8(text) for at in (6, 4, 2, 0))
