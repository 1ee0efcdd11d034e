"""Variables in a client's configuration, and the secrets that have to leave it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from toolward.rules.secret_looks import is_placeholder, is_random, is_secret_name, looks_secret

_OPTION = re.compile(r"-{0,2}[A-Za-z][A-Za-z0-9_.-]*\Z")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(slots=True, kw_only=True)
class SecretMover:
    """Replaces secrets of one server by references. `found` holds the values: never print it."""

    server: str
    environ: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)  # workspaceFolder, userHome …
    found: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def move(self, name: str, raw: str) -> str:
        """`raw` with variables filled in; a reference if it is a secret or only a place for one."""
        text, unset = self._expand(raw)
        if unset:
            return self._fill_unset(text, unset)
        if looks_secret(name, text):
            return self._keep(name, text)
        if is_secret_name(name) and is_placeholder(text):
            return self._expect(name)
        return text

    def move_argument(self, text: str, before: str) -> str:
        """One argument; `before` is the one before it, which may be its option."""
        option, equals, value = text.partition("=")
        if equals and _OPTION.match(option):
            return option + "=" + self.move(option.strip("-"), value)
        follows = before.startswith("-") and "=" not in before and not text.startswith("-")
        return self.move(before.lstrip("-") if follows else "", text)

    def move_url(self, raw: str) -> tuple[str, dict[str, str]]:
        """The URL without secrets, and the headers that take the place of a user and password in it."""
        text, unset = self._expand(raw)
        text = self._fill_unset(text, unset)
        parts = urlsplit(text)
        headers: dict[str, str] = {}
        netloc = parts.netloc
        if parts.username or parts.password:
            pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            basic = "Basic " + base64.b64encode(pair.encode()).decode()
            headers["Authorization"] = self._keep("AUTHORIZATION", basic)
            netloc = netloc.rpartition("@")[2]
        query = [
            (k, self._keep(k, v) if looks_secret(k, v) else v)
            for k, v in parse_qsl(parts.query, keep_blank_values=True)
        ]
        path = "/".join(
            self._keep("URL_PATH", segment) if is_random(segment) else segment
            for segment in parts.path.split("/")
        )
        written = urlencode(query, safe="${}:,/")
        return urlunsplit((parts.scheme, netloc, path, written, "")), headers

    def _expand(self, raw: str) -> tuple[str, dict[str, str]]:
        """The text with known variables filled in, and those not set: as written -> name."""
        unset: dict[str, str] = {}

        def fill(match: re.Match[str]) -> str:
            inner = match.group(1)
            if inner in self.variables:
                return self.variables[inner]
            name, colon, rest = inner.partition(":")
            if colon and rest.startswith("-"):
                return self.environ.get(name) or rest[1:]
            if colon and name == "env":
                name, colon = rest, ""
            if not colon and self.environ.get(name):
                return self.environ[name]
            unset[match.group()] = rest or name
            return match.group()

        return _VARIABLE.sub(fill, raw), unset

    def _fill_unset(self, text: str, unset: Mapping[str, str]) -> str:
        for written, name in unset.items():
            text = text.replace(written, self._expect(name))
        return text

    def _keep(self, name: str, value: str) -> str:
        key = self._name(name)
        number = 2
        while self.found.get(key, value) != value:
            key = f"{self._name(name)}_{number}"
            number += 1
        self.found[key] = value
        return "${secret:" + key + "}"

    def _expect(self, name: str) -> str:
        key = self._name(name)
        if key not in self.missing:
            self.missing.append(key)
        return "${secret:" + key + "}"

    def _name(self, name: str) -> str:
        text = re.sub(r"[^A-Za-z0-9]+", "_", f"{self.server}_{name or 'VALUE'}").strip("_").upper()
        return text[:128]
