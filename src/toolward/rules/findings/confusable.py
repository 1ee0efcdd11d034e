"""Letters that look like other letters: a small table of our own.

The Unicode consortium's table of confusables has thousands of entries, most of them in scripts that no name
of a tool is written in. This one has the letters of other alphabets that are drawn like small or capital
Latin ones, as code points, since nobody could read it otherwise; compatibility forms (full-width,
mathematical, circled) are folded by NFKC before.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_ALIKE: Final = {
    "a": "0430 0251 03b1", "b": "042c 0184 15af", "c": "0441 03f2 1d04 217d", "d": "0501 13e7",
    "e": "0435 04bd 212e", "f": "0192", "g": "0261 0581", "h": "04bb 0570",
    "i": "0456 0131 0269 03b9 04cf", "j": "0458 03f3", "k": "03ba 043a 1d0b", "l": "217c 01c0",
    "m": "217f 043c", "n": "0578 057c", "o": "043e 03bf 0585 03c3 0473", "p": "0440 03c1",
    "q": "051b 0563", "r": "0433 1d26", "s": "0455 a731", "t": "03c4 0442 1d1b", "u": "03c5 057d 1d1c",
    "v": "03bd 0475 1d20", "w": "051d 0461 1d21", "x": "0445 00d7", "y": "0443 03b3 04af 10e7",
    "z": "1d22 0290", "A": "0410 0391", "B": "0412 0392", "C": "0421 03f9", "E": "0415 0395",
    "H": "041d 0397", "I": "0406 0399", "J": "0408", "K": "041a 039a", "M": "041c 039c", "N": "039d",
    "O": "041e 039f 0555", "P": "0420 03a1", "S": "0405 054f", "T": "0422 03a4", "X": "0425 03a7",
    "Y": "0423 03a5", "Z": "0396", "_": "ff3f 2017", "-": "2010 2011 2012 2013 2014 2212", ".": "2024",
    "/": "2215 2044", "'": "2019 2018", '"': "201c 201d",
}  # fmt: skip
LATIN: Final = {chr(int(code, 16)): latin for latin, codes in _ALIKE.items() for code in codes.split()}
"""Look-alike -> what it looks like."""
_DIGITS: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l"})
_SEPARATORS: Final = str.maketrans("", "", "_-. /:")


def latin(name: str) -> str:
    """`name` as it looks to a reader of Latin letters; itself if it has no other."""
    if name.isascii():
        return name
    folded = unicodedata.normalize("NFKC", name)
    return "".join(LATIN.get(each, each) for each in folded if unicodedata.category(each) not in ("Cf", "Mn"))


def skeleton(name: str) -> str:
    """Two names with one skeleton can be taken for each other at a glance."""
    folded = latin(name).casefold().translate(_SEPARATORS).translate(_DIGITS)
    return folded.replace("rn", "m").replace("vv", "w")
