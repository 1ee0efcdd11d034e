"""docs/ward.md names every key that the ward's files may hold, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from toolward.config import discovery, shape, undoing, upstream_shape

ROOT = Path(__file__).parents[3]
EXAMPLE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TEXT = EXAMPLE.sub("", (ROOT / "docs" / "ward.md").read_text())
SECTIONS = sorted(
    {
        each
        for module in (shape, undoing, upstream_shape, discovery)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, shape.Section)
    },
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_is_described(section: type[msgspec.Struct]) -> None:
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`[^`]+`", TEXT))))
    assert [field for field in section.__struct_fields__ if field not in named] == []


def test_no_key_is_described_that_is_not_there() -> None:
    described = {
        name
        for row in re.findall(r"^\| (`[^|]*) \|", TEXT, re.MULTILINE)
        for key in re.findall(r"`([a-z_.]+)`", row)
        for name in key.split(".")
    }
    files = {"toolward", "yaml", "gates"}
    known = {field for section in SECTIONS for field in section.__struct_fields__}
    assert described - known - files == set()


def test_the_defaults_are_the_described_ones() -> None:
    server, tool = shape.ServerConfig(), shape.ToolEntry(effect=shape.Effect.READ_ONLY)
    for key, value in (
        ("timeout_ms", server.timeout_ms),
        ("start_timeout_ms", server.start_timeout_ms),
        ("definitions_max_age_s", server.definitions_max_age_s),
        ("output_bytes_max", tool.output_bytes_max),
    ):
        assert f"| `{key}` | {value:,} |".replace(",", " ") in TEXT
    assert f"`{shape.Listen().host}`, {shape.Listen().port} " in TEXT
