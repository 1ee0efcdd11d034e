"""Regenerates `catalogue/digests.json` from the real servers.

    python -m toolward.lab.catalogue_refresh [--environments DIRECTORY] [NAME …]

Each server of the catalogue is installed into an environment of its own (`uv` and `npm` must be there),
its tools are listed in both wire eras, and the digests of what it lists are added to those already known.
A tool that the catalogue does not describe, or a definition not seen before, is printed: read the server's
code before you keep it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from toolward.catalogue import CatalogueFile, bare_package, load_catalogue, without_varying
from toolward.model.call import Era
from toolward.rules.version import definition_digest

DIGESTS: Final = Path(__file__).parent.parent / "catalogue" / "digests.json"
LIST_TIMEOUT_S: Final = 90
"""From starting a server to its last answer; the slowest imports a numeric stack first."""
_META: Final = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": Era.STATELESS.value,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "toolward", "version": "0.1.0"},
    }
}


class RawServer:
    """A stdio server spoken to in bare JSON-RPC, so that definitions arrive exactly as sent."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Start it; it is killed after `LIST_TIMEOUT_S` whatever happens."""
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._timer = threading.Timer(LIST_TIMEOUT_S, self._process.kill)
        self._timer.start()
        self._next = 0

    def send(self, method: str, params: Mapping[str, Any], *, number: int | None = None) -> None:
        """Write one request, or a notification when `number` is None."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if number is not None:
            message["id"] = number
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The whole answer, error or result. Raises `EOFError` when the server ends."""
        self._next += 1
        self.send(method, params, number=self._next)
        while self._process.stdout is not None and (line := self._process.stdout.readline()):
            try:
                answer = json.loads(line)
            except ValueError:
                continue  # some servers print a banner
            if isinstance(answer, dict) and answer.get("id") == self._next and "method" not in answer:
                return answer
        raise EOFError(method)

    def close(self) -> None:
        """End it."""
        self._timer.cancel()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def list_definitions(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> dict[Era, list[dict[str, Any]]]:
    """What the server lists, by era; an era that it does not speak is left out."""
    out: dict[Era, list[dict[str, Any]]] = {}
    for era in Era:
        server = RawServer(command, cwd=cwd, env=env)
        try:
            if _begin(server, era):
                out[era] = _list(server, _META if era is Era.STATELESS else {})
        except (EOFError, BrokenPipeError):
            continue
        finally:
            server.close()
    return out


def _begin(server: RawServer, era: Era) -> bool:
    if era is Era.STATELESS:
        return "result" in server.request("server/discover", _META)
    hello = {
        "protocolVersion": era.value,
        "capabilities": {},
        "clientInfo": {"name": "toolward", "version": "0"},
    }
    if "result" not in server.request("initialize", hello):
        return False
    server.send("notifications/initialized", {})
    return True


def _list(server: RawServer, meta: Mapping[str, Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    params: dict[str, Any] = dict(meta)
    while True:
        result = server.request("tools/list", params).get("result") or {}
        out += result.get("tools", [])
        if not result.get("nextCursor"):
            return out
        params["cursor"] = result["nextCursor"]


def install(file: CatalogueFile, where: Path) -> list[str]:
    """Install the package below `where` if it is not there; returns the command that starts it."""
    kind, _, requirement = file.package.partition(":")
    name = bare_package(file.package).partition(":")[2]
    if kind == "pypi":
        python = where / "bin" / "python"
        if not python.exists():
            # `make setup` puts a uv beside this python, which need not be on the path
            beside = Path(sys.executable).with_name("uv")
            uv = str(beside) if beside.exists() else shutil.which("uv") or "uv"
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(where)], check=True)
            wanted = [requirement, *file.constraints]
            subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *wanted], check=True)
        return [str(where / "bin" / requirement.partition("==")[0]), *file.arguments]
    package = where / "node_modules" / name / "package.json"
    if not package.exists():
        where.mkdir(parents=True, exist_ok=True)
        flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(where)]
        subprocess.run(["npm", "install", "--silent", *flags, requirement], check=True)
    program = json.loads(package.read_text(encoding="utf-8"))["bin"]
    script = program if isinstance(program, str) else next(iter(program.values()))
    return ["node", str(package.parent / script), *file.arguments]


def refresh(stem: str, file: CatalogueFile, where: Path, known: dict[str, list[str]]) -> list[str]:
    """Add the digests of one server to `known`; returns what a person should look at."""
    news: list[str] = []
    command = install(file, where / stem)
    work = Path(tempfile.mkdtemp(dir=where))
    eras = list_definitions(command, cwd=work, env=file.env)
    if not eras:
        return [f"{stem}: lists nothing"]
    for era, definitions in eras.items():
        for definition in definitions:
            name = definition["name"]
            digest = definition_digest(without_varying(definition, file.varies))
            if name not in file.tools:
                news.append(f"{stem}: `{name}` is not described")
            elif digest not in known.setdefault(name, []):
                known[name].append(digest)
                news.append(f"{stem}: new definition of `{name}` in {era.value}")
    listed = {d["name"] for definitions in eras.values() for d in definitions}
    news += [f"{stem}: `{name}` is described and not listed" for name in sorted(set(file.tools) - listed)]
    return news


def main() -> None:
    """Refresh the named servers, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--environments", type=Path, default=Path(tempfile.gettempdir()) / "toolward-catalogue"
    )
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    servers = load_catalogue().servers
    known: dict[str, dict[str, list[str]]] = json.loads(DIGESTS.read_text(encoding="utf-8"))
    options.environments.mkdir(parents=True, exist_ok=True)
    for stem in options.names or sorted(servers):
        for line in refresh(stem, servers[stem], options.environments, known.setdefault(stem, {})):
            print(line)
    ordered = {stem: dict(sorted(known[stem].items())) for stem in sorted(known)}
    DIGESTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
