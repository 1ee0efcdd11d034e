"""How much: a quantity that nobody named is fine where what is witnessed bounds it, or gives it by a sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from toolward.model.label import Integrity
from toolward.model.verdict import Verdict, Witness
from toolward.rules.integrity.arguments import Decides
from toolward.rules.integrity.atoms import numbers_in
from toolward.rules.integrity.delegation import Lending
from toolward.rules.integrity.grounds import Grounds
from toolward.rules.integrity.things import Things, counts

NUMBERS_MAX: Final = 24
"""Numbers that a quantity may be computed from; among more, some sum always fits."""
CLOSE: Final = 0.005
"""Half of the smallest coin."""


def within_bounds(
    value: Any, grounds: Grounds, things: Things, verdicts: list[Verdict], lending: Lending
) -> str:
    """Why the quantity is fine, in words; "" if it is not. Who gets it must be proven by itself."""
    who = [each for each in verdicts if each.decides == Decides.WHICH]
    strong = {Witness.WORDS, Witness.FIELD, Witness.OPERATOR, Witness.ENDORSED}
    if not who or any(each.integrity is not Integrity.TRUSTED or each.witness not in strong for each in who):
        return ""
    try:
        wanted = abs(float(value))
    except (TypeError, ValueError):
        return ""
    own = [abs(number) for number in grounds.numbers]
    vouched = list(_vouched(things))
    if wanted <= max([*own, *vouched], default=0.0):
        return "it is no greater than what the session's own words and vouched records hold"
    near = [*own, *_of_objects(things), *_lent(lending)]
    if len(near) <= NUMBERS_MAX and any(abs(wanted - each) <= CLOSE for each in _computed(near)):
        return "it is computed from numbers of the words, of the object, and of what they hand over to"
    return ""


def _vouched(things: Things) -> Iterator[float]:
    for record in things.records.kept:
        for item in record.items:
            for member in item.members:
                if member.vouched and counts(member.name):
                    yield from _number(member.text)


def _of_objects(things: Things) -> Iterator[float]:
    for record in things.records.kept:
        for item in record.items:
            if any(member.vouched for member in item.members) and things.pointed_at(item):
                for member in item.members:
                    if member.vouched and counts(member.name):
                        yield from _number(member.text)


def _lent(lending: Lending) -> Iterator[float]:
    for item in lending.sources():
        for member in item.members:
            yield from numbers_in(member.text)


def _number(text: str) -> Iterator[float]:
    try:
        yield abs(float(text))
    except ValueError:
        return


def _computed(numbers: list[float]) -> Iterator[float]:
    """Sums, differences, shares and percentages of two."""
    yield from numbers
    for one in numbers:
        for other in numbers:
            yield one + other
            yield abs(one - other)
            yield one * other / 100
            yield one + one * other / 100
            yield one - one * other / 100
            yield one * other
            if other:
                yield one / other
