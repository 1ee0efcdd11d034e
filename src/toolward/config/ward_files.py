"""Writing a ward's files back, as a revision had them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolward.config.ward import names_of_files
from toolward.errors import WardError


def write_files(ward: Path, files: Mapping[str, bytes]) -> None:
    """Make the ward's files exactly `files`; what else decides there is removed.

    Each file is replaced atomically, new content first and removals last, so that a crash in between
    leaves a ward that `toolward check` can look at and the same command can finish. What stands there now
    may be broken: that is when one wants to go back.
    """
    for name, body in files.items():
        target = ward / name
        if not target.resolve().is_relative_to(ward.resolve()):
            raise WardError(f"`{name}` leads out of the ward", file=name)
        if target.is_file() and target.read_bytes() == body:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.new")
        temporary.write_bytes(body)
        temporary.replace(target)
    for name in names_of_files(ward) - set(files):
        (ward / name).unlink()
