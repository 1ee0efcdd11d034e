"""What is wrong with `objectives/*.yaml` is found with file, line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import write_ward

from toolward.config.ward import check_ward, load_ward, objective_findings

GOOD = """\
name: report
purpose: write it
owner: finance
steps:
  - name: collect
    tools: [files/read]
  - name: publish
    tools: [files/*]
    decision_critical: true
    bounds: {written: 0}
success:
  steps: [publish]
  tools: [files/write]
  verify:
    - {tool: files/read, arguments: {path: /a}, equals: 3}
"""


def findings(folder: Path, text: str, *, name: str = "report") -> list[str]:
    write_ward(folder, {f"objectives/{name}.yaml": text})
    return [error.diagnostics() for error in check_ward(folder)]


def test_a_good_one_is_read(tmp_path: Path) -> None:
    assert findings(tmp_path, GOOD) == []
    objective = load_ward(tmp_path).objectives["report"]
    assert [(step.name, step.critical, step.bounds.written) for step in objective.steps] == [
        ("collect", False, None),
        ("publish", True, 0),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("owner: finance\n", "", 1, "lacks `owner`"),
        ("name: report", "name: other", 1, "stands in `objectives/report.yaml`"),
        ("name: report", "name: Report", 1, "`name`"),
        ("name: publish", "name: verify", 7, "success is verified"),
        ("name: publish", "name: collect", 7, "a second step `collect`"),
        ("[files/read]", "[flies/read]", 6, "no server `flies`; did you mean `files`?"),
        ("[files/read]", "[files]", 6, "`steps[0].tools[0]`"),
        ("[files/read]", "['*/read']", 6, "`steps[0].tools[0]`"),
        ("[files/read]", "[files/r*d]", 6, "`steps[0].tools[0]`"),
        ("steps: [publish]", "steps: [pulbish]", 12, "no step `pulbish`; did you mean `publish`?"),
        ("tools: [files/write]", "tools: [mail/send]", 13, "no step uses `mail/send`"),
        (", equals: 3", "", 15, "says not what is expected"),
        ("tool: files/read", "tool: files/*", 15, "no single tool"),
        ("written: 0", "written: -1", 10, "`steps[1].bounds.written`"),
        ("decision_critical", "critical", 9, "unknown key `critical`"),
    ],
)
def test_what_is_wrong_is_named_where_it_stands(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in GOOD
    found = findings(tmp_path, GOOD.replace(old, new, 1))
    assert any(each.startswith(f"objectives/report.yaml:{line}: ") and said in each for each in found), found


def test_what_no_tool_is_called_and_what_would_write_to_verify_are_warnings(tmp_path: Path) -> None:
    assert findings(tmp_path, GOOD.replace("[files/read]", "[files/raed]")) == []
    ward = load_ward(tmp_path)
    assert objective_findings(ward, {}) == [], "of a server that is not known yet nothing is said"
    tools = {"files/read": "reversible", "files/write": "reversible"}
    assert [error.diagnostics() for error in objective_findings(ward, tools)] == [
        "objectives/report.yaml:6: `files/raed` names no tool of `files`; did you mean `files/read`?",
        "objectives/report.yaml:15: `files/read` is `reversible`, and what verifies must only read; name a tool that only reads",
    ]
