"""The tools of one ward and another ward of the same user, in real cages."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.harness import OPERATOR

import toolward
from toolward.bootstrap import open_house
from toolward.bootstrap.neighbours import KeptOfMachine, note_ward
from toolward.errors import SandboxUnavailable

pytestmark = pytest.mark.e2e
SOURCE = '''\
import os

def look(path: str) -> list[str]:
    """Every file below."""
    return sorted(os.path.join(at, name) for at, _, names in os.walk(path) for name in names)
'''


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a ward in it that has a key, and a file of anybody's; another ward may read it all."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    work = tmp_path / "work"
    other = work / "deep" / "other"
    (other / ".toolward").mkdir(parents=True)
    (other / ".toolward" / "log.key").write_text("secret")
    (other / "toolward.yaml").write_text("version: 1\nname: other\n")
    (work / "notes.txt").write_text("plain")
    ward = tmp_path / "ward"
    (ward / "functions").mkdir(parents=True)
    (ward / "tools").mkdir()
    (ward / "functions" / "looks.py").write_text(SOURCE)
    config = {"version": 1, "name": "one", "servers": {"looks": {"functions": "functions/looks.py"}}}
    capabilities = {"capabilities": {"read": [str(work)]}, "effect": "read_only", "egress": False}
    manifest = {"server": "looks", "tools": {"look": capabilities}}
    (ward / "toolward.yaml").write_bytes(orjson.dumps(config))
    (ward / "tools" / "looks.yaml").write_bytes(orjson.dumps(manifest))
    return work


async def seen(work: Path) -> set[str]:
    """What the other ward's tool sees of `work`."""
    ward = work.parent / "ward"
    async with open_house(ward) as house:
        try:
            await house.parts.upstreams.isolation("looks")
        except SandboxUnavailable as error:
            pytest.skip(error.reason.text)
        await house.parts.drift.refresh("looks")
        await house.parts.registry.approve("looks/look", by=OPERATOR)
        await house.desk.reload(OPERATOR)
    async with toolward.open(ward) as opened, opened.session(user="ana", agent="a") as session:
        found = orjson.loads((await session.call("looks/look", path=str(work))).text)
        return {str(Path(each).relative_to(work)) for each in found}


async def test_the_state_of_a_ward_that_was_noted_is_in_no_cage_of_another(work: Path) -> None:
    assert note_ward(work / "deep" / "other") == ""
    assert await seen(work) == {"notes.txt", "deep/other/toolward.yaml"}


async def test_control_without_the_note_the_same_grant_shows_it(work: Path) -> None:
    assert "deep/other/.toolward/log.key" in await seen(work)


def test_a_ward_is_kept_from_the_moment_it_is_noted_and_as_long_as_it_is_there(work: Path) -> None:
    ward, other = work.parent / "ward", work / "deep" / "other"
    kept = KeptOfMachine(ward, ward / ".toolward")
    assert kept().wards == (str(ward),)
    note_ward(other)
    note_ward(other)
    note_ward(ward)
    assert kept().wards == (str(ward), str(other))
    assert str(other / ".toolward") in kept().hidden
    assert str(work.parent / "config" / "toolward") in kept().hidden
    (other / ".toolward").rename(work / "elsewhere")
    assert kept().wards == (str(ward),)


def test_a_note_that_can_not_be_written_is_said(work: Path) -> None:
    (work.parent / "config").write_text("a file")
    assert "can not be written" in note_ward(work)
    assert KeptOfMachine(work, work / ".toolward")().wards == (str(work),)


def test_notes_that_are_no_notes_are_passed_over(work: Path) -> None:
    note_ward(work / "deep" / "other")
    folder = work.parent / "config" / "toolward" / "wards"
    (folder / "a").mkdir()
    (folder / "b").write_bytes(b"relative")
    (folder / "c").write_bytes(b"/nul\0byte")
    (folder / "d").write_bytes(b"")
    ward = work.parent / "ward"
    assert KeptOfMachine(ward, ward / ".toolward")().wards == (str(ward), str(work / "deep" / "other"))
