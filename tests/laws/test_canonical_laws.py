"""Laws of the one strict parse and the one canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from toolward.errors import Rejected
from toolward.rules.canonical import (
    DEPTH_MAX,
    RESERVED_KEYS,
    canonical,
    may_be_reserved,
    parse_strict,
    refuse_reserved,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    # a larger whole number is written without a fraction, and read as an integer that does not fit
    | st.floats(-(2.0**62), 2.0**62)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            inner,
            max_size=4,
        ).filter(lambda d: len({k.casefold() for k in d}) == len(d))
    ),
    max_leaves=20,
)


@given(values)
def test_the_canonical_form_is_a_fixed_point(value: Any) -> None:
    once = canonical(parse_strict(json.dumps(value).encode()))
    assert canonical(parse_strict(once)) == once


@given(values)
def test_the_order_of_keys_does_not_change_the_canonical_form(value: Any) -> None:
    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(item)}
        return [turned(each) for each in item] if isinstance(item, list) else item

    assert canonical(turned(value)) == canonical(value)


small = st.integers(-(2**53) + 1, 2**53 - 1)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | small
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
        ),
        max_leaves=20,
    )
)
def test_it_is_rfc_8785_wherever_the_rfc_can_write_the_number(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b'{"x":{"name":1,"Name":2}}', "case_variant_key"),
        ('{"stra\u00dfe":1,"STRASSE":2}'.encode(), "case_variant_key"),
        (b"[NaN]", "number_out_of_range"),
        (b"[-Infinity]", "number_out_of_range"),
        (b"[1e999]", "number_out_of_range"),
        (b"[9223372036854775808]", "number_out_of_range"),
        (b"[-9223372036854775809]", "number_out_of_range"),
        (b"[" + b"9" * 5000 + b"]", "number_out_of_range"),
        (b'["\\ud800"]', "not_unicode"),
        ('{"a":1}'.encode("utf-16"), "not_unicode"),
        (b"\xef\xbb\xbf{}", "malformed"),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b"[" + b"1," * 60_000 + b"1]", "too_large"),
        (b'{"a":1}{"b":2}', "malformed"),
        (b"", "malformed"),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        parse_strict(body)
    assert refusal.value.reason.code == code


def test_a_lax_parser_would_have_taken_the_duplicate() -> None:
    """The control: the standard parser keeps the last of two keys without a word."""
    assert json.loads('{"a":1,"a":2}') == {"a": 2}


def test_exact_64_bit_integers_survive() -> None:
    assert canonical(parse_strict(b"[9007199254740993, 9223372036854775807]")) == (
        b"[9007199254740993,9223372036854775807]"
    )


@given(st.sampled_from(sorted(RESERVED_KEYS)), values)
def test_keys_of_the_policy_engine_are_refused_at_any_depth(key: str, value: Any) -> None:
    held = {"a": [1, {"b": {key: value}}]}
    assert may_be_reserved(canonical(held))
    with pytest.raises(Rejected):
        refuse_reserved(held)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {None: 1}}, {True: 1.5}, {"a": [{2: 0.5}]}])
def test_a_member_whose_name_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(Rejected):
        canonical(value)
