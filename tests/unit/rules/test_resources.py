"""One thing has one name, however it is spelled and whoever names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from toolward.errors import BadArguments
from toolward.model.tool import Argument, ArgumentKind, Effect, Manifest
from toolward.model.undo import Undo
from toolward.rules.resources import above, overlap, resources_of


def names(
    templates: Sequence[str],
    arguments: dict[str, Any],
    paths: Sequence[str] = (),
    roots: Sequence[str] = (),
) -> tuple[str, ...]:
    manifest = Manifest(
        effect=Effect.REVERSIBLE,
        arguments={"path": Argument(kind=ArgumentKind.PATH)},
        undo=Undo(resources=tuple(templates)),
    )
    return resources_of(manifest, arguments, paths=paths, roots=roots)


def test_a_list_names_one_for_each_and_what_is_absent_is_one_for_all() -> None:
    declared = ["order:{arg:id}", "db:main", "pair:{arg:id}/{arg:kind}", "none:{arg:absent}"]
    found = names(declared, {"id": ["1", "2"], "kind": "x"})
    assert found == ("db:main", "none:", "order:1", "order:2", "pair:1/x", "pair:2/x")


@pytest.mark.parametrize(
    "template", ["file:{arg:path}", "path:{arg:path}", "sheet:{arg:name}", "db:{arg:path}"]
)
@pytest.mark.parametrize("spelled", ["/srv/a", "/srv//a", "/srv/./a", "/srv/b/../a", "/srv/%61", "/srv/a/"])
def test_what_is_declared_and_what_the_before_image_holds_are_one(template: str, spelled: str) -> None:
    assert names([template], {"path": spelled, "name": spelled}, ["/srv/a"]) == ("file:/srv/a",)


def test_what_lies_very_deep_is_named_by_a_directory_above_it() -> None:
    deep = "/srv/" + "/".join(["x" * 20] * 100)
    [name] = names(["file:{arg:path}"], {"path": deep})
    assert len(name) < 600
    assert overlap([name], ["file:" + "/".join(deep.split("/")[:4])])
    assert name in list(above("file:" + deep))


def test_a_long_name_that_is_no_place_is_shortened_and_stays_its_own() -> None:
    one, other = (names(["order:{arg:id}"], {"id": "1" * 600 + end})[0] for end in "ab")
    assert one != other
    assert max(len(one), len(other)) < 200


def test_too_many_are_refused() -> None:
    with pytest.raises(BadArguments):
        names(["order:{arg:id}"], {"id": [str(number) for number in range(65)]})


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("file:/a", "file:/a/b", True),
        ("file:/", "file:/a", True),
        ("file:/a", "file:/ab", False),
        ("file:a", "file:a/b", False),
        ("order:1", "order:1", True),
        ("order:1", "order:12", False),
    ],
)
def test_places_meet_those_above_and_below(one: str, other: str, meet: bool) -> None:
    assert overlap([one], [other]) is overlap([other], [one]) is meet


def test_above_a_place_are_its_directories_and_above_anything_else_nothing() -> None:
    assert list(above("file:/a/b/c")) == ["file:/a/b", "file:/a", "file:/"]
    assert list(above("order:1")) == list(above("file:a/b")) == list(above("file:/")) == []


@pytest.mark.parametrize("path", ["/", "/srv", "/srv/database", "/etc/passwd"])
def test_a_place_where_the_tool_can_not_write_stands_in_nobodys_way(path: str) -> None:
    [name] = names(["file:{arg:path}"], {"path": path}, roots=["/srv/data/", "/srv/more"])
    assert not overlap([name], ["file:/srv/data/a", "file:/srv/more", "file:/"])
    assert names(["file:{arg:path}"], {"path": path}, roots=["/srv/data"]) == (name,), "but in its own"
    inside = names(["file:{arg:path}"], {"path": "/srv/data/x/../a"}, roots=["/srv/data/", "/srv/more"])
    assert inside == ("file:/srv/data/a",)
    assert names(["file:{arg:path}"], {"path": "/srv/data"}, roots=["/srv/data/"]) == ("file:/srv/data",)
