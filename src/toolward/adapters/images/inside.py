"""Inside the cage: list, read and put back what lies at paths, never through a link.

Every step down is an open of one name in an open directory that refuses links, so a tool that swaps a
directory for a link meanwhile gets an error here and nothing else.
"""

import base64
import errno
import hashlib
import os
import re
import stat
import zlib
from contextlib import suppress
from typing import Any

ENTRIES_MAX = 50_000
TEMPORARY = ".toolward-undo-"
LEFTOVER = re.compile(re.escape(TEMPORARY) + "([0-9a-f]{16})(-[0-9a-f]{16})?")
"""Whose temporary it is, and what tells it from another one; nobody can stand in its way in advance."""
MODE = 0o777
OWN = 0o700


class Refused(Exception):
    """It can not be kept; the text says why."""


class Changed(Exception):
    """Somebody else wrote there; the text is the path."""


def take(places: list[list[str]], bytes_max: int) -> dict[str, Any]:
    """Listing and contents of each `[base, path]`; without contents when `bytes_max` is negative."""
    walk = _Walk(bytes_max)
    for base, path in places:
        walk.start(base, path)
    return {"listing": walk.listing, "contents": walk.contents}


def put_back(
    places: list[list[str]], listing: dict[str, str], contents: dict[str, str], found: dict[str, str]
) -> dict[str, Any]:
    """Make each path as `listing` says; returns what then lies there."""
    now, bases = _now(places, listing, found)
    for path in {*now, *listing, *found}:
        if now.get(path, "-") not in _expected(listing.get(path, "-"), found.get(path, "-")):
            raise Changed(path)
    _open_up(now, bases)
    for path in sorted(now, reverse=True):
        if now[path][0] != listing.get(path, "-")[0]:
            _remove(bases[path], path, now.pop(path))
    for path in sorted(listing):
        if now.get(path) != listing[path]:
            _make(bases[path], path, listing[path], contents.get(path), now.get(path, "-"))
    for path in sorted(listing, reverse=True):
        if listing[path][0] == "d":
            _set_mode(bases[path], path, int(listing[path].split()[1], 8))
    return take(places, -1)


