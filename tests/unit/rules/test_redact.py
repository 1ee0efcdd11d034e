"""Known secrets out of what leaves."""

from __future__ import annotations

import orjson

from toolward.rules.redact import redact


def test_a_secret_is_found_as_it_is_and_as_json_writes_it() -> None:
    secret = 'pa"ss\\word'
    body = orjson.dumps({"a": f"x {secret} y"})
    clean, found = redact(body, [secret])
    assert found == 1
    assert orjson.loads(clean) == {"a": "x [redacted] y"}


def test_short_secrets_are_left_alone_and_nothing_is_changed_without_a_find() -> None:
    assert redact(b"abc", ["abc"]) == (b"abc", 0)
    assert redact(b'{"a":1}', ["not in there"]) == (b'{"a":1}', 0)
