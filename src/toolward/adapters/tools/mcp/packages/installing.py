"""Servers that are declared as a package and a version, each in an environment of its own.

An environment lives below `<state_dir>/servers/<server>-<digest>/`, where the digest covers package and
constraints. It is built in a directory with a fresh name; what makes it the one in use is `ready.json`,
linked into place when everything is there. So an installation that was cut short is never used, and of two
that ran at once one wins. `lock` keeps what was resolved, with hashes, and is used again when the
environment has to be rebuilt.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from toolward.adapters.tools.mcp.bounds import INSTALL_TIMEOUT_S
from toolward.adapters.tools.mcp.packages.environments import (
    Installation,
    npm_installation,
    pypi_installation,
)
from toolward.config.processors import use_all
from toolward.errors import ToolFailed, WardError
from toolward.model.server import ServerBinding
from toolward.ports.ids import Ids

_PYPI: Final = re.compile(r"pypi:([A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._-]+\])?)==([A-Za-z0-9.!+_-]+)")
_NPM: Final = re.compile(r"npm:((?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*)@([0-9A-Za-z.+-]+)")
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
_KEPT_PREFIXES: Final = ("PIP_", "UV_", "NPM_CONFIG_", "SSL_CERT_", "REQUESTS_CA_", "NODE_EXTRA_CA_")
_KEPT_SUFFIX: Final = "_PROXY"
_TAIL_LINES: Final = 15
_NO_WHEEL: Final = re.compile(
    r"No matching distribution found for (\S+)|[Bb]ecause (\S+?)(?:==\S+)? has no (?:usable )?wheels"
    r"|[Ww]heels are (?:not available|required) for `?([^`\s]+)`?"
    r"|Building source distributions for `?([^`\s]+)`? is disabled"
)
"""How pip and uv say that there is nothing to install without building it."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What is started, and the digest of exactly what was resolved."""

    directory: Path
    argv: tuple[str, ...]
    lock_digest: str  # sha256:<hex> of the lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package reference, taken apart."""

    registry: str  # pypi | npm
    name: str
    version: str


_NO_PACKAGE: Final = Package(registry="pypi", name="", version="")
"""A server that has requirements and is no package itself."""


def package_of(reference: str) -> Package:
    """Take `pypi:NAME==VERSION` or `npm:NAME@VERSION` apart. Raises `WardError`."""
    for registry, pattern in (("pypi", _PYPI), ("npm", _NPM)):
        if (found := pattern.fullmatch(reference)) is not None:
            return Package(registry=registry, name=found[1], version=found[2])
    raise WardError(
        f"`{reference}` names no package with an exact version",
        remedy="write `pypi:NAME==VERSION` or `npm:NAME@VERSION`",
    )


