"""A ward made by `toolward init` in front of a server that starts at once, and the command line in this process."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from toolward.cli import cli

SERVER = Path(__file__).parent / "servers" / "tiny_server.py"
SECRET = "ghp_Zx81mQpL0aVt5RbN3cKw7YdE2sUhJ4fGoI9T"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


@dataclass
class Terminal:
    """The command line with a home of its own."""

    home: Path

    @property
    def ward(self) -> Path:
        return self.home / "ward"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "TOOLWARD_WARD": str(self.ward),
            "TOOLWARD_PERSON": "",
            **more,
        }

    def run(self, *arguments: str, given: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
        result = CliRunner(env=self.environment(**(env or {}))).invoke(cli, arguments, input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def ok(self, *arguments: str, **options: Any) -> Ran:
        ran = self.run(*arguments, **options)
        assert ran.code == 0, ran
        return ran


def client_file(home: Path, **servers: Mapping[str, Any]) -> Path:
    """An MCP client's configuration with the tiny server in it."""
    (home / "work").mkdir(exist_ok=True)
    tiny = {
        "command": sys.executable,
        "args": ["-S", str(SERVER)],
        "cwd": str(home / "work"),
        "env": {"API_TOKEN": SECRET},
    }
    path = home / "clients.json"
    path.write_text(json.dumps({"mcpServers": {"tiny": tiny, **servers}}))
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Not to be changed: `terminal` gives a copy."""
    terminal = Terminal(tmp_path_factory.mktemp("made"))
    terminal.ok("init", str(terminal.ward), "--from", str(client_file(terminal.home)), "--yes")
    return terminal


@pytest.fixture
def terminal(made: Terminal, tmp_path: Path) -> Terminal:
    """A ward of this test's own, with four approved tools."""
    home = tmp_path / "home"
    shutil.copytree(made.home, home)
    copy = Terminal(home)
    config = copy.ward / "toolward.yaml"
    before = config.read_text()
    text = before.replace(str(made.home), str(home))
    work = f"cwd: {home / 'work'}"
    assert text.count(work) == 1
    config.write_text(text.replace(work, f"{work}\n    roots: [{home / 'work'}]"))  # where it may write
    return copy
