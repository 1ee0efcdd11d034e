"""Which ward is meant, and where the credential of the person at the terminal lies."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolward.errors import WardError

CONFIG_FILE = "toolward.yaml"
STATE_DIRECTORY = ".toolward"
"""As `config.ward` has them, which takes long to import."""
PUBLIC_KEY = "log.pub"


@dataclass(frozen=True, slots=True)
class Place:
    """A ward's directory."""

    path: Path

    @property
    def state(self) -> Path:
        """Where its state lies."""
        return self.path / STATE_DIRECTORY

    def ward_id(self) -> str:
        """The log's name and its key's hash, which stay when the directory moves; '' before there is one."""
        try:
            name, digest, _ = (self.state / PUBLIC_KEY).read_text(encoding="utf-8").split("+", 2)
        except (OSError, ValueError):
            return ""
        return f"{name.removeprefix('toolward/')}-{digest}".replace("/", "_")

    def person_file(self, environment: Mapping[str, str]) -> Path | None:
        """Where this ward's person credential lies, or None while the ward has no log."""
        name = self.ward_id()
        if not name:
            return None
        home = environment.get("XDG_CONFIG_HOME", "")
        root = Path(home) if home else Path("~/.config").expanduser()  # as `bootstrap.neighbours` has it
        return root / "toolward" / f"{name}.person"


def find_ward(given: str) -> Place:
    """The ward at `given`, else at TOOLWARD_WARD, else the one that holds the current directory.

    Raises `WardError` when there is none.
    """
    named = given or os.environ.get("TOOLWARD_WARD", "")
    if named:
        return Place(Path(named).expanduser().absolute())
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_FILE).is_file():
            return Place(folder)
    raise WardError(
        f"no {CONFIG_FILE} here or in a directory above",
        remedy="name the ward with `--ward DIR` or TOOLWARD_WARD, or make one with `toolward init DIR`",
    )


def find_person(place: Place, given: str) -> str:
    """The person's credential: `given`, else TOOLWARD_PERSON, else the file that `init` wrote; '' if none.

    Raises `WardError` when others can read that file: then it has to be replaced.
    """
    token = given or os.environ.get("TOOLWARD_PERSON", "")
    if token:
        return token
    path = place.person_file(os.environ)
    if path is None:
        return ""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, encoding="utf-8") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise WardError(
                "your credential can be read by other users",
                file=str(path),
                remedy=f"`chmod 600 {path}`, and make a new one if others may have read it",
            )
        return file.read().strip()


def keep_person(place: Place, token: str) -> Path:
    """Write the credential where `find_person` looks, for its owner only. Raises `WardError`."""
    path = place.person_file(os.environ)
    if path is None:
        raise WardError("the ward has no log yet", remedy="run `toolward init` first")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{token}\n")
        draft.replace(path)
    except OSError as error:
        raise WardError(
            f"your credential can not be kept: {error.strerror}",
            file=str(path),
            remedy="set XDG_CONFIG_HOME to a directory of your own",
        ) from error
    return path
