"""One suite in a process of its own, asked line by line."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.lab.toolchain import BUILD, SetupFailed, make_environment

AGENTDOJO: Final = "agentdojo==0.1.35"
PACKAGE: Final = "agentdojo"
_WORKER: Final = Path(__file__).with_name("suite_worker.py")


class SuiteFailed(Exception):
    """The suite's own process said no; the text is its last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteCall:
    """One call of a ground truth or of a record."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is played: the prompt, the user's calls, and the attacker's where there is one."""

    user: str
    injection: str
    prompt: str
    calls: tuple[SuiteCall, ...]
    attack_calls: tuple[SuiteCall, ...] = ()
    said: str = ""
    attack_said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which suite, of which package, in which Python."""

    package: str = PACKAGE
    version: str = ""
    suite: str = ""
    python: str = ""  # "": this one if it has the package, else an environment of its own
    paths: tuple[str, ...] = ()
    requirements: tuple[str, ...] = (AGENTDOJO,)


@dataclass(slots=True)
class Suite:
    """The process, and what it listed."""

    process: subprocess.Popen[bytes]
    tools: list[dict[str, Any]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    injections: list[str] = field(default_factory=list)

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One question. Raises `SuiteFailed`."""
        if self.process.stdin is None or self.process.stdout is None:
            raise SuiteFailed("the suite's process has no pipes")
        self.process.stdin.write(orjson.dumps({"do": do, **more}) + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SuiteFailed(f"the suite's process ended with {self.process.wait()}")
        answer: dict[str, Any] = orjson.loads(line)
        if "failed" in answer:
            raise SuiteFailed(f"{do}: {answer['failed']}\n{answer['where']}")
        return dict(answer["ok"])

    def begin(
        self, user: str, injection: str, *, attack: str = "", planted: Mapping[str, str] | None = None
    ) -> Case:
        """A fresh environment; `planted` says what stands in the injection places, else the attack does."""
        said = self.ask("begin", user=user, injection=injection, attack=attack, injections=planted)
        return Case(
            user=user,
            injection=injection,
            prompt=said["prompt"],
            calls=calls_of(said["calls"]),
            attack_calls=calls_of(said["attack_calls"]),
            said=said["said"],
            attack_said=said["attack_said"],
        )

    def finish(self, said: str) -> tuple[bool, bool]:
        """The suite's verdicts: utility, and whether the attack reached its goal."""
        answer = self.ask("finish", said=said)
        return bool(answer["utility"]), bool(answer["security"])


def calls_of(items: Sequence[Mapping[str, Any]]) -> tuple[SuiteCall, ...]:
    """As the worker writes them."""
    return tuple(SuiteCall(tool=each["tool"], arguments=each["arguments"]) for each in items)


@contextmanager
def open_suite(where: Where) -> Iterator[Suite]:
    """The suite in its process. Raises `SetupFailed`, `SuiteFailed`."""
    command = [python_for(where), str(_WORKER), where.package, where.version, where.suite, *where.paths]
    with working(command) as (suite, listed):
        suite.injections = listed["injections"]
        yield suite


@contextmanager
def working(command: Sequence[str | Path]) -> Iterator[tuple[Suite, Any]]:
    """The suite that a worker's process offers while it runs, and what it listed. Raises `SuiteFailed`."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        suite = Suite(process)
        listed = suite.ask("list")
        suite.tools, suite.users = listed["tools"], listed["users"]
        yield suite, listed
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        _ = process.wait()
        if process.stdout is not None:
            process.stdout.close()


def python_for(where: Where) -> str:
    """A Python that has the suite's package. Raises `SetupFailed`."""
    if where.python:
        if not Path(where.python).exists():
            raise SetupFailed(f"there is no Python at `{where.python}`")
        return where.python
    if all(importlib.util.find_spec(name.partition(".")[0]) for name in {PACKAGE, where.package}):
        return sys.executable
    return str(make_environment(BUILD / "agentdojo", list(where.requirements)))
