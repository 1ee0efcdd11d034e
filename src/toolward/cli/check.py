"""`toolward check`: everything that is wrong with a ward's files and policies, with file, line and remedy."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.link import connect_daemon
from toolward.cli.place import find_person


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong."""

    file: str
    line: int
    text: str
    remedy: str
    severity: str

    def as_json(self) -> dict[str, Any]:
        """For editors and scripts."""
        return {
            "file": self.file,
            "line": self.line,
            "text": self.text,
            "remedy": self.remedy,
            "severity": self.severity,
        }


@click.command("check")
@click.argument("ward", required=False, default="")
@click.option("--schema", is_flag=True, help="Print the Cedar schema that policies are checked against.")
@verb
def command(frame: Frame, ward: str, schema: bool) -> None:
    """Check WARD's files, and its policies against the schemas of its tools.

    Exits 3 when an error was found, with which the ward would not start, and 1 for warnings only.
    """
    if ward:
        frame.ward = ward
    path = frame.place.path
    flaws = file_flaws(path)
    if not flaws:
        flaws, cedar = _policy_flaws(frame, path)
        flaws += _misplaced(path)
        flaws += _unkept(path)
        flaws += _overdue(path, today=dt.datetime.now(dt.UTC).date().isoformat())  # noqa: TID251 -- the calendar's
        if schema:
            frame.screen.say(cedar)
    _show(frame, flaws)


def file_flaws(path: Path) -> list[Flaw]:
    """What is wrong with the files as such."""
    from toolward.config.ward import check_ward  # noqa: PLC0415

    return [
        Flaw(error.file, error.line, error.reason.text, error.reason.remedy, "error")
        for error in check_ward(path)
    ]


def _misplaced(path: Path) -> list[Flaw]:
    """Paths that a server or a call would be refused for: the ward starts, they do not."""
    from toolward.config.places import check_places  # noqa: PLC0415
    from toolward.config.ward import load_ward  # noqa: PLC0415

    return [
        Flaw(error.file, error.line, error.reason.text, error.reason.remedy, "warning")
        for error in check_places(load_ward(path))
    ]


def _overdue(path: Path, *, today: str) -> list[Flaw]:
    """Tools that were to be looked at again before `today` (ISO dates, which sort as text)."""
    from toolward.config.ward import load_ward  # noqa: PLC0415

    late: dict[tuple[str, str, str], list[str]] = {}
    for key, (_, said) in load_ward(path).manifests.items():
        if said.review_by and said.review_by < today:
            late.setdefault((key.partition("/")[0], said.review_by, said.owner), []).append(key)
    return [
        Flaw(
            f"tools/{server}.yaml",
            0,
            f"to be looked at again by {date}: {', '.join(tools)}",
            f"let {owner or 'their owner'} look, and set a new `review_by`",
            "warning",
        )
        for (server, date, owner), tools in late.items()
    ]


def _unkept(path: Path) -> list[Flaw]:
    """Promises of undoing that nobody could keep."""
    from toolward.config.ward import load_ward, unkept_findings  # noqa: PLC0415

    return [
        Flaw(error.file, error.line, error.reason.text, error.reason.remedy, "warning")
        for error in unkept_findings(load_ward(path))
    ]


def _policy_flaws(frame: Frame, path: Path) -> tuple[list[Flaw], str]:
    """Policies against the pinned tools. Nothing is put in force, so a broken policy is no obstacle."""
    from toolward.bootstrap.checking import check_ward_policies, pinned_versions  # noqa: PLC0415
    from toolward.config.ward import (  # noqa: PLC0415
        load_ward,
        manifest_findings,
        objective_findings,
        undo_findings,
    )
    from toolward.rules.version import make_version, manifest_from_json  # noqa: PLC0415

    ward = load_ward(path)
    daemon = connect_daemon(frame.place.state, find_person(frame.place, frame.person))
    if daemon is None:
        versions = asyncio.run(pinned_versions(ward))
    else:
        shown = (daemon.invoke("tools.show", tool=row["tool"]) for row in daemon.invoke("tools.list"))
        versions = [
            make_version(
                tool["server"],
                tool["definition"],
                binding=tool["binding"],
                manifest=manifest_from_json(tool["manifest"]),
            )
            for tool in shown
        ]
    if not versions:
        frame.screen.note("no tool is known yet, so rules about tools can not be checked fully")
    findings, cedar = check_ward_policies(ward, versions)
    flaws = [Flaw(f.file, f.line, f.text, f.remedy, f.severity.value) for f in findings]
    definitions: dict[str, dict[str, Any]] = {}
    for version in versions:
        definitions.setdefault(version.server, {})[version.name] = orjson.loads(version.definition)
    flaws += [
        Flaw(error.file, error.line, error.reason.text, error.reason.remedy, "error")
        for error in undo_findings(ward, definitions)
    ]
    effects = {version.key: version.manifest.effect.value for version in versions}
    flaws += [
        Flaw(error.file, error.line, error.reason.text, error.reason.remedy, "warning")
        for error in [*manifest_findings(ward, definitions), *objective_findings(ward, effects)]
    ]
    return flaws, cedar


def _show(frame: Frame, flaws: Sequence[Flaw]) -> None:
    screen = frame.screen
    if screen.as_json:
        screen.result([flaw.as_json() for flaw in flaws])
    for flaw in () if screen.as_json else flaws:
        style = "red" if flaw.severity == "error" else "yellow"
        place = f"{flaw.file}:{flaw.line}: " if flaw.line else f"{flaw.file}: " if flaw.file else ""
        word = "" if flaw.severity == "error" else "warning: "
        screen.say(f"{place}{word}{flaw.text}" + (f"; {flaw.remedy}" if flaw.remedy else ""), style=style)
    if any(flaw.severity == "error" for flaw in flaws):
        leave(Exit.WARD_INVALID)
    if flaws:
        leave(Exit.FINDING)
    if not screen.as_json:
        screen.say("nothing is wrong", style="green")
