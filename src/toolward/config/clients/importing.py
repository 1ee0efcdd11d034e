"""What the configuration of an MCP client says, as servers of a ward. Nothing is written here.

Understood: Claude Desktop (`claude_desktop_config.json`), Claude Code (`.mcp.json`), Cursor
(`.cursor/mcp.json`), VS Code (`.vscode/mcp.json`, also inside its settings); comments and trailing commas
are tolerated. Secrets never stay: `ImportPlan.found_secrets` holds them for the secret provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from toolward.config.clients.data_places import data_places
from toolward.config.clients.jsonc import JsoncError, Node, line_of, parse
from toolward.config.clients.runners import KnownPackage, ResolveVersion, recognise
from toolward.config.clients.variables import SecretMover
from toolward.config.shape import ServerConfig
from toolward.config.yamltext import FILE_BYTES_MAX
from toolward.errors import WardError

PROJECT_FOLDERS: Final = frozenset({".cursor", ".vscode"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportContext:
    """What an import may know of the world; the caller looks it up."""

    environ: Mapping[str, str] = field(default_factory=dict)
    home: str = ""
    workspace: str = ""  # the project's directory, for files that belong to one; see `workspace_of`
    resolve_version: ResolveVersion | None = None
    known: Mapping[str, KnownPackage] = field(default_factory=dict)
    is_directory: Callable[[str], bool] = lambda _: False
    not_grantable: Callable[[str], str] = lambda _: ""  # why a directory can be no root; '' if it can


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What was understood. `found_secrets` is never to be printed or written to the ward."""

    servers: Mapping[str, ServerConfig]  # by server id
    names: Mapping[str, str]  # server id -> its name in the client's file
    found_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # name -> value
    missing_secrets: tuple[str, ...] = ()  # referred to, and nobody said their value
    notes: tuple[str, ...] = ()  # for the user, one line each
    skipped: tuple[str, ...] = ()  # names left out; the notes say why


def workspace_of(file: PurePath) -> str:
    """The project that a client's file belongs to, or '' when it is a person's own (Claude Desktop)."""
    if file.parent.name in PROJECT_FOLDERS:
        return str(file.parent.parent)
    return str(file.parent) if file.name == ".mcp.json" else ""


def plan_import(text: str, *, file: str, context: ImportContext) -> ImportPlan:
    """Read a client's file. Raises `WardError` with the line if it can not be understood."""
    if len(text) > FILE_BYTES_MAX:
        raise WardError(
            "the file is too long to be a client's configuration", file=file, remedy="check the path"
        )
    try:
        root = parse(text)
    except JsoncError as error:
        raise WardError(
            f"not json: {error.text}", file=file, line=error.line, remedy="mend the file, then import again"
        ) from error
    section = _section(root)
    if section is None or section.members is None:
        raise WardError(
            "no mcp servers are declared here",
            file=file,
            line=1,
            remedy="give the file of an mcp client: a json object with `mcpServers`, or `servers` (vs code)",
        )
    return _Import(text, file, context).run(section)


def _section(root: Node) -> Node | None:
    for path in (("mcpServers",), ("servers",), ("mcp", "servers"), ("mcp", "mcpServers")):
        node: Node | None = root
        for step in path:
            node = node.get(step) if node is not None else None
        if node is not None:
            return node
    return None


