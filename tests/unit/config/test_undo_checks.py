"""What a manifest says of undoing and could not keep is found before there is a call, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolward.config.undoing import from_undo, to_undo
from toolward.config.ward import check_ward, load_ward, undo_findings, unkept_findings
from toolward.model.undo import Compensation, Conflicts, Escrow, Snapshot, ToolUse, Undo
from toolward.rules.undo import undo_from_json

WARD = """\
version: 1
name: w
servers:
  s: {command: x, arguments: [--db, /data/x.db], roots: [/data], env: {FILE: /data/f}}
"""
GOOD = """\
server: s
tools:
  write:
    effect: reversible
    undo:
      snapshot: {paths: ["{arg:path}", "{env:FILE}", "{option:--db}-wal", "{roots}", /data/log]}
      compensate: {restore: true}
  place:
    effect: compensable
    undo:
      snapshot: {tool: look, arguments: {id: /input/id}}
      compensate:
        tool: cancel
        arguments: {id: /output/structuredContent/id, was: /snapshot/structuredContent, key: /key, why: {value: undo}}
        precondition: {tool: look, arguments: {id: /input/id}}
        otherwise: {tool: cancel, arguments: {id: /input/id}}
      probe: {tool: look, arguments: {id: /input/id}}
  look: {effect: read_only}
  cancel: {effect: irreversible}
"""


def ward(folder: Path, manifest: str) -> Path:
    (folder / "tools").mkdir(parents=True)
    (folder / "toolward.yaml").write_text(WARD)
    (folder / "tools" / "s.yaml").write_text(manifest)
    return folder


def test_what_can_be_kept_is_taken(tmp_path: Path) -> None:
    assert check_ward(ward(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("said", "instead", "text"),
    [
        ('"{arg:path}"', '"{argument:path}"', "is no path"),
        ('"{arg:path}"', "relative/path", "is no path"),
        ("/data/log", "/etc/passwd", "lies outside the server's roots"),
        ("{env:FILE}", "{env:OTHER}", "the server has no variable `OTHER`"),
        ("{option:--db}-wal", "{option:--database}", "started without `--database`"),
        (
            'snapshot: {paths: ["{arg:path}", "{env:FILE}", "{option:--db}-wal", "{roots}", /data/log]}',
            "resources: [x]",
            "there are none",
        ),
        ("{restore: true}", "{restore: true, tool: cancel}", "both `tool` and `restore`"),
        ("{restore: true}", "{window_s: 5}", "says not how"),
        ("tool: cancel\n", "tool: cancl\n", "no tool `cancl` is described in this file"),
        ("/output/structuredContent/id", "output.id", "is no pointer"),
        ("/output/structuredContent/id", "/outputs/id", "is not recorded where this is asked"),
        ("key: /key", "key: /key/x", "is not recorded where this is asked"),
        ("snapshot: {tool: look, arguments: {id: /input/id}}", "resources: [x]", "and none is asked"),
        (
            "probe: {tool: look, arguments: {id: /input/id}}",
            "probe: {tool: look, arguments: {id: /output/id}}",
            "is not recorded where this is asked",
        ),
        (
            "probe: {tool: look, arguments: {id: /input/id}}",
            "probe: {tool: cancel}",
            "here only a reading tool",
        ),
    ],
)
def test_what_could_not_be_kept_is_found_where_it_stands(
    tmp_path: Path, said: str, instead: str, text: str
) -> None:
    assert said in GOOD
    [found] = check_ward(ward(tmp_path, GOOD.replace(said, instead)))
    assert text in found.reason.text
    assert found.reason.remedy
    assert found.file == "tools/s.yaml"
    assert found.line > 2


def test_arguments_that_the_server_does_not_list_are_found_once_it_is_known(tmp_path: Path) -> None:
    def takes(*names: str) -> dict[str, object]:
        return {
            "inputSchema": {"type": "object", "properties": {name: {} for name in names}, "required": ["id"]}
        }

    loaded = load_ward(ward(tmp_path, GOOD))
    definitions = {
        "s": {"write": takes("file"), "place": takes("id"), "look": takes("ids"), "cancel": takes("id")}
    }
    texts = [each.reason.text for each in undo_findings(loaded, definitions)]
    assert texts.count("`look` has no argument `id`") == 3
    assert "`write` has no argument `path`" in texts
    assert "`cancel` has no argument `was`" in texts
    fitting = {"s": {"write": takes("path"), "place": takes("id"), "look": takes("id")}}
    assert undo_findings(loaded, fitting) == []


def test_a_word_of_undoing_without_a_way_is_a_warning_that_says_what_follows(tmp_path: Path) -> None:
    text = "server: s\ntools:\n  a: {effect: reversible}\n  b: {effect: reversible, source: catalogue}\n"
    folder = ward(tmp_path, text)
    assert check_ward(folder) == []
    [found] = unkept_findings(load_ward(folder))
    assert (found.line, "names what it did as a residual" in found.reason.text) == (3, True)


def test_what_is_declared_comes_back_from_the_file_and_from_the_store() -> None:
    use = ToolUse(tool="t", arguments={"id": "/input/id", "why": {"value": 1}})
    declared = Undo(
        snapshot=Snapshot(use=use, paths=("{arg:p}",), volatile=("{arg:p}/x",), bytes_max=5),
        compensate=Compensation(
            use=use, precondition=use, otherwise=use, window_s=1, attempts_max=2, deadline_s=3
        ),
        probe=use,
        verify=use,
        preview=use,
        escrow=Escrow(delay_s=4, until_seal=True),
        resources=("db:{arg:id}",),
        conflicts=Conflicts.SERIALIZE,
    )
    restored = Undo(snapshot=Snapshot(paths=("/srv",)), compensate=Compensation())
    for undo in (declared, restored, Undo()):
        assert to_undo(from_undo(undo)) == undo
        assert undo_from_json(undo.as_json()) == undo
