"""The rules of the house that no linter knows: sizes, one mint, docs that name everything, public names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import toolward
from toolward.errors import ReasonCode
from toolward.model.event import EventKind

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "toolward").rglob("*.py"))
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
EMPTY_NAMES = ("util", "utils", "helper", "helpers", "manager", "service", "base", "misc", "common")


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    size = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        size -= (first.end_lineno or first.lineno) - first.lineno + 1
    return size


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_its_size_and_so_do_its_functions(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= FILE_LINES_MAX
    too_long = [
        node.name for node in functions(ast.parse(text)) if lines_without_docstring(node) > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_no_file_has_an_empty_name() -> None:
    assert [path for path in SOURCES if path.stem in EMPTY_NAMES] == []


def test_a_permit_is_made_in_one_place_only() -> None:
    makers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Permit"
    ]
    assert makers == ["src/toolward/kernel/mint.py"]


def test_there_is_no_assert_in_the_source() -> None:
    assert [
        path
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ] == []


def test_nothing_is_left_unfinished() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [path for path in SOURCES if marks.search(path.read_text())] == []


def test_the_corridor_fits_on_one_screen_and_its_steps_stand_in_order() -> None:
    source = (ROOT / "src" / "toolward" / "kernel" / "gateway.py").read_text()
    body = source[source.index("async def perform") : source.index("# --- sessions")]
    steps = [int(step) for step in re.findall(r"#\s*([1-8])\b", body)]
    assert [step for step in steps if step <= 5] == [1, 2, 3, 4, 5]
    assert steps[5] == 6
    assert body.count("\n") <= 70


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("reason-codes.md", [code.value for code in ReasonCode]),
        ("audit-records.md", [kind.value for kind in EventKind]),
    ],
)
def test_the_docs_name_every_code_and_every_kind_of_record(document: str, names: list[str]) -> None:
    text = (ROOT / "docs" / document).read_text()
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_public_names_are_these() -> None:
    assert sorted(toolward.__all__) == [
        "BadArguments",
        "CallerError",
        "Denied",
        "GatewayError",
        "Pending",
        "PolicyError",
        "Rejected",
        "ToolFailed",
        "ToolwardError",
        "UnknownTool",
        "WardError",
        "__version__",
        "open",
        "open_sync",
    ]
