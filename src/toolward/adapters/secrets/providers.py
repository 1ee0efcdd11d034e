"""The three providers of the first cut. Values are remembered in memory only, for redaction."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import orjson
from typing_extensions import override

from toolward.errors import GatewayError, ReasonCode, WardError

SERVICE = "toolward"
"""Under which name secrets stand in the operating system's keyring."""


class _Remembering(ABC):
    """What the providers share: a value that was handed out once must never leave again."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def get(self, name: str) -> str:
        """The value, or `GatewayError` with code `secret_missing`."""
        value = self._read(name)
        if not value:
            raise GatewayError(
                f"no secret `{name}`", code=ReasonCode.SECRET_MISSING, remedy=self._remedy(name)
            )
        self._known[name] = value
        return value

    def known_values(self) -> tuple[str, ...]:
        """Values handed out so far."""
        return tuple(self._known.values())

    @abstractmethod
    def _read(self, name: str) -> str:
        """The value, or "" when there is none."""

    @abstractmethod
    def _remedy(self, name: str) -> str:
        """Where a person puts the secret."""


class EnvironmentSecrets(_Remembering):
    """Secrets from environment variables of the daemon, under their own names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self._environment = environment

    @override
    def _read(self, name: str) -> str:
        return self._environment.get(name, "")

    @override
    def _remedy(self, name: str) -> str:
        return f"set the environment variable {name} for `toolward up`"


class FileSecrets(_Remembering):
    """Secrets from one JSON file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @override
    def _read(self, name: str) -> str:
        return self._load().get(name, "")

    def store(self, values: Mapping[str, str]) -> None:
        """Add `values` to the file, which is created with mode 0600 and replaced atomically."""
        merged = {**self._load(), **values}
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(merged, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)

    def _load(self) -> dict[str, str]:
        try:
            mode = self._path.stat().st_mode
            body = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        if stat.S_IMODE(mode) & 0o077:
            raise WardError(
                "the secrets file can be read by others than its owner",
                file=str(self._path),
                remedy=f"chmod 600 {self._path}",
            )
        try:
            values = orjson.loads(body)
        except ValueError as error:
            raise WardError(
                "the secrets file is not json", file=str(self._path), remedy="mend or remove it"
            ) from error
        return {str(name): str(value) for name, value in values.items()}

    @override
    def _remedy(self, name: str) -> str:
        return f"add `{name}` to {self._path}"


class KeyringSecrets(_Remembering):
    """Secrets from the operating system's keyring, under the service `toolward`."""

    @override
    def _read(self, name: str) -> str:
        import keyring.errors  # noqa: PLC0415 -- a fifth of the daemon's start, for those who use it

        try:
            return keyring.get_password(SERVICE, name) or ""
        except keyring.errors.KeyringError as error:
            raise GatewayError(
                "the keyring can not be read",
                code=ReasonCode.SECRET_MISSING,
                remedy="unlock it, or use `secrets: {provider: file}`",
            ) from error

    def store(self, values: Mapping[str, str]) -> None:
        """Put `values` into the keyring."""
        import keyring  # noqa: PLC0415 -- see `_read`

        for name, value in values.items():
            keyring.set_password(SERVICE, name, value)

    @override
    def _remedy(self, name: str) -> str:
        return f"keyring set {SERVICE} {name}"
