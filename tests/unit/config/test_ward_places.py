"""Paths of a ward that no cage would take: found before anything starts."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from toolward.config.places import check_places
from toolward.config.ward import load_ward


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "ward" / "tools").mkdir(parents=True)
    return tmp_path / "ward"


def findings(ward: Path, server: dict[str, object], **manifest: object) -> list[tuple[str, int, str, str]]:
    config = {"version": 1, "name": "w", "servers": {"s": {"command": "sh", **server}}}
    (ward / "toolward.yaml").write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2))
    if manifest:
        (ward / "tools" / "s.yaml").write_bytes(orjson.dumps({"server": "s", **manifest}))
    return [(e.file, e.line, e.reason.text, e.reason.remedy) for e in check_places(load_ward(ward))]


def test_a_root_that_is_there_is_fine(ward: Path) -> None:
    assert findings(ward, {"roots": [str(ward.parent / "real")], "cwd": "../real"}) == []


def test_a_root_that_is_missing_or_a_link_is_found_with_its_line(ward: Path) -> None:
    home = ward.parent
    roots = [str(home / "gone"), str(home / "link"), str(home / "link" / "below"), "../real"]
    missing, link, through, dotted = findings(ward, {"roots": roots})
    assert missing[0] == "toolward.yaml"
    assert missing[1] < link[1]
    assert "does not exist" in missing[2]
    assert "is a link" in link[2]
    assert link[3] == dotted[3] == f"write `{home / 'real'}`"
    assert "does not exist" in through[2]
    assert "leads through `..`" in dotted[2]
    (home / "real" / "below").mkdir()
    assert "leads through one" in findings(ward, {"roots": roots[2:3]})[0][2]


def test_what_a_manifest_grants_is_looked_up_too(ward: Path) -> None:
    link, real = str(ward.parent / "link"), str(ward.parent / "real")
    found = findings(ward, {}, capabilities={"read": [link], "write": [real, "/nowhere/at/all"]})
    assert [(file, text.split(" ")[0]) for file, _, text, _ in found] == [
        ("tools/s.yaml", f"`{link}`"),
        ("tools/s.yaml", "`/nowhere/at/all`"),
    ]


def test_a_working_directory_has_to_be_there(ward: Path) -> None:
    assert "no directory" in findings(ward, {"cwd": "../gone"})[0][2]


def test_where_there_is_no_cage_nothing_is_looked_up(ward: Path) -> None:
    bare = {"roots": ["../gone"], "unsafe_no_sandbox": True}
    assert findings(ward, bare, capabilities={"read": ["/nowhere"]}) == []