class Packages:
    """Installs what is missing. Safe to use from several processes at once."""

    def __init__(self, state_dir: Path, *, ids: Ids, on_progress: Progress | None = None) -> None:
        self._root = state_dir / "servers"
        self._ids = ids
        self._on_progress = on_progress
        self._locks: dict[str, asyncio.Lock] = {}
        self._ready: dict[str, Installed] = {}

    async def ensure(self, binding: ServerBinding) -> Installed:
        """The environment of this server, installed now if need be.

        Raises `WardError` for a reference that can't be read, `ToolFailed` when the installer fails.
        With `requirements` there is no program to start: `argv` is the environment's Python.
        """
        package = package_of(binding.package) if not binding.requirements else _NO_PACKAGE
        for constraint in (*binding.requirements, *binding.constraints):
            if constraint.startswith("-") or "\n" in constraint:
                raise WardError(f"`{constraint}` is not a requirement", remedy="write for example `mcp<2`")
            if package.registry == "pypi" and "@" in constraint:  # what a URL names may have to be built
                raise WardError(f"`{constraint}` names no version", remedy="write for example `mcp<2`")
        home = self._home(binding)
        async with self._locks.setdefault(str(home), asyncio.Lock()):
            known = self._ready.get(str(home))
            if known is None:
                known = await asyncio.to_thread(_read_ready, home) or await self._install(
                    binding, package, home
                )
                self._ready[str(home)] = known
            return known

    def _home(self, binding: ServerBinding) -> Path:
        wanted = orjson.dumps(
            [binding.package, *binding.constraints, "--", binding.entry, *binding.requirements]
        )
        name = re.sub(r"[^A-Za-z0-9._-]", "_", binding.server)
        return self._root / f"{name}-{hashlib.sha256(wanted).hexdigest()[:16]}"

    async def _install(self, binding: ServerBinding, package: Package, home: Path) -> Installed:
        place = home / f"env-{self._ids.new()}"
        self._say(f"installing {_title(binding)} for server {binding.server}")
        await asyncio.to_thread(place.mkdir, parents=True, mode=0o700)
        make = pypi_installation if package.registry == "pypi" else npm_installation
        done = False
        try:
            first = package.name + ("==" if package.registry == "pypi" else "@") + package.version
            requirement, *others = binding.requirements or (first, *binding.constraints)
            plan = make(place, requirement=requirement, constraints=others, lock=home / "lock")
            for command in plan.commands:
                await self._run(command, binding, place)
            result = await asyncio.to_thread(_finish, plan, binding, package, home)
            done = result.directory == place
        finally:
            if not done:
                await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        self._say(f"installed {_title(binding)} ({result.lock_digest[:19]})")
        return result

    async def _run(self, command: Sequence[str], binding: ServerBinding, place: Path) -> None:
        """Run one step of an installer in a group of its own and report its lines."""
        use_all()
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=installer_environment(),
                cwd=place,
                start_new_session=True,
            )
        except OSError as wrong:
            raise ToolFailed(
                f"`{command[0]}` could not be started to install `{_title(binding)}`: {wrong.strerror}",
                remedy="install it, or declare the server with `command`",
            ) from wrong
        tail: list[str] = []
        try:
            async with asyncio.timeout(INSTALL_TIMEOUT_S):
                while child.stdout is not None and (chunk := await child.stdout.read(8192)):
                    lines = [line for line in chunk.decode("utf-8", "replace").splitlines() if line.strip()]
                    tail = [*tail, *lines][-_TAIL_LINES:]
                    for line in lines:
                        self._say(f"  {line}")  # indented: a detail of the line before, for who wants it
                code = await child.wait()
        except TimeoutError as late:
            raise ToolFailed(
                f"installing `{_title(binding)}` took longer than {INSTALL_TIMEOUT_S:.0f} s",
                remedy="try again when the package index answers",
            ) from late
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, 9)
            await child.wait()
        if code:
            text = "\n".join(tail)
            raise ToolFailed(
                f"installing `{_title(binding)}` failed with exit code {code}:\n{text}",
                remedy=_remedy(text),
            )

    def _say(self, line: str) -> None:
        if self._on_progress is not None:
            self._on_progress(line)


def _remedy(said: str) -> str:
    """What to do, out of the installer's last words."""
    found = _NO_WHEEL.search(said)
    if found is None:
        return "check name, version and constraints of the server's package"
    name = next((each for each in found.groups() if each), "")
    return (
        f"check that `{name}` exists; if it has only a source distribution, name a version with a wheel, or"
        " build a wheel where its code may run and show it by `PIP_FIND_LINKS` (`UV_FIND_LINKS`): building"
        " runs the package's code, so it is not done here"
    )


def _title(binding: ServerBinding) -> str:
    return binding.package or ", ".join(binding.requirements)


def installer_environment() -> dict[str, str]:
    """What an installer may see: how to reach its index, and none of our secrets."""
    kept = {}
    for name, value in os.environ.items():
        upper = name.upper()
        if name in _KEPT or upper.startswith(_KEPT_PREFIXES) or upper.endswith(_KEPT_SUFFIX):
            kept[name] = value
    return kept


def _finish(plan: Installation, binding: ServerBinding, package: Package, home: Path) -> Installed:
    """Find the program, keep the lock, and put the environment into use."""
    python = (str(plan.place / "bin" / "python"),)
    argv = python if binding.requirements else plan.program(package.name, binding.entry)
    lock = plan.read_lock()
    digest = f"sha256:{hashlib.sha256(lock).hexdigest()}"
    (plan.place / "lock").write_bytes(lock)
    body = {"place": plan.place.name, "argv": argv, "lock_digest": digest, "package": _title(binding)}
    plan.place.chmod(0o755)  # what lies above stays private: cages of other users come in by descriptor
    marker = plan.place / "ready.json"
    marker.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2))
    try:
        os.link(marker, home / "ready.json")
    except FileExistsError:
        other = _read_ready(home)
        if other is not None:
            return other
        marker.replace(home / "ready.json")  # the one named there is gone
    (plan.place / "lock").replace(home / "lock")
    return Installed(directory=plan.place, argv=argv, lock_digest=digest)


def _read_ready(home: Path) -> Installed | None:
    """The environment in use, if it is whole."""
    try:
        body = orjson.loads((home / "ready.json").read_bytes())
        place = home / body["place"]
        argv = tuple(body["argv"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not place.is_dir() or not Path(argv[0]).exists():
        return None
    return Installed(directory=place, argv=argv, lock_digest=body["lock_digest"])
