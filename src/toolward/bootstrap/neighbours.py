"""The wards of this user: a cage of one ward shows no other ward's state, and writes no other ward's files.

A ward is noted where people's credentials lie when it is made and when it is served. Looking for wards in
what is granted instead would have to walk all of it for each call, or miss those that lie deeper.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from toolward.config.reading import STATE_DIRECTORY
from toolward.model.capability import Kept

_FOLDER: Final = "wards"
_PATH_BYTES_MAX: Final = 4_096
"""What the kernel takes."""


def people_directory() -> Path:
    """Where people's credentials lie, and the notes of their wards; it may not be there yet."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(home) if home else Path.home() / ".config") / "toolward"


def note_ward(ward: Path) -> str:
    """Have other wards keep their tools from this one. Returns why that is not possible, else ''."""
    path = str(ward.resolve())
    folder = people_directory() / _FOLDER
    note = folder / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    try:
        if note.is_file():
            return ""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = note.with_suffix(f".{os.getpid()}")
        draft.write_bytes(os.fsencode(path))
        draft.replace(note)
    except OSError as error:
        return f"`{folder}` can not be written: {error.strerror}"
    return ""


class KeptOfMachine:
    """What the cages of one ward must not touch: its own, people's, and what its neighbours keep."""

    def __init__(self, ward: Path, state: Path) -> None:
        self._ward = ward.resolve()
        self._state = str(state.resolve())

    def __call__(self) -> Kept:
        """As of now: a neighbour may have been made a moment ago."""
        people = people_directory()
        credentials = (str(people.resolve()),) if people.is_dir() else ()
        wards = [ward for ward in _noted(people / _FOLDER) if ward != self._ward]
        return Kept(
            hidden=(self._state, *credentials, *(str((ward / STATE_DIRECTORY).resolve()) for ward in wards)),
            wards=(str(self._ward), *map(str, wards)),
        )


def _noted(folder: Path) -> Iterator[Path]:
    """Wards that are still where they were noted."""
    try:
        notes = sorted(folder.iterdir())
    except OSError:
        return
    for note in notes:
        try:
            ward = Path(os.fsdecode(note.read_bytes()[:_PATH_BYTES_MAX]))
            if not note.suffix and ward.is_absolute() and (ward / STATE_DIRECTORY).is_dir():
                yield ward
        except (OSError, ValueError):
            continue
