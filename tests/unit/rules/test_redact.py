"""Known secrets out of what leaves."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolward.rules.redact import redact

SECRET = 'pa"ss\\word/ü+1'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        orjson.dumps(SECRET).decode(),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(b"user:" + SECRET.encode() + b"@host").decode(),
    ],
)
def test_a_secret_is_found_however_it_is_written(written: str) -> None:
    clean, found = redact({"a": [f"x {written} y", 1]}, [SECRET])
    assert found == 1
    assert "[redacted]" in clean["a"][0]
    assert SECRET not in clean["a"][0]


def test_a_secret_is_found_in_names_and_numbers_and_the_value_stays_json() -> None:
    """Cutting it out of the bytes instead would leave `{"n": [redacted]}`, which is no JSON."""
    clean, found = redact({"n": 1234567890, "xx1234567890": True, "content": []}, ["1234567890"])
    assert (clean, found) == ({"n": "[redacted]", "xx[redacted]": True, "content": []}, 2)
    assert orjson.loads(orjson.dumps(clean)) == clean


def test_a_secret_that_looks_like_json_does_not_break_what_it_is_looked_for_in() -> None:
    value = {"isError": False, "content": [{"type": "text"}]}
    assert redact(value, ['":[{"type']) == (value, 0)


def test_short_secrets_are_left_alone_and_nothing_is_changed_without_a_find() -> None:
    value = {"a": "abc"}
    assert redact(value, ["abc"]) == (value, 0)
    clean, found = redact(value, ["not in there"])
    assert clean is value
    assert found == 0


@given(st.binary(max_size=7), st.text(min_size=6, max_size=12).filter(str.isascii), st.binary(max_size=7))
def test_base64_hides_no_secret_whatever_stands_around_it(before: bytes, secret: str, after: bytes) -> None:
    coded = base64.b64encode(before + secret.encode() + after).decode()
    assert redact(coded, [secret])[1] >= 1