def _now(
    places: list[list[str]], listing: dict[str, str], found: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What lies there, without what a crash left of an earlier try; and the base of each path."""
    now: dict[str, str] = {}
    bases: dict[str, str] = {}
    for base, path in places:
        walk = _Walk(-1)
        walk.start(base, path)
        now |= walk.listing
        bases |= {key: base for key in (*walk.listing, *listing) if key == path or key.startswith(path + "/")}
        _sweep(base, path, {*listing, *found})
    for path in sorted(now):
        leftover = now[path][0] == "f" and LEFTOVER.fullmatch(os.path.basename(path))
        if leftover and path not in listing and path not in found:
            with suppress(PermissionError):  # it will be in the way of nothing
                _remove(bases[path], path, "f")
            del now[path]
    return now, bases


def _open_up(now: dict[str, str], bases: dict[str, str]) -> None:
    """A directory that the call closed to writing must not keep what is in it; modes are put back last."""
    for path in sorted(now):
        if now[path][0] == "d" and (mode := int(now[path].split()[1], 8)) & OWN != OWN:
            with suppress(PermissionError):  # somebody else's: then it is as it is
                _set_mode(bases[path], path, mode | OWN)


def _sweep(base: str, path: str, kept: set[str]) -> None:
    """Remove what a crash left beside a file that is put back on its own: what was to become that one."""
    try:
        parent, name = _parent(base, path)
    except FileNotFoundError:
        return
    try:
        for leftover in os.listdir(parent):
            match = LEFTOVER.fullmatch(leftover)
            if (
                match is None
                or match[1] != _mark(name)
                or os.path.join(os.path.dirname(path), leftover) in kept
            ):
                continue
            with suppress(FileNotFoundError, PermissionError):
                if stat.S_ISREG(os.stat(leftover, dir_fd=parent, follow_symlinks=False).st_mode):
                    os.unlink(leftover, dir_fd=parent)
    finally:
        os.close(parent)


def _expected(wanted: str, found: str) -> set[str]:
    """What may lie there: the image, what the call left, and what a try that was cut off made of either."""
    expected = {wanted, found}
    for state in (wanted, found):
        if state[0] == "d":
            expected.add(f"d {int(state.split()[1], 8) | OWN:o}")
    return expected | ({f"d {OWN:o}"} if wanted[0] == "d" else set())


class _Walk:
    """One look at everything."""

    def __init__(self, bytes_max: int) -> None:
        self.listing: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        self.left, self.whole = bytes_max, bytes_max >= 0

    def start(self, base: str, path: str) -> None:
        try:
            parent, name = _parent(base, path)
        except FileNotFoundError:
            return
        try:
            state = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(state.st_mode):
                raise Refused(f"`{path}` is a symbolic link: declare the place it points to")
            self._take(parent, name, path)
        except FileNotFoundError:
            return
        finally:
            os.close(parent)

    def _take(self, parent: int, name: str, path: str) -> None:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise Refused(f"a name below `{os.path.dirname(path)}` is not utf-8") from None
        if len(self.listing) >= ENTRIES_MAX:
            raise Refused(f"more than {ENTRIES_MAX} files and directories")
        state = os.stat(name, dir_fd=parent, follow_symlinks=False)
        mode = f"{state.st_mode & MODE:o}"
        if stat.S_ISLNK(state.st_mode):
            self.listing[path] = "l " + os.readlink(name, dir_fd=parent)
        elif stat.S_ISREG(state.st_mode):
            digest = self._read(parent, name, path)
            self.listing[path] = f"f {mode} {digest}"
        elif stat.S_ISDIR(state.st_mode):
            self.listing[path] = "d " + mode
            fd = _open_directory(parent, name, path)
            try:
                for below in sorted(os.listdir(fd)):
                    self._take(fd, below, path.rstrip("/") + "/" + below)
            finally:
                os.close(fd)
        else:
            raise Refused(f"`{path}` is a device, a socket or a pipe")

    def _read(self, parent: int, name: str, path: str) -> str:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Refused(f"`{path}` changed while it was read")
            if not self.whole:
                digest = hashlib.sha256()
                while part := file.read(1 << 20):
                    digest.update(part)
                return digest.hexdigest()
            body = file.read(self.left + 1)
        if len(body) > self.left:
            raise Refused(f"there is more than the before-image may hold (`bytes_max`), at `{path}`")
        self.left -= len(body)
        self.contents[path] = base64.b64encode(zlib.compress(body, 1)).decode()
        return hashlib.sha256(body).hexdigest()


def _parent(base: str, path: str) -> tuple[int, str]:
    """The open directory in which the last name of `path` stands, and that name."""
    fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    names = [name for name in path[len(base.rstrip("/")) :].split("/") if name]
    if not names:
        return fd, "."
    for name in names[:-1]:
        try:
            below = _open_directory(fd, name, path)
        finally:
            os.close(fd)
        fd = below
    return fd, names[-1]


def _open_directory(parent: int, name: str, path: str) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(f"`{path}` leads through a symbolic link or a file") from None
        raise


def _remove(base: str, path: str, kind: str) -> None:
    parent, name = _parent(base, path)
    try:
        if kind[0] == "d":
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
    finally:
        os.close(parent)


def _make(base: str, path: str, wanted: str, content: "str | None", now: str) -> None:
    kind, _, rest = wanted.partition(" ")
    parent, name = _parent(base, path)
    try:
        if kind == "d":
            if now == "-":
                os.mkdir(name, 0o700, dir_fd=parent)
        elif kind == "l":
            if now != "-":
                os.unlink(name, dir_fd=parent)
            os.symlink(rest, name, dir_fd=parent)
        else:
            _write(parent, name, zlib.decompress(base64.b64decode(content or "")), int(rest.split()[0], 8))
    finally:
        os.close(parent)


def _write(parent: int, name: str, body: bytes, mode: int) -> None:
    """Replace it at once: whatever else is the same file as the one that stands there is not written in."""
    temporary = f"{TEMPORARY}{_mark(name)}-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(body)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise
    os.fsync(parent)


def _mark(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _set_mode(base: str, path: str, mode: int) -> None:
    parent, name = _parent(base, path)
    try:
        fd = _open_directory(parent, name, path)
        try:
            if os.fstat(fd).st_mode & MODE != mode:
                os.fchmod(fd, mode)
        finally:
            os.close(fd)
    finally:
        os.close(parent)
