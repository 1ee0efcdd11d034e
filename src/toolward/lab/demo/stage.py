"""What the acts share: printing, the command line as a subprocess, the daemon, promises that are checked."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.text import Text

from toolward.config.daemon_file import is_taken, read_note
from toolward.lab.demo.agent import Agent, Answer

COMMAND_TIMEOUT_S: Final = 170
"""One command; the longest installs three servers."""
START_TIMEOUT_S: Final = 30
STOP_TIMEOUT_S: Final = 15
WIDTH: Final = 130
"""Columns of one line; what is longer is cut, since a reply can be long."""


class Broken(Exception):
    """Something was not as promised."""


def expect(promise: str, kept: object, seen: object = "") -> None:
    """Raise `Broken` unless `kept`; `seen` is what there was instead."""
    if not kept:
        raise Broken(f"{promise}; seen: {seen}" if seen != "" else promise)


@dataclass(frozen=True, slots=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What a `--json` command said. Raises `Broken` when it failed."""
        expect(f"the command works, exit code {self.code}", self.code == 0, self.err[-800:])
        return orjson.loads(self.out)


@dataclass(slots=True, kw_only=True)
class Stage:
    """One run of the demo in `home`."""

    home: Path
    console: Console
    environment: dict[str, str]
    daemon: subprocess.Popen[str] | None = None
    agents: list[Agent] = field(default_factory=list)
    act: str = ""
    allowed: int = 0
    denied: int = 0
    forgeries: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _number: int = 0
    _began: float = 0.0

    @property
    def ward(self) -> Path:
        """The ward."""
        return self.home / "ward"

    @property
    def width(self) -> int:
        """Columns of one line."""
        return min(WIDTH, self.console.width) if self.console.is_terminal else WIDTH

    # --- what is shown

    def begin(self, title: str) -> None:
        """A new act."""
        self.finish()
        self._number += 1
        self.act, self._began = f"{self._number}. {title}", time.monotonic()
        self.console.print()
        self.console.print(Text(self.act, style="bold cyan"))

    def finish(self) -> None:
        """The act is over."""
        if self.act:
            self.seconds[self.act] = time.monotonic() - self._began

    def say(self, text: str, style: str = "") -> None:
        """A line of the story."""
        self.console.print(Text(f"   {text}", style=style))

    def good(self, what: str, detail: str = "") -> None:
        """Something that went as it should."""
        self._mark("ok", "green", what, detail)

    def stopped(self, what: str, detail: str = "") -> None:
        """Something that was refused or found, as it should be."""
        self._mark("no", "red", what, detail)

    def _mark(self, mark: str, style: str, what: str, detail: str) -> None:
        line = Text("   ")
        line.append(f"{self._sign(mark)} ", style=f"bold {style}")
        line.append(f"{what:<24}" if detail else what)
        line.append(f"  {detail}", style="dim" if mark == "ok" else style)
        line.truncate(self.width, overflow="ellipsis")
        self.console.print(line)

    def _below(self, text: str, style: str = "") -> None:
        """What belongs to the line before, whole, under its details."""
        for piece in textwrap.wrap(text, max(self.width - 31, 40)):
            self.say(f"  {'':<24}  {piece}", style=style)

    def _sign(self, mark: str) -> str:
        if not self.console.encoding.startswith("utf"):
            return mark
        return "\N{CHECK MARK}" if mark == "ok" else "\N{BALLOT X}"

    def typed(self, *arguments: str) -> None:
        """A command as a person would type it."""
        shown = " ".join(shlex.quote(self._short(each)) for each in arguments)
        self.console.print(Text(f"   $ toolward {shown}", style="yellow"))

    def _short(self, text: str) -> str:
        return text.replace(f"{self.home}{os.sep}", "")

    # --- the agent's calls

    def agent(self, url: str, key: str) -> Agent:
        """A new session of the agent."""
        made = Agent(url, key)
        self.agents.append(made)
        return made

    def allow(self, agent: Agent, tool: str, /, **arguments: Any) -> Answer:
        """A call that has to succeed. The beginning of its reply is shown, and where it is on record."""
        answer = agent.call(tool, **arguments)
        expect(f"`{tool}` is allowed", not answer.is_error, answer.text)
        expect(f"`{tool}` has a receipt", answer.record >= 0, answer.receipt)
        self.allowed += 1
        self.good(tool, f"record {answer.record:<3}  {' '.join(answer.text.split())}")
        return answer

    def deny(self, agent: Agent, tool: str, code: str, /, **arguments: Any) -> Answer:
        """A call that has to be refused with `code`, and to be on record."""
        answer = agent.call(tool, **arguments)
        expect(f"`{tool}` is refused with `{code}`", answer.code == code, answer.denial or answer.text)
        expect(f"the refusal of `{tool}` is on record", answer.record >= 0, answer.receipt)
        self.denied += 1
        details = answer.denial.get("details") or {}
        rule = details.get("policy") or details.get("policies") or ""
        by = f", by the {details['roles']}" if "roles" in details else ""
        self.stopped(tool, f"record {answer.record:<3}  {code}{by}{f' ({rule})' if rule else ''}")
        self._below(str(answer.denial.get("reason")))
        if answer.denial.get("remedy"):
            self._below(f"-> {self._short(str(answer.denial['remedy']))}", style="dim")
        return answer

    # --- the command line

    def run(self, *arguments: str, answer: str = "") -> Done:
        """`toolward ARGUMENTS`. With `answer` its stdin is a terminal at which that is typed."""
        terminal = self._terminal(answer) if answer else None
        try:
            done = subprocess.run(
                [sys.executable, "-m", "toolward", *arguments],
                cwd=self.home,
                env=self.environment,
                stdin=terminal if terminal is not None else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        finally:
            if terminal is not None:
                os.close(terminal)
        return Done(done.returncode, done.stdout, done.stderr)

    def ask(self, *arguments: str) -> Any:
        """The same with `--json`, on the demo's ward; must succeed."""
        return self.run(*arguments, "--json", "--ward", str(self.ward)).json()

    @staticmethod
    def _terminal(answer: str) -> int:
        """A terminal in which somebody has already typed `answer`."""
        keyboard, terminal = pty.openpty()
        os.write(keyboard, f"{answer}\n".encode())
        threading.Thread(target=_swallow, args=(keyboard,), daemon=True).start()
        return terminal

    # --- the daemon

    def start(self) -> str:
        """Start the daemon and return the agents' URL. Raises `Broken` when it does not come up."""
        began = time.monotonic()
        self.daemon = subprocess.Popen(
            [sys.executable, "-m", "toolward", "up", str(self.ward), "--port", "0", "--json"],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(self.home / "daemon.log").open("a", encoding="utf-8"),
            text=True,
            start_new_session=True,
        )
        killer = threading.Timer(START_TIMEOUT_S, self.daemon.kill)
        killer.start()
        line = self.daemon.stdout.readline() if self.daemon.stdout is not None else ""
        killer.cancel()
        expect("the daemon starts", line, (self.home / "daemon.log").read_text(encoding="utf-8")[-800:])
        self.seconds.setdefault("start", time.monotonic() - began)
        url = orjson.loads(line)["url"]
        return str(url)

    def stop(self) -> None:
        """Stop the daemon as a supervisor would. Raises `Broken` when it does not end."""
        for agent in self.agents:
            agent.close()
        self.agents.clear()
        if self.daemon is None:
            return
        self.daemon.terminate()
        try:
            code = self.daemon.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Broken("the daemon did not stop on SIGTERM") from None
        self.daemon = None
        expect("the daemon ends with exit code 0", code == 0, code)

    def strike(self) -> None:
        """Whatever happened: nothing stays running."""
        for agent in self.agents:
            agent.close()
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.terminate()
            try:
                self.daemon.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self.daemon.pid, signal.SIGKILL)
        self.daemon = None


def make_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Our programs first on the path, and credentials inside `home` instead of the user's own directory."""
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    ours = {name: value for name, value in environment.items() if not name.startswith("TOOLWARD_")}
    return {**ours, "PATH": path, "XDG_CONFIG_HOME": str(home / "config")}


def end_former(ward: Path) -> None:
    """Stop the daemon of an earlier demo that was killed, so that its ward can be removed."""
    state = ward / ".toolward"
    note = read_note(state)
    if note is None or not is_taken(state):
        return
    with suppress(ProcessLookupError):
        os.kill(note.pid, signal.SIGTERM)
    until = time.monotonic() + STOP_TIMEOUT_S
    while is_taken(state):
        expect("the daemon of an earlier demo stops", time.monotonic() < until, f"process {note.pid}")
        time.sleep(0.05)


def _swallow(keyboard: int) -> None:
    """Read the echo, so that the terminal never blocks; ends when the other side is closed."""
    with suppress(OSError):
        while os.read(keyboard, 1024):
            pass
    os.close(keyboard)
