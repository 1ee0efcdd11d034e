"""How a server's links are made: out of its binding, its secrets, its way out or its cage."""

from __future__ import annotations

import re
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from toolward.adapters.tools.mcp.http.client import HttpPool
from toolward.adapters.tools.mcp.http.endpoint import Endpoint, WayOut, endpoint_of
from toolward.adapters.tools.mcp.http.streamable import HttpLink
from toolward.adapters.tools.mcp.link import Heard
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.adapters.tools.mcp.stdio.caged import job_of, scope_of_process, start_caged
from toolward.adapters.tools.mcp.stdio.child import clean_environment, start_child
from toolward.adapters.tools.mcp.stdio.processes import Starter, StdioLink
from toolward.config.limits import UPSTREAM_CONNECTIONS_MAX
from toolward.errors import WardError
from toolward.model.call import Era
from toolward.model.capability import IsolationLevel, IsolationReport, Kept
from toolward.model.egress import Refusal, Whose
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.cages import Cages
from toolward.ports.clock import Clock
from toolward.ports.egress import Connector
from toolward.ports.secrets import Secrets
from toolward.rules.egress.destination import upstream_grant

_REMOTE: Final = IsolationReport(tier=IsolationLevel.REMOTE)
_BARE: Final = IsolationReport(tier=IsolationLevel.NONE)
_SECRET: Final = re.compile(r"\$\{secret:([A-Za-z0-9_.-]+)\}")
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")


def with_secrets(text: str, secrets: Secrets) -> str:
    """`text` with every `${secret:NAME}` replaced. Raises what `Secrets.get` raises."""
    return _SECRET.sub(lambda found: secrets.get(found[1]), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What links are made with."""

    secrets: Secrets
    clock: Clock
    packages: Packages
    connector: Connector
    cages: Cages
    kept: Callable[[], Kept]
    tls: Callable[[], ssl.SSLContext]


class LinkMaker:
    """Makes the links of one server."""

    def __init__(
        self, binding: ServerBinding, tools: Workshop, *, heard: Heard, counts: Counter[str]
    ) -> None:
        self.binding = binding
        self.lock_digest = ""
        self._installed = ""  # the environment of its package
        self._tools = tools
        self._heard = heard
        self._counts = counts
        self._pool: HttpPool | None = None

    async def prepare(self) -> tuple[str, ...]:
        """Install its package if it has one and that was not done; what is then started.

        Raises `ToolFailed`, `WardError`. Not bounded by `start_timeout_ms`: installing has its own limit.
        """
        if not self.binding.package:
            return self.binding.command
        installed = await self._tools.packages.ensure(self.binding)
        self.lock_digest = installed.lock_digest
        self._installed = str(installed.directory.resolve())
        return installed.argv

    def http_link(self, scope: str, era: Era, capabilities: Mapping[str, Any]) -> HttpLink:
        """A link over the server's one pool. Raises `WardError`."""
        if self._pool is None:
            endpoint = endpoint_of(self.binding.url)
            tls = self._tools.tls() if endpoint.secure else None
            way_out = self._way_out(endpoint)
            self._pool = HttpPool(endpoint, way_out, connections_max=UPSTREAM_CONNECTIONS_MAX, tls=tls)
        return HttpLink(
            pool=self._pool,
            headers=self._header_lines(),
            era=era,
            scope=scope,
            capabilities=capabilities,
            heard=self._heard,
            counts=self._counts,
        )

    def _way_out(self, endpoint: Endpoint) -> WayOut:
        """The operator grants what the server's URL names, and nothing else. Raises `WardError`."""
        grant = upstream_grant(endpoint.host, endpoint.port, private_network=self.binding.private_network)
        if isinstance(grant, Refusal):
            raise WardError(f"server `{self.binding.server}`: {grant.text}", remedy=grant.remedy)
        return WayOut(self._tools.connector, (grant,), Whose(self.binding.server))

    def _header_lines(self) -> bytes:
        lines = ""
        for name, template in self.binding.headers.items():
            value = with_secrets(template, self._tools.secrets)
            if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
                raise WardError(
                    f"header `{name}` of server `{self.binding.server}` can't be sent",
                    remedy="use printable ASCII in names and values, without line breaks",
                )
            lines += f"{name}: {value}\r\n"
        return lines.encode("ascii")

    async def stdio_link(self, scope: str, era: Era, capabilities: Mapping[str, Any]) -> StdioLink:
        """A process of its own, started. Raises `Ended`, `ToolwardError`."""
        argv = await self.prepare()
        if not argv:
            raise WardError(
                f"server `{self.binding.server}` has neither a command nor a package",
                remedy="give it `command` or `package`",
            )
        link = StdioLink(
            program=argv[0],
            starter=self._starter((*argv, *self.binding.arguments), scope),
            era=era,
            scope=scope,
            capabilities=capabilities,
            heard=self._heard,
            counts=self._counts,
        )
        await link.start()
        return link

    def _starter(self, argv: tuple[str, ...], session_id: str) -> Starter:
        """In a cage, unless the ward names that danger."""
        env = {name: with_secrets(value, self._tools.secrets) for name, value in self.binding.env.items()}
        cwd, whose = self.binding.cwd, Whose(self.binding.server, session_id)
        if self.binding.unsafe_no_sandbox:
            return lambda child: start_child(child, argv, env=clean_environment(env), cwd=cwd)
        scope = scope_of_process(
            self.binding,
            argv,
            kept=self._tools.kept(),
            installed=self._installed,
        )
        job = job_of(argv, scope, env=env, cwd=cwd)
        return lambda child: start_caged(child, self._tools.cages, job, scope, whose=whose)

    async def isolation(self) -> IsolationReport:
        """What holds its processes. Raises `SandboxUnavailable`."""
        if self.binding.kind is BindingKind.HTTP:
            return _REMOTE
        if self.binding.unsafe_no_sandbox:
            return _BARE
        return await self._tools.cages.isolation()

    async def close(self) -> None:
        """Close the pool; links are closed by whoever has them."""
        if self._pool is not None:
            await self._pool.close()
