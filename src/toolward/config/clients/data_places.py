"""Where a server keeps data, by the files and directories that its arguments and environment name. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from toolward.rules.secret_looks import is_secret_name

_DATA: Final = re.compile(
    r"\.(?:csv|db3?|duckdb|jsonl?|mdb|ndjson|parquet|sqlite3?|tsv|xlsx)\Z", re.IGNORECASE
)
"""Files that a server changes. A script, a key or a configuration is none."""
_NOT_DATA: Final = re.compile(r"config|setting|credential|cert|schema|manifest", re.IGNORECASE)
"""In the name of an option or a variable: such a file is only read, and its neighbours are others'."""
_ASSIGNED: Final = re.compile(r"(-{0,2}[A-Za-z][A-Za-z0-9_.-]*)=(.*)\Z")
_SQLITE_URL: Final = re.compile(r"sqlite(?:\+[a-z0-9]+)?:///(?P<path>[^?]+)(?:\?.*)?\Z")


@dataclass(frozen=True, slots=True)
class DataPlace:
    """A file or a directory; `said_by` is the option or variable that names it."""

    path: str
    said_by: str
    is_file: bool  # by its name: it may not exist yet


def data_places(arguments: Sequence[str], env: Mapping[str, str], *, cwd: str) -> Iterator[DataPlace]:
    """Every absolute path that may be data, in order. Relative files count from `cwd` if there is one."""
    for index, text in enumerate(arguments):
        assigned = _ASSIGNED.match(text)
        before = arguments[index - 1] if index and arguments[index - 1].startswith("-") else ""
        name, value = (assigned[1], assigned[2]) if assigned else (before, text)
        yield from _place(name, value, cwd)
    for name, value in env.items():
        yield from _place(name, value, cwd)


def _place(name: str, value: str, cwd: str) -> Iterator[DataPlace]:
    if value.startswith("-") or is_secret_name(name.lstrip("-")) or _NOT_DATA.search(name):
        return
    url = _SQLITE_URL.match(value)
    path = url["path"] if url else value
    is_file = url is not None or _DATA.search(path) is not None
    if is_file and cwd.startswith("/"):
        path = posixpath.join(cwd, path)
    if path.startswith("/") and path != "/" and ":" not in path:
        yield DataPlace(posixpath.normpath(path), name.lstrip("-") or value, is_file)
