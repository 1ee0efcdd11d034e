"""How an environment is built with the installer of each registry, as plain command lines."""

from __future__ import annotations

import configparser
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.errors import ToolFailed

WHEELS_ONLY: Final = ("--only-binary", ":all:")
"""Building a package runs its code, and installers run outside of any cage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Commands to run in order, then where to find the program and what was resolved."""

    place: Path
    commands: tuple[tuple[str, ...], ...]
    program: Callable[[str, str], tuple[str, ...]]  # distribution name, wanted script or ""
    read_lock: Callable[[], bytes]


def pypi_installation(
    place: Path, *, requirement: str, constraints: Sequence[str], lock: Path
) -> Installation:
    """A virtual environment, filled by `uv` where it is on the path, else by pip; from wheels only."""
    python = str(place / "bin" / "python")
    wanted = place / "wanted.txt"
    wanted.write_text("\n".join((requirement, *constraints)) + "\n", encoding="utf-8")
    resolved = place / "resolved.txt"
    report = place / "report.json"
    if lock.exists():
        shutil.copyfile(lock, resolved)
    uv = shutil.which("uv")
    commands: list[tuple[str, ...]]
    if uv is not None:
        commands = [(uv, "venv", "--allow-existing", "--python", sys.executable, str(place))]
        if not lock.exists():
            compile_ = (uv, "pip", "compile", "--generate-hashes", "--no-header", "--no-annotate")
            commands.append((*compile_, *WHEELS_ONLY, "--python", python, "-o", str(resolved), str(wanted)))
        install = (uv, "pip", "install", *WHEELS_ONLY, "--python", python)
        commands.append((*install, "--require-hashes", "-r", str(resolved)))
        read: Callable[[], bytes] = resolved.read_bytes
    else:
        pip = (python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", *WHEELS_ONLY)
        commands = [(sys.executable, "-m", "venv", str(place))]
        if lock.exists():
            commands.append((*pip, "--require-hashes", "-r", str(resolved)))
            read = resolved.read_bytes
        else:
            commands.append((*pip, "--report", str(report), "-r", str(wanted)))
            read = lambda: _lock_from_report(report)  # noqa: E731 -- the other branch is a bound method
    return Installation(
        place=place,
        commands=tuple(commands),
        program=lambda name, script: _console_script(place, name, script),
        read_lock=read,
    )


def _lock_from_report(report: Path) -> bytes:
    """`name==version --hash=…` lines from pip's installation report (PyPA specification, version 1)."""
    lines = []
    for item in orjson.loads(report.read_bytes()).get("install", []):
        meta = item["metadata"]
        hashes = item.get("download_info", {}).get("archive_info", {}).get("hashes", {})
        hashed = " ".join(f"--hash={kind}:{value}" for kind, value in sorted(hashes.items()))
        lines.append(f"{meta['name']}=={meta['version']} {hashed}".strip())
    return ("\n".join(sorted(lines, key=str.lower)) + "\n").encode()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def _console_script(place: Path, name: str, script: str) -> tuple[str, ...]:
    """The script that the ward names, else the one named like the package, else the only one."""
    found: dict[str, Path] = {}
    for info in place.glob("lib/python*/site-packages/*.dist-info"):
        if _plain(info.name.split("-", 1)[0]) != _plain(name) or not (info / "entry_points.txt").exists():
            continue
        points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        points.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        points.read(info / "entry_points.txt", encoding="utf-8")
        if points.has_section("console_scripts"):
            found = {key: place / "bin" / key for key in points["console_scripts"]}
    if not found and not script:
        module = _plain(name).replace("-", "_")
        if any(place.glob(f"lib/python*/site-packages/{module}/__main__.py")):
            return (str(place / "bin" / "python"), "-m", module)
    return (str(_chosen(found, name, script)),)


def _chosen(found: dict[str, Path], name: str, script: str) -> Path:
    if script:
        matching = [path for key, path in found.items() if key == script]
    else:
        matching = [path for key, path in found.items() if _plain(key) == _plain(name.rpartition("/")[2])]
        if not matching and len(found) == 1:
            matching = list(found.values())
    if not matching or not matching[0].exists():
        names = ", ".join(f"`{key}`" for key in sorted(found)) or "none"
        raise ToolFailed(
            f"package `{name}` has no program to start a server with (it has {names})",
            remedy="name one in the server's `entry`",
        )
    return matching[0]


def npm_installation(
    place: Path, *, requirement: str, constraints: Sequence[str], lock: Path
) -> Installation:
    """A directory with `node_modules`, filled by npm. Install scripts of packages are not run."""
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    if lock.exists():
        shutil.copyfile(lock, place / "package-lock.json")
        pinned = orjson.loads(lock.read_bytes()).get("packages", {}).get("", {}).get("dependencies", {})
        (place / "package.json").write_bytes(orjson.dumps({"private": True, "dependencies": pinned}))
        command: tuple[str, ...] = ("npm", "ci", "--prefix", str(place), *quiet)
    else:
        (place / "package.json").write_bytes(orjson.dumps({"private": True}))
        exact = ("--save-exact", requirement, *constraints)
        command = ("npm", "install", "--prefix", str(place), *quiet, *exact)
    return Installation(
        place=place,
        commands=(command,),
        program=lambda name, script: _bin_script(place, name, script),
        read_lock=(place / "package-lock.json").read_bytes,
    )


def _bin_script(place: Path, name: str, script: str) -> tuple[str, ...]:
    home = place / "node_modules" / name
    described: dict[str, Any] = orjson.loads((home / "package.json").read_bytes())
    programs = described.get("bin", {})
    if isinstance(programs, str):
        programs = {name.rpartition("/")[2]: programs}
    found = {key: place / "node_modules" / ".bin" / key for key in programs}
    return (str(_chosen(found, name, script)),)
