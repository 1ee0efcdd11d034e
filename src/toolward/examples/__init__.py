"""Ready wards to look at, run and make one's own: one directory for each, with its data, servers and agent.

They are data. `toolward.lab.examples` runs them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from toolward.errors import Rejected

HOME: Final = Path(__file__).parent
HERE: Final = "@HERE@"
"""Stands in an example's files for the directory into which it is copied."""
MAIL_PORT: Final = "@MAIL_PORT@"
MAIL_PORT_DEFAULT: Final = 9557
"""Where the mail server's MCP door listens unless it is told otherwise."""


def names() -> list[str]:
    """The examples there are."""
    return sorted(each.name for each in HOME.iterdir() if (each / "README.md").is_file())


def summary(name: str) -> str:
    """What an example shows, in a line: the first paragraph of its README."""
    lines = _found(name).joinpath("README.md").read_text("utf-8").splitlines()
    return next(line for line in lines if line and not line.startswith("#"))


def copy(name: str, target: Path, *, mail_port: int = MAIL_PORT_DEFAULT) -> Path:
    """Copy an example into `target`, with its paths and port written in; returns the new directory.

    Raises `Rejected` for a name that is none, and where there is something already.
    """
    source, target = _found(name), target.absolute()
    if target.exists() and any(target.iterdir()):
        raise Rejected(f"`{target}` is not empty", remedy="name a directory that is not there yet")
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for file in target.rglob("*"):
        if file.is_file():
            text = file.read_text("utf-8")
            filled = text.replace(HERE, str(target)).replace(MAIL_PORT, str(mail_port))
            if filled != text:
                file.write_text(filled, "utf-8")
    return target


def _found(name: str) -> Path:
    if name not in names():
        raise Rejected(f"no example `{name[:100]}`", remedy=f"there is {', '.join(names())}")
    return HOME / name
