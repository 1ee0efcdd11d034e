"""One upstream as the ward describes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolward.model.capability import Capabilities
from toolward.model.command import CommandTool
from toolward.model.module import ModuleTool
from toolward.model.tool import BindingKind

VARIANT = "@"
"""Between a server and its variant; no server's name may hold it."""
IN_PROCESS_SERVER = "python"
"""The server of the functions that a process registers; it has no entry under `servers`."""


GATEWAY_SERVER = "toolward"
"""In front of the names of meta-tools; no server of a ward may take it."""
FOUND_PREFIX = "found-"
"""How the ids of found servers begin, and no server's of a ward."""


def variant_of(server: str, variant: str) -> str:
    """How a variant is named as an upstream of its own: `server@variant`."""
    return f"{server}{VARIANT}{variant}"


def server_of(upstream: str) -> str:
    """The server whose tools an upstream holds: itself, or the one that it is a variant of."""
    return upstream.partition(VARIANT)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinding:
    """How a server is reached. Values of `env` and `headers` may hold `${secret:NAME}`, never a secret."""

    server: str
    kind: BindingKind
    # stdio
    command: tuple[str, ...] = ()  # program and arguments, when not installed from a package
    package: str = ""  # "pypi:mcp-server-git==2026.10.19" or "npm:@scope/name@1.2.3"
    entry: str = ""  # the package's program, where it is not the obvious one
    constraints: tuple[str, ...] = ()  # further requirements of that environment, e.g. "mcp<2"
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    # tools that run per call
    functions: str = ""  # the source file as the ward names it
    source: str = field(default="", repr=False)  # its text, read once: what was approved is what runs
    requirements: tuple[str, ...] = ()  # pinned packages of its own environment
    commands: Mapping[str, CommandTool] = field(default_factory=dict)
    modules: Mapping[str, ModuleTool] = field(default_factory=dict)
    # http
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    private_network: bool = False  # the URL's name may lead to private addresses
    # the cage of its process
    capabilities: Capabilities | None = None  # None: its roots, to write in, and no network
    unsafe_no_sandbox: bool = False
    # all
    found_by: str = ""  # the discovery source that names it; "" for the ward's own
    stateless: bool = False  # one process (or one legacy session) may serve every session
    accepts: tuple[str, ...] = ()  # upstream-initiated requests: sampling, elicitation, roots
    roots: tuple[str, ...] = ()  # declared directories inside which writes are expected
    destinations: tuple[str, ...] = ()  # the operator's own hosts, addresses and accounts
    start_timeout_ms: int = 60_000
    timeout_ms: int = 60_000  # one call, where its manifest says nothing
    definitions_max_age_s: int = 300
    variants: Mapping[str, ServerBinding] = field(default_factory=dict)  # "server@variant" -> its binding

    def all(self) -> tuple[ServerBinding, ...]:
        """Itself, then its variants."""
        return (self, *self.variants.values())

    def identity(self) -> str:
        """What a version pins of the server; no environment, no secret.

        Kind and package, command or URL; the text of a source file; the command lines of all commands; the
        files of all modules.
        """
        match self.kind:
            case BindingKind.HTTP:
                return f"http {self.url}"
            case BindingKind.FUNCTIONS:
                digest = hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()
                return f"functions {self.functions} sha256:{digest} {' '.join(self.requirements)}".strip()
            case BindingKind.COMMANDS:
                lines = {name: command.as_json() for name, command in self.commands.items()}
                return f"commands {json.dumps(lines, sort_keys=True)}"
            case BindingKind.MODULES:
                files = {name: [module.file, module.digest()] for name, module in self.modules.items()}
                return f"modules {json.dumps(files, sort_keys=True)}"
            case BindingKind.STDIO | BindingKind.PYTHON:
                return self._program()

    def _program(self) -> str:
        if self.package:
            return f"stdio {self.package} {' '.join(self.constraints)}".strip() + self._cage()
        return f"stdio {' '.join(self.command)}" + self._cage() if self.command else self.kind.value

    def _cage(self) -> str:
        """What was declared for its cage: who widens it changes the server, and has to approve that."""
        declared = f" {json.dumps(self.capabilities.as_json(), sort_keys=True)}" if self.capabilities else ""
        return declared + (" unsafe_no_sandbox" if self.unsafe_no_sandbox else "")
