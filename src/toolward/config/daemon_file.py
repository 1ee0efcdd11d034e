"""Where a ward's daemon can be found: its Unix socket, and the note it leaves in the ward's state.

Light on purpose: the command line reads this before anything else, and often nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from toolward.errors import WardError

DAEMON_FILE: Final = "daemon.json"
LOG_FILE: Final = "daemon.log"
"""What a daemon writes that a client started; one in the foreground writes to its terminal."""
SOCKET_FILE: Final = "control.sock"
LOCK_FILE: Final = "lock"
"""Held by the process that has the ward open; the store's adapter takes it."""
SOCKET_PATH_BYTES_MAX: Final = 103
"""Of `sun_path`, without the final zero: 107 on Linux, 103 elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonNote:
    """What a daemon says of itself. It may be dead: whoever reads this has to knock."""

    pid: int
    socket: str
    url: str
    log: str = ""  # the file to which it writes what it has to say, if it is one of the ward's


def socket_path(state: Path, environment: Mapping[str, str]) -> Path:
    """The control socket of the ward whose state is `state`.

    In the state directory itself, unless its path is too long for a socket: then, under a digest of that
    path, in the user's runtime directory, else in a directory of the user's own among the temporary files.
    """
    usual = state.absolute() / SOCKET_FILE
    if len(os.fsencode(usual)) <= SOCKET_PATH_BYTES_MAX:
        return usual
    name = f"{hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:24]}.sock"
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if runtime and len(os.fsencode(Path(runtime) / "toolward" / name)) <= SOCKET_PATH_BYTES_MAX:
        return Path(runtime) / "toolward" / name
    return Path(tempfile.gettempdir()) / f"toolward-{os.getuid()}" / name


def make_socket_directory(directory: Path) -> None:
    """Make the socket's directory for its owner only. Raises `WardError` if somebody else has it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not mine or stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise WardError(
            f"`{directory}` is not this user's own directory, so no socket can stand there safely",
            file=str(directory),
            remedy="remove it, or put the ward under a shorter path",
        )


def read_note(state: Path) -> DaemonNote | None:
    """What the last daemon wrote, or None."""
    try:
        value = json.loads((state / DAEMON_FILE).read_bytes())
        return DaemonNote(
            pid=int(value["pid"]),
            socket=str(value["socket"]),
            url=str(value["url"]),
            log=str(value.get("log", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_note(state: Path, note: DaemonNote) -> None:
    """Replace the note atomically."""
    draft = state / f"{DAEMON_FILE}.new"
    draft.write_text(json.dumps(asdict(note)), encoding="utf-8")
    draft.replace(state / DAEMON_FILE)


def remove_note(state: Path) -> None:
    """Once the daemon has gone."""
    (state / DAEMON_FILE).unlink(missing_ok=True)


def is_taken(state: Path) -> bool:
    """Whether some process has the ward open at this moment."""
    try:
        descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
