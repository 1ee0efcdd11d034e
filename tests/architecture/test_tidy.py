"""The rules of the house that no linter knows: sizes, one mint, docs that name everything, public names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import toolward
from toolward.config import limits
from toolward.errors import ReasonCode
from toolward.model.event import EventKind
from toolward.model.incident import IncidentKind
from toolward.ports.store import Table

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


def uses(name: str, *, outside: Path) -> int:
    pattern = re.compile(rf"\b{re.escape(name)}\b")
    return sum(len(pattern.findall(path.read_text())) for path in SOURCES if path != outside)


@pytest.mark.parametrize(
    ("names", "defined"),
    [
        ([f"EventKind.{kind.name}" for kind in EventKind], "model/event.py"),
        ([f"Table.{table.name}" for table in Table], "ports/store.py"),
        ([f"IncidentKind.{kind.name}" for kind in IncidentKind], "model/incident.py"),
        ([name for name in vars(limits) if name.isupper()], "config/limits.py"),
    ],
    ids=["records", "tables", "incidents", "limits"],
)
def test_what_is_declared_is_used(names: list[str], defined: str) -> None:
    assert [name for name in names if not uses(name, outside=ROOT / "src" / "toolward" / defined)] == []


def test_every_reason_code_is_given_as_a_reason_somewhere() -> None:
    # `cli/exits.py` maps codes and gives none; an error class gives its default code when it is raised
    errors = ROOT / "src" / "toolward" / "errors.py"
    source = "".join(p.read_text() for p in SOURCES if p != errors and p.name != "exits.py")
    raised = {
        default: name
        for name, default in re.findall(
            r"class (\w+)\(.*?\):(?:(?!\nclass ).)*?default_code = ReasonCode\.(\w+)",
            errors.read_text(),
            re.DOTALL,
        )
    }
    silent = [
        code.value
        for code in ReasonCode
        if not re.search(rf"\bCode\.{code.name}\b|\bReasonCode\.{code.name}\b", source)
        and not re.search(rf"\b{raised.get(code.name, ' ')}\(", source)
    ]
    assert silent == []


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name == "__init__.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_package_says_what_it_is(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert len(said.split()) > 3
