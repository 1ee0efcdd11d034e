"""Clients' files on disk: where they are, changing one with a backup beside it, and undoing that.

A backup is named `<file>.toolward-<time>-<digest of what was written>.bak`, so undo knows whether the file
is still what `connect` left: only then is it put back, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from toolward.config.clients.connecting import Client, GatewayEntry, declared, plan_connect
from toolward.config.clients.jsonc import JsoncError
from toolward.errors import WardError

_ABSENT = "absent"
_BACKUP = re.compile(r"\.toolward-([0-9]{8}T[0-9]{6}[0-9]{6}Z)-([0-9a-f]{16})\.(bak|absent)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What `connect` did; `backup` is None when nothing had to change."""

    file: Path
    backup: Path | None
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desktop:
    """Where somebody works; `project` is None where nobody named one, `platform` is `sys.platform`."""

    project: Path | None
    here: Path
    home: Path
    environ: Mapping[str, str]
    platform: str

    def settings(self, *below: str) -> Path:
        """A program's settings of this user."""
        if self.platform == "darwin":
            root = self.home / "Library" / "Application Support"
        elif self.platform == "win32":
            root = Path(self.environ.get("APPDATA") or self.home / "AppData" / "Roaming")
        else:
            root = Path(self.environ.get("XDG_CONFIG_HOME") or self.home / ".config")
        return root.joinpath(*below)


def client_file(client: Client, desktop: Desktop) -> Path:
    """The configuration that `connect` changes: the project's where the client has such, else the user's.

    Cursor's is the user's if only that exists and no project was named.
    """
    first, *others = _client_files(client, desktop)
    if client is Client.CURSOR and desktop.project is None and not first.exists():
        return next((file for file in others if file.exists()), first)
    return first


def bypasses(
    client: Client, desktop: Desktop, *, file: Path, held: Sequence[str]
) -> Mapping[Path, tuple[str, ...]]:
    """The client's other files that declare a server of the ward: there an agent goes around the gateway."""
    found: dict[Path, tuple[str, ...]] = {}
    for other in _client_files(client, desktop):
        if other.absolute() == file.absolute():
            continue
        try:
            names = declared((_read(other) or b"").decode("utf-8"), client)
        except (WardError, JsoncError):
            continue  # not ours to mend, and no client reads servers out of it either
        if both := tuple(name for name in names if name in held):
            found[other] = both
    return found


def _client_files(client: Client, desktop: Desktop) -> tuple[Path, ...]:
    project = desktop.project or desktop.here
    match client:
        case Client.CLAUDE_CODE:
            return project / ".mcp.json", desktop.home / ".claude.json"
        case Client.CURSOR:
            return project / ".cursor" / "mcp.json", desktop.home / ".cursor" / "mcp.json"
        case Client.VS_CODE:
            return project / ".vscode" / "mcp.json", desktop.settings("Code", "User", "mcp.json")
        case Client.CLAUDE_DESKTOP:
            return (desktop.settings("Claude", "claude_desktop_config.json"),)


def read_client(file: Path) -> str:
    """The text of a client's file, for `plan_import`. Raises `WardError` if it is not there or not text."""
    data = _read(file)
    if data is None:
        raise WardError(
            "there is no such file", file=str(file), remedy="give the path of a client's mcp file"
        )
    return data.decode("utf-8-sig")


def connect(
    file: Path, *, client: Client, entry: GatewayEntry, now_ns: int, replaces: Sequence[str] = ()
) -> Connected:
    """Point the client whose configuration is `file` at the gateway.

    Makes the file if it is not there, keeps its mode, writes it in one step, and does nothing the second
    time. Raises `WardError` if the file can not be read, understood or written.
    """
    before = _read(file)
    text = before.decode("utf-8") if before is not None else ""
    planned = plan_connect(text, client=client, entry=entry, replaces=replaces, file=str(file))
    after = planned.encode("utf-8")
    if before == after:
        return Connected(file=file, backup=None)
    time = datetime.fromtimestamp(now_ns / 1e9, tz=UTC).strftime("%Y%m%dT%H%M%S%fZ")
    ending = "bak" if before is not None else _ABSENT
    backup = file.with_name(f"{file.name}.toolward-{time}-{_digest(after)}.{ending}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = file.stat().st_mode & 0o777 if before is not None else 0o600
        write_atomically(backup, before or b"", mode=0o600)  # it may hold secrets
        write_atomically(file.resolve() if before is not None else file, after, mode=mode)
    except OSError as error:
        raise WardError(
            f"can not be written: {error.strerror}", file=str(file), remedy="check the directory and its mode"
        ) from error
    left = declared(planned, client)
    removed = tuple(name for name in declared(text, client) if name not in left)
    return Connected(file=file, backup=backup, removed=removed)


def undo(file: Path) -> Path:
    """Put back what stood in `file` before the newest `connect`; returns the backup used, which is removed.

    Raises `WardError` if there is no backup, or the file was changed since: then nothing is touched.
    """
    backups = sorted(
        (item for item in _siblings(file) if _BACKUP.search(item.name)), key=lambda item: item.name
    )
    if not backups:
        raise WardError("there is nothing to undo", file=str(file), remedy="`toolward connect` makes backups")
    newest = backups[-1]
    match = _BACKUP.search(newest.name)
    current = _read(file)
    if match is None or current is None or _digest(current) != match.group(2):
        raise WardError(
            "the file was changed since it was connected",
            file=str(file),
            remedy=f"remove its `toolward` entry by hand; what stood there before is in `{newest.name}`",
        )
    try:
        if match.group(3) == _ABSENT:
            file.unlink()
        else:
            write_atomically(file.resolve(), newest.read_bytes(), mode=file.stat().st_mode & 0o777)
        newest.unlink()
    except OSError as error:
        raise WardError(f"can not be restored: {error.strerror}", file=str(file)) from error
    return newest


def write_atomically(file: Path, data: bytes, *, mode: int) -> None:
    """The file has the old or the new content, never a part; durable when this returns."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)


def _read(file: Path) -> bytes | None:
    try:
        data = file.read_bytes()
        data.decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError):
            reason, remedy = error.strerror, "check the file and its mode"
        else:
            reason, remedy = "it is not utf-8", "save it as utf-8"
        raise WardError(f"can not be read: {reason}", file=str(file), remedy=remedy) from error
    return data


def _siblings(file: Path) -> list[Path]:
    if not file.parent.is_dir():
        return []
    return [item for item in file.parent.iterdir() if item.name.startswith(f"{file.name}.toolward-")]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
