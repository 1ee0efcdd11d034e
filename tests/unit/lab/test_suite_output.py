"""The conformance suite's output: what counts as passed, and what is no figure at all."""

from pathlib import Path

import orjson
import pytest

from toolward.lab.conformance import Plan, rows_of
from toolward.lab.suite_output import SuiteRun, parse_summary, read_failures

OUTPUT = """
=== Running scenario: ping ===
✓ ping: 9 passed, 0 failed

=== SUMMARY ===
✓ ping: 2 passed, 0 failed
✗ logging-set-level: 1 passed, 1 failed
✓ silent: 0 passed, 0 failed
✗ tasks-lifecycle: 2 passed, 7 failed
✓ json-schema-2020-12: 8 passed, 0 failed

Total: 13 passed, 8 failed

Not scored for 2026-07-28: 2 scenario(s) run, 1 failing. These do not affect conformance.
  ✗ tasks-lifecycle (extension)
  ✓ json-schema-2020-12 (pending)
"""
PLAN = Plan(label="2026-07-28", version="0.0.0", arguments=(), required=2)


def a_run(text: str, **failures: list[str]) -> SuiteRun:
    return SuiteRun(scenarios=parse_summary(text), failures=failures)


def test_only_the_summary_counts_and_unscored_scenarios_are_not_required() -> None:
    run = a_run(OUTPUT)
    assert [each.name for each in run.required] == ["ping", "logging-set-level", "silent"]
    assert run.passed == 1
    assert run.required[0].checks_passed == 2


def test_a_scenario_without_a_check_that_ran_has_not_passed() -> None:
    assert [each.name for each in a_run(OUTPUT).failing] == ["logging-set-level", "silent"]


def test_colours_do_not_hide_a_scenario() -> None:
    coloured = OUTPUT.replace("✓", "\x1b[32m✓\x1b[0m").replace("✗", "\x1b[31m✗\x1b[0m")
    assert parse_summary(coloured) == parse_summary(OUTPUT)


@pytest.mark.parametrize("text", ["", "✓ ping: 2 passed, 0 failed", "=== SUMMARY ===\n\nTotal: 0 passed"])
def test_output_without_a_summary_gives_no_figures(text: str) -> None:
    with pytest.raises(ValueError, match="summary"):
        parse_summary(text)


def test_failed_checks_are_read_by_scenario_with_their_text(tmp_path: Path) -> None:
    folder = tmp_path / "server-logging-set-level-2026-11-23T02-25-37-079Z"
    folder.mkdir()
    checks = [
        {"id": "a", "status": "SUCCESS"},
        {"id": "b", "status": "FAILURE", "errorMessage": "expected {}"},
        {"id": "c", "status": "FAILURE", "description": "says c"},
    ]
    (folder / "checks.json").write_bytes(orjson.dumps(checks))
    assert read_failures(tmp_path) == {"logging-set-level": ["b: expected {}", "c: says c"]}


def test_a_goal_holds_only_if_every_required_scenario_ran_and_passed() -> None:
    whole = "=== SUMMARY ===\n✓ one: 1 passed, 0 failed\n✓ two: 1 passed, 0 failed\n"
    assert rows_of(PLAN, a_run(whole), governed=True)[0].holds
    shorter = "=== SUMMARY ===\n✓ one: 1 passed, 0 failed\n"
    assert not rows_of(PLAN, a_run(shorter), governed=True)[0].holds
    failing = rows_of(PLAN, a_run(whole.replace("✓ two: 1 passed, 0", "✗ two: 0 passed, 1")), governed=True)
    assert [row.holds for row in failing] == [False, True, False]


def test_the_server_alone_has_figures_and_no_goal() -> None:
    rows = rows_of(PLAN, a_run(OUTPUT, **{"logging-set-level": ["b: expected {}"]}), governed=False)
    assert all(row.holds and not row.goal for row in rows)
    assert any(row.figure == "b: expected {}" for row in rows)
