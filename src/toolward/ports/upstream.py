"""Servers that hold the tools, and the way back to the caller while a call runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolward.model.call import Era, Intent, RawOutcome
from toolward.model.capability import IsolationReport
from toolward.model.permit import Permit
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDescription:
    """What a server says of itself. `tools` are whole definitions as sent, unknown members included."""

    server: str
    eras: tuple[Era, ...]
    info: Mapping[str, Any]  # serverInfo
    capabilities: Mapping[str, Any]
    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    lock: str = ""  # sha256:<hex> of what was resolved for a package, else of the files of its command


class Exchange(Protocol):
    """The caller's side of a running call: how the upstream's interim messages reach it.

    MUST NOT raise when the caller is gone: notifications are then lost, requests are answered with an error.
    """

    @property
    def era(self) -> Era:
        """The era the caller speaks."""
        ...

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the caller declared that it can do (sampling, elicitation, roots)."""
        ...

    @property
    def patience_s(self) -> float:
        """How long the caller can be kept waiting for a person's answer; 0 where it is told at once."""
        return 0.0

    async def waits(self, approval: str, reason: str) -> None:
        """The call is held until that approval has ended: tell the caller, where it can be told.

        Runs beside the wait and is cancelled with it. MUST NOT raise.
        """
        del approval, reason

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass on a progress or log notification that belongs to this call."""
        ...

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the caller (sampling, elicitation, roots) and return the JSON-RPC result.

        Raises `Denied` when the caller can not be asked.
        """
        ...


class UpstreamEvents(Protocol):
    """What an upstream tells the kernel on its own initiative."""

    def definitions_changed(self, server: str) -> None:
        """`notifications/tools/list_changed` arrived, or the server was restarted."""
        ...

    def notification(self, server: str, session_id: str, method: str, params: Mapping[str, Any]) -> None:
        """A notification that belongs to no call (resource updates, list changes)."""
        ...


InForce = Callable[[], None]
"""Puts what was made ready in force, at once and without fail."""


class Upstreams(Protocol):
    """All configured servers, reached over persistent connections; they may become others while they run.

    MUST accept nothing but a permit and its intent to execute. MUST never return another call's answer:
    answers with an unknown id, second answers and malformed ones are dropped and counted, and a server
    that floods is stopped. MUST NOT retry a request that was sent. MUST keep one process, or one legacy
    session, per toolward session unless the server is declared stateless.
    """

    def names(self) -> tuple[str, ...]:
        """Configured servers in order."""
        ...

    async def describe(self, server: str) -> ServerDescription:
        """Connect if needed and fetch the definitions now. Raises `ToolFailed`."""
        ...

    async def isolation(self, server: str) -> IsolationReport:
        """What holds the processes of that server, or `remote`. Cheap after the first time.

        Raises `UnknownTool`; `SandboxUnavailable` where this host makes no cage.
        """
        ...

    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """Do it. Never raises for what the upstream does.

        `Failed` only when no effect is possible or the upstream itself answered with an error,
        `Stopped` when the effect may have happened.
        """
        ...

    def holds(self, kind: BindingKind) -> bool:
        """Whether servers of that kind are this adapter's to take; by default none is."""
        del kind
        return False

    async def prepare(self, taken: Sequence[ServerBinding], dropped: Collection[str]) -> InForce:
        """Make ready to hold `taken`, new or changed, and no longer `dropped`; the answer puts that in force.

        Nothing has changed before the answer is used. Calls under way end with the server that they began
        with, which is then stopped: MUST NOT cut them off, MUST NOT leave its processes behind. A name that
        is not held is no error. Raises `ToolwardError` for what can be seen to be wrong beforehand.
        """
        del taken, dropped
        return lambda: None

    async def close_session(self, session_id: str) -> None:
        """Stop what runs for that session only."""
        ...

    async def close(self) -> None:
        """Stop everything, children included."""
        ...


class UpstreamRequests(Protocol):
    """Installed by the kernel: governs what a server asks of the caller during a call."""

    async def __call__(
        self, permit: Permit, method: str, params: Mapping[str, Any], exchange: Exchange
    ) -> Mapping[str, Any]:
        """Returns the JSON-RPC result to hand to the server; raises `Denied`."""
        ...


@dataclass(slots=True, kw_only=True)
class UpstreamHooks:
    """How adapters reach back into the kernel; `bootstrap` fills it."""

    on_request: UpstreamRequests | None = None
    events: UpstreamEvents | None = None
    on_progress: Callable[[str], None] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
