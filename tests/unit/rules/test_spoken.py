"""What the user said proves a value; what stands beside it or around it does not."""

from __future__ import annotations

import pytest

from toolward.rules.spoken import spoken_words, stands_in


@pytest.mark.parametrize(
    ("value", "prompt"),
    [
        ("/etc", "change /etc/nginx/site.conf"),
        ("/etc/nginx", "change /etc/nginx/site.conf please"),
        ("/etc", "change src/etc now"),
        ("etc", "change /etc now"),
        ("/data", "keep out of c:/data"),
        ("/data", "remove /data/../tmp"),
        ("/data", "remove /data/*"),
        ("bob@x.example", "mail not.bob@x.example"),
        ("bob@x.example", "mail alice-bob@x.example"),
        ("x.example", "mail bob@x.example"),
        ("100", "transfer 1,100"),
        ("100", "transfer 100.50"),
        ("1100", "transfer 1100,50"),
        ("100", "transfer 100-200"),
        ("main", "merge main-broken"),
        ("prod", "drop prod_copy"),
        ("bob", "write to bobby"),
    ],
)
def test_a_part_of_what_was_said_proves_nothing(value: str, prompt: str) -> None:
    assert not stands_in(value, spoken_words(prompt))


@pytest.mark.parametrize(
    ("value", "prompt"),
    [
        ("/etc/nginx/site.conf", "Change /etc/nginx/site.conf."),
        ("/data", "list /data/ please"),
        ("/data", "list `/data`"),
        ("bob@x.example", "to:bob@x.example, and then"),
        ("bob@x.example", "Mail Bob@x.example."),
        ("bob@x.example", "bob@x.example;alice@x.example"),
        ("bob", "ask @bob"),
        ("bob", "Bob's list"),
        ("123", "close #123"),
        ("100", "transfer $100, please"),
        ("main", "merge alice,main"),
        ("https://x.example/a?b=c", "fetch (https://x.example/a?b=c)"),
    ],
)
def test_a_whole_value_that_was_said_is_proven(value: str, prompt: str) -> None:
    assert stands_in(value, spoken_words(prompt))
