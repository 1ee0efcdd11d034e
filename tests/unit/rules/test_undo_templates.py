"""What a declaration of undo stands for in one call: paths, resources, arguments."""

from __future__ import annotations

from typing import Any

import pytest

from toolward.errors import Denied
from toolward.model.capability import Capabilities, PathAccess, PathCapability
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind, Effect, Manifest
from toolward.model.undo import Compensation, Snapshot, ToolUse, Undo
from toolward.rules.undo import undo_in_words
from toolward.rules.undo_templates import (
    NotRecorded,
    arguments_of,
    can_be_kept,
    paths_of,
    uses_key,
    writable_roots,
)

SERVER = ServerBinding(
    server="s",
    kind=BindingKind.STDIO,
    command=("prog", "--db", "data/x.db", "--log=/srv/log"),
    env={"FILE": "/srv/f", "TOKEN": "${secret:T}"},
    cwd="/srv",
    roots=("/srv", "/more"),
)
ARGUMENTS: dict[str, Any] = {
    "path": "/srv//a/./b",
    "paths": ["/srv/1", "/srv/2"],
    "n": 7,
    "up": "/srv/../etc",
}


@pytest.mark.parametrize(
    ("template", "paths"),
    [
        ("{arg:path}", ("/srv/a/b",)),
        ("{arg:paths}", ("/srv/1", "/srv/2")),
        ("{dir:path}", ("/srv/a",)),
        ("{arg:path}.bak", ("/srv/a/b.bak",)),
        ("{arg:path}/.git/index", ("/srv/a/b/.git/index",)),
        ("{env:FILE}", ("/srv/f",)),
        ("{option:--db}", ("/srv/data/x.db",)),
        ("{option:--db}-wal", ("/srv/data/x.db-wal",)),
        ("{option:--log}", ("/srv/log",)),
        ("{roots}", ("/srv", "/more")),
        ("/srv/fixed", ("/srv/fixed",)),
    ],
)
def test_a_template_stands_for_these_paths(template: str, paths: tuple[str, ...]) -> None:
    assert paths_of([template], ARGUMENTS, SERVER, SERVER.roots) == paths


@pytest.mark.parametrize(
    "template",
    [
        "{arg:n}",
        "{arg:missing}",
        "{arg:up}",
        "{arg:path}/../x",
        "{env:TOKEN}",
        "{env:NONE}",
        "{option:--none}",
        "relative",
    ],
)
def test_what_stands_for_no_plain_absolute_path_is_refused_with_a_remedy(template: str) -> None:
    with pytest.raises(Denied) as refused:
        paths_of([template], ARGUMENTS, SERVER, SERVER.roots)
    assert refused.value.reason.code == "not_undoable"
    assert refused.value.reason.remedy


def test_a_relative_argument_is_refused_since_servers_differ_on_where_it_lies() -> None:
    with pytest.raises(Denied, match="not an absolute path"):
        paths_of(["{arg:path}"], {"path": "a/b"}, SERVER, SERVER.roots)


def test_arguments_come_from_the_record_or_are_written_out() -> None:
    use = ToolUse(
        tool="t",
        arguments={
            "id": "/output/structuredContent/items/0/id",
            "odd": "/input/a~1b",
            "key": "/key",
            "whole": "/snapshot",
            "why": {"value": "/input/x"},
        },
    )
    data = {
        "input": {"a/b": 1},
        "output": {"structuredContent": {"items": [{"id": 9}]}},
        "snapshot": {"x": 1},
        "key": "k",
    }
    given = {"id": 9, "odd": 1, "key": "k", "whole": {"x": 1}, "why": "/input/x"}
    assert arguments_of(use, data) == given
    assert uses_key(use)
    with pytest.raises(NotRecorded, match="/output/structuredContent/items/0/id"):
        arguments_of(use, {**data, "output": {}})


def test_only_where_a_tool_may_write_can_something_be_put_back() -> None:
    capabilities = Capabilities(
        paths=(
            PathCapability(access=PathAccess.WRITE, template="{arg:p}", root="/data"),
            PathCapability(access=PathAccess.READ, template="/etc/app"),
        )
    )
    assert writable_roots(SERVER, Manifest(capabilities=capabilities)) == ("/srv", "/more", "/data")


@pytest.mark.parametrize(
    ("path", "kept"),
    [("{arg:p}", True), ("{env:FILE}", True), ("{env:NONE}", False), ("/elsewhere", False)],
)
def test_a_promise_is_made_only_where_the_servers_settings_allow_it(path: str, kept: bool) -> None:
    undo = Undo(snapshot=Snapshot(paths=(path,)), compensate=Compensation())
    assert can_be_kept(undo, SERVER, Manifest()) is kept
    bare = ServerBinding(server="s", kind=BindingKind.STDIO, command=("prog",))
    assert not can_be_kept(undo, bare, Manifest()), "there is nowhere to put it back"


def test_people_read_how_a_tool_is_undone() -> None:
    restored = Undo(snapshot=Snapshot(paths=("{arg:path}",)), compensate=Compensation())
    by_tool = Undo(compensate=Compensation(use=ToolUse(tool="cancel", arguments={}), window_s=60))
    said = [
        undo_in_words(Manifest(effect=effect, undo=undo))
        for effect, undo in (
            (Effect.READ_ONLY, None),
            (Effect.REVERSIBLE, restored),
            (Effect.COMPENSABLE, by_tool),
            (Effect.REVERSIBLE, None),
        )
    ]
    assert said == [
        "",
        "what lay at `{arg:path}` is put back within 30 days",
        "the tool `cancel` undoes it within 60 s",
        "nothing is promised: a rollback leaves what it did, and names it",
    ]
