"""Examples and comparisons in the sandbox: on copies, by the variant that runs the version."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from toolward.bootstrap.comparing import run_apart
from toolward.bootstrap.trying import Which, compare, try_examples
from toolward.config.testing import Answer, Example
from toolward.errors import Rejected

pytestmark = pytest.mark.e2e

WARD = """\
version: 1
name: trying
servers:
  notes:
    functions: functions/notes.py
    roots: [{root}]
    variants:
      next: {{functions: functions/notes_next.py}}
"""
MANIFEST = """\
server: notes
tools:
  add:
    effect: reversible
    egress: false
    arguments: {{path: {{kind: path}}, text: {{role: content}}}}
    capabilities:
      write: [{{template: "{{dir:path}}", root: {root}}}]
"""
SOURCE = '''\
def add(path: str, text: str) -> str:
    """Add a line; says the path and how many there are."""
    with open(path, "a") as file:
        file.write(text + "\\n")
    with open(path) as file:
        return f"{path}: {len(file.readlines())}"
'''


def a_ward(folder: Path) -> tuple[Path, Path]:
    ward, root = folder / "ward", folder / "data"
    for name, text in {
        "toolward.yaml": WARD.format(root=root),
        "tools/notes.yaml": MANIFEST.format(root=root),
        "functions/notes.py": SOURCE,
        "functions/notes_next.py": SOURCE.replace("len(file.readlines())", "len(file.readlines()) % 2"),
    }.items():
        (ward / name).parent.mkdir(parents=True, exist_ok=True)
        (ward / name).write_text(text)
    root.mkdir()
    (root / "notes.txt").write_text("one\n")
    return ward, root


def quiet(line: str) -> None:
    del line


async def test_examples_run_on_copies_and_say_what_is_not_as_written(tmp_path: Path) -> None:
    ward, root = a_ward(tmp_path)
    call = {"path": f"{root}/notes.txt", "text": "two"}
    examples = [
        Example(
            name="it adds", call="notes/add", arguments=call, answer=Answer(equals=f"{root}/notes.txt: 2")
        ),
        Example(name="it goes on", call="notes/add", arguments=call, answer=Answer(contains=": 3")),
        Example(name="it fails", call="notes/add", arguments=call, answer=Answer(error=True)),
    ]
    checks = await try_examples(ward, Which("notes/add"), examples, on_progress=quiet)
    assert [(check.what, check.holds) for check in checks] == [
        ("it adds", True),
        ("it goes on", True),
        ("it fails", False),
    ]
    assert (root / "notes.txt").read_text() == "one\n"


async def test_a_comparison_names_the_calls_that_are_answered_differently(tmp_path: Path) -> None:
    ward, root = a_ward(tmp_path)
    calls = [{"path": f"{root}/new.txt", "text": str(n)} for n in range(3)]
    which = Which("notes/add"), Which("notes/add", "notes@next")
    found = await compare(ward, *which, calls, on_progress=quiet)
    assert [each.arguments["text"] for each in found] == ["1", "2"]
    assert "new.txt: 2" in found[0].first
    assert "new.txt: 0" in found[0].second
    assert await compare(ward, which[0], which[0], calls, on_progress=quiet) == []
    assert not (root / "new.txt").exists()


async def test_another_definition_than_the_one_that_is_meant_is_not_tried(tmp_path: Path) -> None:
    ward, _ = a_ward(tmp_path)
    with pytest.raises(Rejected, match="is not the version that is meant"):
        await try_examples(ward, Which("notes/add", "", "sha256:0"), [], on_progress=quiet)
    with pytest.raises(Rejected, match="has no variant"):
        await try_examples(ward, Which("notes/add", "notes@other"), [], on_progress=quiet)


async def test_a_comparison_in_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    ward, root = a_ward(tmp_path)
    calls = [{"path": f"{root}/new.txt", "text": str(n)} for n in range(3)]
    first, second = ["notes/add", "", ""], ["notes/add", "notes@next", ""]
    asked = {"path": str(ward), "first": first, "second": second, "calls": calls}
    said = orjson.loads(await run_apart(orjson.dumps(asked)))
    assert [each["arguments"]["text"] for each in said["differences"]] == ["1", "2"]
    asked["second"] = ["notes/add", "notes@other", ""]
    assert "has no variant" in orjson.loads(await run_apart(orjson.dumps(asked)))["error"]
