"""What a program is started from: the paths that its cage must show, read-only, beside what it is granted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_SHEBANG_MAX: Final = 256
"""What the kernel reads of a first line."""
_TOO_WIDE: Final = frozenset({Path("/"), Path("/home"), Path("/root"), Path("/srv"), Path("/etc")})
"""A script that lies here is shown alone, without its neighbours."""
_INNER: Final = frozenset({"bin", "sbin", "shims"})
"""A program in such a directory is loaded from what lies beside it."""


def program_paths(argv: Sequence[str], search: str) -> tuple[str, ...]:
    """Absolute paths, without links in them, that `argv` is loaded from.

    The program with its environment, its interpreter, and the directory of a script that is named as its
    first file. `search` is the PATH. What every program runs from (`/usr`) is not repeated.
    """
    found: dict[str, None] = {}
    for path in _all(argv, search):
        real = os.path.realpath(path)
        if Path(real).exists() and not real.startswith(("/usr/", "/bin/", "/lib")):
            found[real] = None
    return tuple(path for path in found if not any(_inside(path, other) for other in found))


def _all(argv: Sequence[str], search: str) -> Iterator[Path]:
    program = shutil.which(argv[0], path=search)
    if program is None:
        return
    yield from _around(Path(program), search)
    script = next((Path(text) for text in argv[1:] if text.startswith("/") and Path(text).is_file()), None)
    if script is not None:
        yield script if script.parent in _TOO_WIDE or script.parent == Path.home() else script.parent


def _around(program: Path, search: str) -> Iterator[Path]:
    """A program, what it is a link to, the environment it stands in, and who interprets it."""
    for path in (program, Path(os.path.realpath(program))):
        environment = _environment(path)
        if environment is not None:
            yield environment
            yield from _base_of(environment)
        elif path.parent.name in _INNER and path.parent.parent not in _TOO_WIDE:
            yield path.parent.parent
        else:
            yield path
    interpreter = _interpreter(program, search)
    if interpreter is not None and interpreter != program:
        yield from _around(interpreter, search)


def _environment(path: Path) -> Path | None:
    """The virtual environment, or the directory of `node_modules`, in which a program stands."""
    for above in path.parents:
        if (above / "pyvenv.cfg").is_file():
            return above
        if above.name == "node_modules":
            return above.parent
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
    if words and Path(words[0]).name == "env" and len(words) > 1:
        found = shutil.which(next(word for word in words[1:] if not word.startswith("-")), path=search)
        return Path(found) if found else None
    return Path(words[0]) if words else None


def _inside(path: str, other: str) -> bool:
    return path != other and path.startswith(other.rstrip("/") + "/")
