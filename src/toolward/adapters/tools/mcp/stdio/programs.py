"""What a program is started from: the paths that its cage must show, read-only, beside what it is granted.

Nobody declared these, so they are narrow: an environment that was made to hold a program (a virtual
environment, a prefix with its libraries, `node_modules`), the program's own file, and the directory of a
script that an interpreter is told to run. Never a person's home, and never what an option names: that is
data.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_SHEBANG_MAX: Final = 256
"""What the kernel reads of a first line."""
_INTERPRETERS_MAX: Final = 4
"""Interpreters of interpreters that are followed, as many as the kernel does."""
_TOO_WIDE: Final = frozenset(
    Path("/", name) for name in ("", "home", "root", "srv", "etc", "tmp", "var", "opt")
)
_RUNS_SCRIPTS: Final = re.compile(r"(python|pypy|node|nodejs|deno|bun|ruby|perl|bash|sh|tsx|ts-node)[0-9.]*")
_SYSTEM: Final = ("/usr/", "/bin/", "/sbin/", "/lib")
"""What every cage shows anyway."""


def program_paths(argv: Sequence[str], search: str) -> tuple[str, ...]:
    """Absolute paths, without links in them, that `argv` is loaded from. `search` is the PATH.

    What every program runs from (`/usr`) is not repeated.
    """
    found: dict[str, None] = {}
    for path in _all(argv, search):
        real = os.path.realpath(path)
        if Path(real).exists() and not f"{real}/".startswith(_SYSTEM) and not is_too_wide(Path(real)):
            found[real] = None
    return tuple(path for path in found if not any(_inside(path, other) for other in found))


def program_digest(argv: Sequence[str], search: str) -> str:
    """`sha256:<hex>` of the program's own file and of a script that it runs; "" if there is neither.

    What the operating system brings (`/usr`) is left out: its updates are its owner's decision.
    """
    program = shutil.which(argv[0], path=search)
    files = [Path(os.path.realpath(each)) for each in (program, _script(argv)) if each is not None]
    digest = hashlib.sha256()
    found = False
    for file in files:
        if str(file).startswith(_SYSTEM) or not file.is_file():
            continue
        found = True
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}" if found else ""


def is_too_wide(path: Path) -> bool:
    """Whether that directory holds a person's home, or more than one program."""
    home = Path.home()
    return path in _TOO_WIDE or path == home or path in home.parents or path.parent == Path("/home")


def _all(argv: Sequence[str], search: str) -> Iterator[Path]:
    program = shutil.which(argv[0], path=search)
    if program is None:
        return
    yield from _around(Path(program), search, _INTERPRETERS_MAX)
    script = _script(argv)
    if script is not None:
        yield script
        if not is_too_wide(script.parent):
            yield script.parent


def _script(argv: Sequence[str]) -> Path | None:
    """The file that an interpreter is told to run: its first argument that is no option, and no option's."""
    if not _RUNS_SCRIPTS.fullmatch(Path(argv[0]).name):
        return None
    for word in argv[1:]:
        if word.startswith("-"):
            if word in ("-c", "-m", "-e", "-p"):
                return None
            continue
        path = Path(word)
        return path if path.is_absolute() and path.is_file() else None
    return None


def _around(program: Path, search: str, depth: int) -> Iterator[Path]:
    """A program, what it is a link to, the environment it stands in, and who interprets it."""
    for path in (program, Path(os.path.realpath(program))):
        environment = _environment(path)
        yield path if environment is None else environment
        if environment is not None:
            yield from _base_of(environment)
    interpreter = _interpreter(program, search)
    if depth and interpreter is not None and interpreter != program:
        yield from _around(interpreter, search, depth - 1)


def _environment(path: Path) -> Path | None:
    """What was made to hold this program: a virtual environment, `node_modules`, or a prefix of its own."""
    for above in path.parents:
        if (above / "pyvenv.cfg").is_file() or above.name == "node_modules":
            return above
    prefix = path.parent.parent
    if path.parent.name in {"bin", "shims"} and not is_too_wide(prefix):
        libraries = [*prefix.glob("lib/python3*"), prefix / "lib" / "node_modules", prefix / "versions"]
        if any(each.is_dir() for each in libraries):
            return prefix
    return None


def _base_of(environment: Path) -> Iterator[Path]:
    """The Python that a virtual environment was made from."""
    config = environment / "pyvenv.cfg"
    if config.is_file():
        for line in config.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home" and value.strip():
                yield Path(os.path.realpath(value.strip())).parent


def _interpreter(program: Path, search: str) -> Path | None:
    """Who runs a script, as its first line says."""
    try:
        with program.open("rb") as stream:
            line = stream.read(_SHEBANG_MAX).partition(b"\n")[0]
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode("utf-8", "replace").split()
    if words and Path(words[0]).name == "env":
        name = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)
        found = shutil.which(name, path=search) if name is not None else None
        return Path(found) if found else None
    return Path(words[0]) if words else None


def _inside(path: str, other: str) -> bool:
    return path != other and path.startswith(other.rstrip("/") + "/")
