"""Who has to agree sees what would happen, where a tool can say so without doing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.approvals_world import WIPE, approval_of, ask_desk, policy, ran, sign_up
from tests.harness import MANIFESTS, open_world, text_result

from toolward.errors import WardError
from toolward.ports.store import Table


def manifest(preview: str) -> dict[str, str]:
    wipe = "wipe: {effect: irreversible, egress: false, "
    assert wipe in MANIFESTS["files"]
    return {"tools/files.yaml": MANIFESTS["files"].replace(wipe, f"{wipe}undo: {{preview: {preview}}}, ")}


async def shown(tmp_path: Path, files: dict[str, str]) -> tuple[Any, list[Any], int]:
    """The preview, what ran for it, and how many approvals there are."""
    async with open_world(tmp_path, files=files) as world:
        world.upstreams.answers["files/read"] = "three files"
        await sign_up(world, "alice")
        approval = approval_of(await world.call(await world.session(), *WIPE))
        row = await ask_desk(world, "alice", "approvals.show", approval=approval)
        assert ran(world) == 0
        return row["preview"], world.upstreams.ran, len(list(world.store.scan(Table.APPROVAL)))


async def test_the_manifests_reading_tool_is_asked_with_the_calls_own_arguments(tmp_path: Path) -> None:
    preview, executed, _ = await shown(tmp_path, manifest("{tool: read, arguments: {path: /input/path}}"))
    assert preview == {"tool": "files/read", "result": text_result("three files")}
    assert [(key, arguments) for key, arguments, _ in executed] == [("files/read", {"path": "/data/a"})]


@pytest.mark.parametrize(
    ("declared", "rule", "why_not"),
    [
        ("{tool: read, arguments: {path: /input/none}}", "", "leads nowhere"),
        (
            "{tool: read, arguments: {path: /input/path}}",
            policy("r", '@ask("user")', tool="files/read"),
            "allows",
        ),
    ],
)
async def test_what_does_more_or_is_not_simply_allowed_is_not_tried_and_nobody_is_asked(
    tmp_path: Path, declared: str, rule: str, why_not: str
) -> None:
    preview, executed, approvals = await shown(tmp_path, {**manifest(declared), "policies/a.cedar": rule})
    assert why_not in preview["why_not"]
    assert (executed, approvals) == ([], 1)


@pytest.mark.parametrize(
    ("declared", "why_not"),
    [
        ("{tool: write, arguments: {path: /input/path, text: {value: x}}}", "only a reading tool"),
        ("{tool: nothing, arguments: {}}", "no tool `nothing`"),
    ],
)
async def test_a_ward_that_would_preview_with_more_than_a_reading_tool_is_not_read(
    tmp_path: Path, declared: str, why_not: str
) -> None:
    with pytest.raises(WardError, match=why_not):
        await shown(tmp_path, manifest(declared))


async def test_there_is_none_where_nothing_is_declared(tmp_path: Path) -> None:
    assert (await shown(tmp_path, {}))[0] is None
