"""Check digits of public identifiers, so that a number is taken for one only if it could be one.

Each takes the text without separators, in capitals, of the right shape, and says whether its own check
holds. The schemes are published: ISO 13616 and 7064 (IBAN), ISO/IEC 7812 (cards), and those of the issuers.
"""

from __future__ import annotations

from typing import Final

_IBAN_LENGTHS: Final = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FO GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}
_NIR_MODULUS: Final = 97
_VERHOEFF_TIMES: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_TURN: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_CODICE_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21),
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        ),
        strict=True,
    )
)
_CN_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def iban_holds(text: str) -> bool:
    """An IBAN of a country that has them, with its check digits (ISO 7064 mod 97-10).

    What stands behind its length is not looked at: the next word may look like one more group of it.
    """
    length = _IBAN_LENGTHS.get(text[:2], 0)
    return 0 < length <= len(text) and iban_remainder(text[:length]) == 1


def iban_remainder(text: str) -> int:
    """What is left of an IBAN's number after division by 97; 1 where its check digits are right."""
    turned = text[4:] + text[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97


def card_holds(digits: str) -> bool:
    """A payment card number: an issuer's range and length, and the Luhn digit."""
    return len(digits) in _card_lengths(digits) and luhn_holds(digits)


def _card_lengths(digits: str) -> tuple[int, ...]:
    two, four = int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return (16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:  # noqa: PLR2004 -- the issuer's ranges
        return (16,)
    if two in (34, 37):
        return (15,)
    if two == 35 or four == 6011 or two == 65 or 644 <= four // 10 <= 649:  # noqa: PLR2004 -- as above
        return (16,)
    return (14,) if two in (30, 36, 38) else ()


def luhn_holds(digits: str) -> bool:
    """The Luhn sum of ISO/IEC 7812."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) << (place & 1)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 -- the sum of its two digits
    return total % 10 == 0


def us_ssn_holds(digits: str) -> bool:
    """No check digit, but areas, groups and serials that were never issued."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def cpf_holds(digits: str) -> bool:
    """Brazil's CPF: two digits modulo 11, and not one digit repeated."""
    if len(set(digits)) == 1:
        return False
    for count in (9, 10):
        total = sum(int(char) * (count + 1 - place) for place, char in enumerate(digits[:count]))
        if total * 10 % 11 % 10 != int(digits[count]):
            return False
    return True


def nir_holds(digits: str) -> bool:
    """France's NIR: a month that is known, and the key, 97 less the remainder."""
    rest = int(digits[:13]) % _NIR_MODULUS
    return 1 <= int(digits[3:5]) <= 12 and _NIR_MODULUS - rest == int(digits[13:])  # noqa: PLR2004


def aadhaar_holds(digits: str) -> bool:
    """India's Aadhaar: never begins with 0 or 1, Verhoeff digit."""
    return digits[0] not in "01" and _verhoeff(digits) == 0


def _verhoeff(digits: str) -> int:
    check = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char)
        for _ in range(place % 8):
            value = _VERHOEFF_TURN[value]
        check = _VERHOEFF_TIMES[check][value]
    return check


def nhs_holds(digits: str) -> bool:
    """The NHS number of England: modulo 11."""
    rest = 11 - sum(int(char) * (10 - place) for place, char in enumerate(digits[:9])) % 11
    return rest % 11 == int(digits[9]) and rest != 10  # noqa: PLR2004 -- ten has no digit


def cn_id_holds(text: str) -> bool:
    """China's resident identity number: a date of birth, ISO 7064 mod 11-2."""
    month, day = int(text[10:12]), int(text[12:14])
    if text[6:8] not in ("18", "19", "20") or not (1 <= month <= 12 and 1 <= day <= 31):  # noqa: PLR2004
        return False
    total = sum(int(char) * weight for char, weight in zip(text, _CN_WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == text[17]


def codice_fiscale_holds(text: str) -> bool:
    """Italy's codice fiscale: the last letter, from odd and even places."""
    total = sum(
        _CODICE_ODD[char] if place % 2 == 0 else int(char, 36) - (0 if char.isdigit() else 10)
        for place, char in enumerate(text[:15])
    )
    return chr(ord("A") + total % 26) == text[15]
