"""The newest version of a package, asked of its registry through the registry's ordinary client."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import Any, Final

from toolward.adapters.tools.mcp.packages.installing import installer_environment

_TIMEOUT_S: Final = 60
_NAME: Final = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9@/._\[\],^~<>=!*+-]*")


def newest_version(kind: str, wanted: str) -> str:
    """The newest version of `wanted` (a name, perhaps with a range) in `pypi` or `npm`; '' if unknown.

    Blocks for as long as the registry's client takes, a minute at most.
    """
    if _NAME.fullmatch(wanted) is None:
        return ""
    return _npm(wanted) if kind == "npm" else _pypi(wanted)


def _pypi(wanted: str) -> str:
    uv = shutil.which("uv")
    if uv is not None:
        options = ("--no-deps", "--no-header", "--no-annotate", "--quiet")
        text = _run((uv, "pip", "compile", "-", *options), given=f"{wanted}\n")
        found = re.search(r"==\s*([A-Za-z0-9.!+_-]+)", text)
        return found[1] if found else ""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    text = _run((*pip, "--dry-run", "--ignore-installed", "--no-deps", "--report", "-", wanted))
    report = _json(text)
    try:
        return str(report["install"][0]["metadata"]["version"])
    except (KeyError, IndexError, TypeError):
        return ""


def _npm(wanted: str) -> str:
    npm = shutil.which("npm")
    if npm is None:
        return ""
    value = _json(_run((npm, "view", wanted, "version", "--json")))
    if isinstance(value, list) and value:  # a range: oldest first
        value = value[-1]
    return value if isinstance(value, str) else ""


def _run(command: tuple[str, ...], *, given: str = "") -> str:
    try:
        done = subprocess.run(  # noqa: S603 -- the registry's own client; the name was checked
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=installer_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
