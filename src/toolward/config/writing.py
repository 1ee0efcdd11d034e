"""A new ward on disk. Nothing that exists is ever overwritten."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from toolward.config.reading import CONFIG_FILE, STATE_DIRECTORY
from toolward.config.render import NetworkNeeds, emit, manifest_text, scalar, server_json
from toolward.config.schema import schemas
from toolward.config.shape import TOOL_NAME_PATTERN, Profile, SecretProvider, ServerConfig
from toolward.errors import WardError
from toolward.model.tool import Manifest, Metadata

_TOOL_NAME: Final = re.compile(TOOL_NAME_PATTERN)
_EXAMPLE_POLICIES: Final = """\
// Your own rules, in Cedar (https://docs.cedarpolicy.com). They come on top of the profile in toolward.yaml:
// a forbid always wins, and nothing is allowed that no permit allows. `toolward check` reads them against the
// tools' schemas, `toolward explain CALL.json` says which of them decided.
//
// Actions are `server/tool`, groups are "call" (all tools), "writes" and "effect:<effect>".
//
// @id("no-commits-to-main")
// @reason("releases are made by people")
// forbid (principal, action == Toolward::Action::"git/git_checkout", resource)
// when { context.args.branch_name == "main" };
//
// @id("ask-before-sql")
// @ask("user")
// @reason("a person should see each statement")
// forbid (principal, action == Toolward::Action::"sqlite/write_query", resource);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WardPlan:
    """What a new ward says. Holds no secret."""

    name: str
    profile: Profile = Profile.GUARDED
    servers: Mapping[str, ServerConfig] = field(default_factory=dict)
    secrets: SecretProvider = SecretProvider.FILE
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def ward_text(plan: WardPlan) -> str:
    """`toolward.yaml`."""
    lines = [
        f"# yaml-language-server: $schema={STATE_DIRECTORY}/schema/toolward.schema.json",
        "# One deployment of toolward. Review it like code; no secret ever stands here.",
        "version: 1",
        f"name: {scalar(plan.name)}",
        "",
        "# How much is asked. observe: records what guarded would refuse, and lets it pass.",
        "# guarded: reads and undoable writes go on, the rest asks. strict: asks for what is not proven.",
        f"profile: {plan.profile.value}",
        "",
        "# Where `${secret:NAME}` is looked up: env | file (.toolward/secrets.json, mode 0600) | keyring.",
        "secrets:",
        f"  provider: {plan.secrets.value}",
        "",
        "# Each server is a pinned package in an environment of its own, a command, or a url.",
        "# `roots` are the directories inside which its writes are expected.",
        "servers:" if plan.servers else "servers: {}",
    ]
    for name, server in plan.servers.items():
        lines += [*emit({name: server_json(server)}, indent=1), ""]
    if plan.roles:
        roles: dict[str, Any] = {role: list(users) for role, users in plan.roles.items()}
        lines += ["# Who may answer for what.", *emit({"roles": roles})]
    else:
        lines += [
            "# Who may answer for what, and what an agent may use at most:",
            "# roles:",
            "#   approver: [alice]",
            "# agents:",
            "#   claude:",
            "#     servers: [git]",
            "#     effects: [read_only, reversible]",
        ]
    return "\n".join(lines).rstrip("\n") + "\n"


def ward_files(plan: WardPlan) -> dict[str, bytes]:
    """Relative path -> content of everything that a new ward consists of, but its manifests."""
    return {
        CONFIG_FILE: ward_text(plan).encode(),
        "policies/own.cedar": _EXAMPLE_POLICIES.encode(),
        ".gitignore": f"# state, secrets and copies of schemas\n{STATE_DIRECTORY}/\n".encode(),
        **{f"{STATE_DIRECTORY}/schema/{name}": body for name, body in schemas().items()},
    }


def write_ward(path: Path, plan: WardPlan) -> tuple[str, ...]:
    """Make a ward at `path`; returns the files written. Raises `WardError` if there is one already.

    A `.gitignore` or policy file that stands there is left as it is.
    """
    if (path / CONFIG_FILE).exists() or (path / CONFIG_FILE).is_symlink():
        raise WardError(
            f"there is a ward at `{path}` already",
            file=CONFIG_FILE,
            remedy="choose another directory, or edit it",
        )
    written: list[str] = []
    files = ward_files(plan)
    try:
        (path / STATE_DIRECTORY).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise WardError(
            f"can not be made: {error.strerror}", file=str(path), remedy="check the directory"
        ) from error
    config = files.pop(CONFIG_FILE)
    for name, body in files.items():  # the configuration comes last, so a half-made ward is none
        if _write_new(path / name, body):
            written.append(name)
    (path / "tools").mkdir(exist_ok=True)
    if not _write_new(path / CONFIG_FILE, config):
        raise WardError(f"another process made a ward at `{path}`", file=CONFIG_FILE)
    return (CONFIG_FILE, *written)


def write_manifests(
    path: Path,
    manifests: Mapping[str, Mapping[str, Manifest]],
    *,
    servers: Mapping[str, ServerConfig],
    metadata: Mapping[str, Metadata] | None = None,
    networks: Mapping[str, NetworkNeeds] | None = None,
) -> tuple[str, ...]:
    """Write `tools/<server>.yaml` for servers that have none, or only a draft; returns the files written.

    A tool whose name a manifest can not hold (a slash, a space) is left out: what is derived for it stands.
    """
    written: list[str] = []
    for server, tools in manifests.items():
        network = (networks or {}).get(server, NetworkNeeds())
        text = manifest_text(
            server,
            {name: manifest for name, manifest in tools.items() if _TOOL_NAME.match(name)},
            metadata=(metadata or {}).get(server, Metadata()),
            timeout_ms=servers[server].timeout_ms,
            network=network,
        )
        file = path / "tools" / f"{server}.yaml"
        if file.is_file() and file.read_bytes() == _draft(server, network):
            file.unlink()
        if _write_new(file, text.encode()):
            written.append(f"tools/{server}.yaml")
    return tuple(written)


def write_drafts(path: Path, networks: Mapping[str, NetworkNeeds]) -> tuple[str, ...]:
    """Write `tools/<server>.yaml`, without tools, for servers that have none; returns the servers.

    A server's process is started with what it says, so it has to stand there before the tools are known.
    """
    return tuple(
        server
        for server, network in networks.items()
        if network and _write_new(path / "tools" / f"{server}.yaml", _draft(server, network))
    )


def _draft(server: str, network: NetworkNeeds) -> bytes:
    return manifest_text(server, {}, metadata=Metadata(), timeout_ms=0, network=network).encode()


def refresh_schemas(path: Path) -> None:
    """Bring a ward's copies of the schemas up to date; they are not part of the revision."""
    for name, body in schemas().items():
        target = path / STATE_DIRECTORY / "schema" / name
        if not target.exists() or target.read_bytes() != body:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)


def _write_new(file: Path, body: bytes) -> bool:
    """Whether the file was made; False if something stood there."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as stream:
            stream.write(body)
    except FileExistsError:
        return False
    except OSError as error:
        raise WardError(
            f"can not be written: {error.strerror}", file=str(file), remedy="check the directory"
        ) from error
    return True