@dataclass(slots=True)
class _Import:
    text: str
    file: str
    context: ImportContext
    servers: dict[str, ServerConfig] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def run(self, section: Node) -> ImportPlan:
        for member in section.members or ():
            entry = member.node.plain()
            if not isinstance(entry, dict):
                raise self.bad(f"`{member.key}` is not an object", member.node.start)
            self.take(member.key, entry, member.start)
        return ImportPlan(
            servers=self.servers,
            names=self.names,
            found_secrets=self.secrets,
            missing_secrets=tuple(name for name in self.missing if name not in self.secrets),
            notes=tuple(self.notes),
            skipped=tuple(self.skipped),
        )

    def bad(self, text: str, at: int) -> WardError:
        return WardError(
            text, file=self.file, line=line_of(self.text, at), remedy="mend the file, then import again"
        )

    def skip(self, name: str, why: str) -> None:
        self.skipped.append(name)
        self.notes.append(f"`{name}` is left out: {why}")

    def take(self, name: str, entry: Mapping[str, Any], at: int) -> None:
        if entry.get("disabled") is True or entry.get("enabled") is False:
            return self.skip(name, "it is disabled there")
        if entry.get("type") == "sse":
            return self.skip(
                name, "it speaks the retired http+sse transport; ask for its streamable http url"
            )
        url = entry.get("url") or entry.get("serverUrl") or entry.get("httpUrl")
        server_id = server_id_of(name, taken=self.servers)
        mover = SecretMover(server=server_id, environ=self.context.environ, variables=self._variables())
        if url:
            server = self._remote(name, str(url), entry, mover, at)
        elif isinstance(entry.get("command"), str) and entry["command"]:
            server = self._local(name, entry, mover, at)
        else:
            raise self.bad(f"`{name}` has neither `command` nor `url`", at)
        self._note_ignored(name, entry)
        self.servers[server_id] = server
        self.names[server_id] = name
        self.secrets.update(mover.found)
        self.missing += [key for key in mover.missing if key not in self.missing]
        if server_id != name:
            self.notes.append(f"`{name}` is called `{server_id}` in the ward")
        return None

    def _variables(self) -> dict[str, str]:
        context = self.context
        return {
            "userHome": context.home,
            "workspaceFolder": context.workspace,
            "workspaceFolderBasename": PurePath(context.workspace).name,
            "pathSeparator": "/",
            "/": "/",
        }

    def _remote(
        self, name: str, url: str, entry: Mapping[str, Any], mover: SecretMover, at: int
    ) -> ServerConfig:
        headers = self._texts(name, "headers", entry, at)
        try:
            plain, more = mover.move_url(url)
        except ValueError as error:
            raise self.bad(f"the url of `{name}` can not be read", at) from error
        return ServerConfig(
            url=plain, headers={**more, **{key: mover.move(key, text) for key, text in headers.items()}}
        )

    def _local(self, name: str, entry: Mapping[str, Any], mover: SecretMover, at: int) -> ServerConfig:
        raw = entry.get("args", [])
        if not isinstance(raw, list) or not all(isinstance(item, (str, int, float)) for item in raw):
            raise self.bad(f"`args` of `{name}` is not a list of texts", at)
        launch = recognise(
            entry["command"],
            [str(item) for item in raw],
            resolve_version=self.context.resolve_version,
            known=self.context.known,
        )
        if launch.note:
            self.notes.append(f"`{name}` {launch.note}")
        arguments = [
            mover.move_argument(text, launch.arguments[index - 1] if index else "")
            for index, text in enumerate(launch.arguments)
        ]
        env = self._texts(name, "env", entry, at)
        moved = {key: mover.move(key, text) for key, text in env.items()}
        cwd = entry.get("cwd")
        directory = mover.move("cwd", cwd) if isinstance(cwd, str) and cwd else self.context.workspace
        return ServerConfig(
            package=launch.package,
            entry=launch.entry,
            constraints=launch.constraints,
            command=mover.move("", launch.command) if launch.command else "",
            arguments=tuple(arguments),
            env=moved,
            cwd=directory,
            roots=self._roots(name, arguments, moved, directory),
        )

    def _roots(
        self, name: str, arguments: list[str], env: Mapping[str, str], directory: str
    ) -> tuple[str, ...]:
        """Directories that the client gave the server, and those of its data: there writes are expected."""
        context = self.context
        said = [text.rpartition("=")[2] for text in arguments]
        roots = [text for text in said if text.startswith("/") and context.is_directory(text)]
        roots += [context.workspace] if context.workspace else []
        for place in data_places(arguments, env, cwd=directory):
            found = place.path if context.is_directory(place.path) else str(PurePath(place.path).parent)
            if not context.is_directory(found) or not (place.is_file or found == place.path):
                continue
            if any(PurePath(found).is_relative_to(root) for root in roots):
                continue
            why = context.not_grantable(found)
            if why and not place.is_file:
                continue
            if why:
                self.notes.append(
                    f"`{name}` uses `{place.path}` ({place.said_by}), and its directory is no root: {why};"
                    " move it into a directory of its own, and name that under `roots` in toolward.yaml"
                )
            else:
                roots.append(found)
                self.notes.append(
                    f"`{name}` may read and write in `{found}`, one of its `roots`, for `{place.said_by}`"
                )
        return tuple(dict.fromkeys(roots))

    def _texts(self, name: str, key: str, entry: Mapping[str, Any], at: int) -> dict[str, str]:
        value = entry.get(key) or {}
        if not isinstance(value, dict):
            raise self.bad(f"`{key}` of `{name}` is not an object", at)
        out: dict[str, str] = {}
        for inner, text in value.items():
            if text is None:
                continue
            if not isinstance(text, (str, int, float)):
                raise self.bad(f"`{key}.{inner}` of `{name}` is not a text", at)
            out[inner] = ("true" if text else "false") if isinstance(text, bool) else str(text)
        return out

    def _note_ignored(self, name: str, entry: Mapping[str, Any]) -> None:
        if entry.get("alwaysAllow") or entry.get("autoApprove"):
            self.notes.append(f"`{name}` had calls approved in advance there; the ward's policies decide now")
        if entry.get("envFile"):
            self.notes.append(
                f"`{name}` reads an `envFile`, which is not imported; add what it needs to `env`"
            )


def server_id_of(name: str, *, taken: Mapping[str, object]) -> str:
    """A server id made of a client's name for it; unlike those taken."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32].strip("-") or "server"
    candidate, number = base, 2
    while candidate in taken:
        ending = f"-{number}"
        candidate = base[: 32 - len(ending)].strip("-") + ending
        number += 1
    return candidate
