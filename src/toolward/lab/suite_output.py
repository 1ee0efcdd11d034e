"""What the official MCP conformance suite printed and saved, as data.

Its own summary is believed, and read strictly: a run whose summary can not be found has no figures, and a
scenario without a single check that ran has not passed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

_SUMMARY: Final = "=== SUMMARY ==="
_SCENARIO: Final = re.compile(r"^([✓✗]) ([a-z0-9][a-z0-9-]*): ([0-9]+) passed, ([0-9]+) failed", re.MULTILINE)
_UNSCORED: Final = re.compile(r"^  [✓✗] ([a-z0-9][a-z0-9-]*) \(", re.MULTILINE)
_FOLDER: Final = re.compile(r"(?:server-)?(.+)-\d{4}-\d\d-\d\dT[0-9-]+Z\Z")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario of a run. `scored` says whether the revision requires it."""

    name: str
    checks_passed: int
    checks_failed: int
    scored: bool
    marked: bool  # the suite's own verdict

    @property
    def passed(self) -> bool:
        """The suite's verdict, and at least one check behind it."""
        return self.marked and not self.checks_failed and self.checks_passed > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """A whole run."""

    scenarios: tuple[Scenario, ...]
    failures: Mapping[str, Sequence[str]]  # scenario -> what failed, as the suite says it

    @property
    def required(self) -> tuple[Scenario, ...]:
        """Those that count."""
        return tuple(each for each in self.scenarios if each.scored)

    @property
    def passed(self) -> int:
        """How many of the required ones passed."""
        return sum(each.passed for each in self.required)

    @property
    def failing(self) -> tuple[Scenario, ...]:
        """The required ones that did not pass."""
        return tuple(each for each in self.required if not each.passed)


def parse_summary(text: str) -> tuple[Scenario, ...]:
    """The scenarios of the summary in order. Raises `ValueError` when there is none."""
    _, found, summary = _COLOUR.sub("", text).rpartition(_SUMMARY)
    if not found:
        raise ValueError("the suite printed no summary")
    unscored = set(_UNSCORED.findall(summary))
    scenarios = tuple(
        Scenario(
            name=name,
            checks_passed=int(passed),
            checks_failed=int(failed),
            scored=name not in unscored,
            marked=mark == "✓",
        )
        for mark, name, passed, failed in _SCENARIO.findall(summary)
    )
    if not scenarios:
        raise ValueError("the suite's summary names no scenario")
    return scenarios


def read_failures(folder: Path) -> dict[str, list[str]]:
    """Failed checks by scenario, out of the `checks.json` files that the suite saves below `folder`."""
    out: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*/checks.json")):
        matched = _FOLDER.fullmatch(file.parent.name)
        name = matched[1] if matched else file.parent.name
        checks: Any = orjson.loads(file.read_bytes())
        texts = [_text(check) for check in checks if check.get("status") == "FAILURE"]
        if texts:
            out.setdefault(name, []).extend(texts)
    return out


def _text(check: Mapping[str, Any]) -> str:
    why = check.get("errorMessage") or check.get("description") or check.get("name") or ""
    return f"{check.get('id', '?')}: {why}"
