"""Expressions that wait to be compiled are expressions, all of them."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

import pytest

import toolward.rules
from toolward.rules.lazily import _Lazily, pattern


def test_it_answers_as_the_compiled_one_does() -> None:
    made, lazily = re.compile("a(b+)", re.IGNORECASE), pattern("a(b+)", re.IGNORECASE)
    for text in ("xABBy", "none"):
        assert lazily.findall(text) == made.findall(text)
        assert bool(lazily.search(text)) is bool(made.search(text))
    assert (lazily.pattern, lazily.flags) == (made.pattern, made.flags)


def test_a_wrong_one_is_seen_when_it_is_used() -> None:
    with pytest.raises(re.error):
        pattern("(").search("x")


def test_every_one_that_is_written_compiles() -> None:
    names = [each.name for each in pkgutil.walk_packages(toolward.rules.__path__, "toolward.rules.")]
    values = [value for name in names for value in vars(import_module(name)).values()]
    lazy = [value for value in values if isinstance(value, _Lazily)]
    assert len(lazy) > 20
    for each in lazy:
        assert re.compile(*each._written)
