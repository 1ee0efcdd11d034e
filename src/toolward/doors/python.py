"""The Python face: the same corridor, in process. `toolward.doors.python_sync` is a small sync face over it.

async with toolward.open("ward") as ward:
    async with ward.session(user="ana", agent="reporter", prompt="what changed today?") as session:
        for tool in await session.list_tools():
            print(tool["name"])
        result = await session.call("git/git_log", repo_path="/srv/repo")

With an objective that the ward declares the session begins in its first step; the program moves it on with
`session.step(NAME)`, and has it judged with `session.finish()`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from toolward.errors import (
    BadArguments,
    Denied,
    Pending,
    Reason,
    ReasonCode,
    Rejected,
    ToolFailed,
    ToolwardError,
    UnknownTool,
)
from toolward.governance.desk import Desk, invoke
from toolward.governance.desk.sessions import shown
from toolward.kernel.attempt import IDEMPOTENCY_META, Attempt
from toolward.kernel.gateway import Gateway
from toolward.kernel.objectives.conduct import Conduct, Ended, Outcome
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.rollback.engine import Rollbacks
from toolward.kernel.stops import StopKind
from toolward.model.call import Action, Era, Reply
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.ports.identity import Credentials, Identity

T = TypeVar("T")

WAIT_S = 300.0
"""How long `wait_for` waits where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tool gave back. `receipt` proves that the call stands in the audit log."""

    call_id: str
    content: list[Mapping[str, Any]]
    structured: Any
    is_error: bool
    receipt: Mapping[str, Any]

    @property
    def text(self) -> str:
        """All text parts, joined by line ends."""
        return "\n".join(str(part["text"]) for part in self.content if part.get("type") == "text")


class WardSession:
    """One run of an agent. Everything that is called through it shares taint and budget."""

    def __init__(
        self,
        gateway: Gateway,
        rollbacks: Rollbacks,
        conduct: Conduct,
        principal: Principal,
        *,
        session_id: str,
    ) -> None:
        self._gateway = gateway
        self._rollbacks = rollbacks
        self._conduct = conduct
        self._principal = principal
        self.session_id = session_id
        self.ended: Ended | None = None  # how the objective ended, once it has

    async def list_tools(self) -> list[Mapping[str, Any]]:
        """The definitions that this principal may see; `name` is `server__name`."""
        reply = await self._perform(Action.LIST_TOOLS, {}, server="")
        return list(_result(reply).get("tools", []))

    async def step(self, name: str) -> None:
        """Move on to another step of the declared objective; what is listed and may be called changes.

        Raises `Rejected` where there is no declared objective, `Denied` for an unknown step and for a
        decision-critical one whose objective is not approved.
        """
        _ = await self._conduct.step(self.session_id, name, by=self._principal)

    async def finish(self) -> Ended:
        """Have it judged whether the declared objective was reached. The session ends with that.

        `outcome` is `reached` or `failed`, `missing` says in words what was missing, and `rollback` what was
        taken back, where the ward has `rollback: {on: [failure]}`.
        """
        self.ended = await self._conduct.finish(self.session_id, by=self._principal)
        return self.ended

    async def fail(self, why: str) -> Ended:
        """Say that the objective failed; what follows is as with `finish`."""
        self.ended = await self._conduct.fail(self.session_id, why, by=self._principal)
        return self.ended

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, /, **named: Any) -> Result:
        """Call `server/name`, or `server__name` as the list has it.

        Raises `Denied`, `Pending`, `UnknownTool` or `ToolFailed` with the reason.
        """
        return await self.call_with({}, tool, {**(arguments or {}), **named})

    async def call_once(self, key: str, tool: str, arguments: Mapping[str, Any] | None = None) -> Result:
        """`call` with an idempotency key: its retry gets the same result, and nothing happens twice.

        Raises `Denied`, `Pending`, `UnknownTool` or `ToolFailed` with the reason.
        """
        return await self.call_with({IDEMPOTENCY_META: key} if key else {}, tool, arguments)

    async def call_with(
        self, meta: Mapping[str, Any], tool: str, arguments: Mapping[str, Any] | None = None
    ) -> Result:
        """`call` with a `_meta`, as an MCP client has it: `dev.toolward/confidence`, `dev.toolward/path`.

        Raises `Denied`, `Pending`, `UnknownTool` or `ToolFailed` with the reason.
        """
        server, slash, name = tool.partition("/")
        if not slash:
            server, name = "", tool
        params: dict[str, Any] = {"name": name, "arguments": dict(arguments or {})}
        if meta:
            params["_meta"] = dict(meta)
        reply = await self._perform(Action.CALL_TOOL, params, server=server)
        result = _result(reply)
        return Result(
            call_id=reply.call_id,
            content=list(result.get("content", [])),
            structured=result.get("structuredContent"),
            is_error=result.get("isError") is True,
            receipt=reply.receipt or {},
        )

    async def wait_for(self, approval: str | Pending, *, timeout_s: float = WAIT_S) -> str:
        """Wait until people answered, and return the approval's state: `approved` means call again.

        `approval` is its identifier or the `Pending` that named it. After `timeout_s` it may still be
        `pending`. Raises `Rejected` for an approval that this session's caller did not ask for.
        """
        named = approval.approval if isinstance(approval, Pending) else approval
        return (await self._gateway.answered(named, self._principal, timeout_s)).value

    async def declare_plan(self, plan: str) -> None:
        """Say once what is going to be done, before anything untrusted was read: it then counts as asked for.

        Raises `Denied` after an untrusted result, `Rejected` for a second plan.
        """
        _ = _result(await self._perform(Action.DECLARE_PLAN, {"plan": plan}, server=""))

    async def savepoint(self, name: str) -> int:
        """Name the present place in the session's history; returns its index in the log."""
        mark = await self._gateway.savepoint(self.session_id, self._principal, name)
        return mark.log_index

    async def seal(self) -> Mapping[str, Any]:
        """Accept the work so far: what is held in escrow goes out, what was changed is others' again.

        Raises `GatewayError` while a call of this session runs.
        """
        return await self._gateway.safeguards.seals(self.session_id, by=self._principal)

    async def held(self) -> list[Mapping[str, Any]]:
        """What this session asked for that is held in escrow, oldest first."""
        return list(self._gateway.safeguards.releases.pending(self.session_id))

    async def cancel(self, escrow_id: str, why: str = "") -> None:
        """Call off what is held. Raises `Rejected` if it is not held any more."""
        if all(each["escrow_id"] != escrow_id for each in await self.held()):
            raise Rejected(f"this session has nothing held as `{escrow_id}`", code=ReasonCode.NOT_PENDING)
        _ = await self._gateway.safeguards.releases.cancel(escrow_id, why=why, by=self._principal)

    async def rollback(self, *, to: str = "") -> Mapping[str, Any]:
        """Take back what this session did, or what came after a savepoint, or from a call on.

        `state` is COMPENSATED, PARTIALLY_COMPENSATED or NEEDS_HUMAN, `residuals` what stays. Raises
        `Rejected` for a savepoint or call that is not known.
        """
        return shown(await self._rollbacks.run(self.session_id, by=self._principal, to=to))

    async def _perform(self, action: Action, params: Mapping[str, Any], *, server: str) -> Reply:
        attempt = Attempt(
            principal=self._principal,
            session_id=self.session_id,
            action=action,
            params=params,
            server=server,
            era=Era.STATELESS,
            door="python",
        )
        return await self._gateway.perform(attempt, QuietExchange())


class OpenHouse(Protocol):
    """What of an open house this face stands on."""

    @property
    def gateway(self) -> Gateway:
        """The corridor."""
        ...

    @property
    def rollbacks(self) -> Rollbacks:
        """What takes a session back."""
        ...

    @property
    def conduct(self) -> Conduct:
        """What moves sessions on and ends them."""
        ...

    @property
    def desk(self) -> Desk:
        """What people do."""
        ...

    @property
    def identity(self) -> Identity:
        """Who shows a credential."""
        ...


class OpenWard:
    """A ward that this process has open."""

    def __init__(self, house: OpenHouse) -> None:
        self._gateway = house.gateway
        self._rollbacks = house.rollbacks
        self._conduct = house.conduct
        self._desk = house.desk
        self._identity = house.identity

    async def desk(self, verb: str, *, person: str, **parameters: Any) -> Any:
        """A verb of the desk, as the command line has it, with a person's credential: `approvals.approve`.

        Raises what the verb raises, and `Rejected` for a credential that is none.
        """
        by = self._identity.authenticate(Credentials(bearer=person))
        return await invoke(self._desk, verb, parameters, by)

    @asynccontextmanager
    async def session(
        self, *, user: str, agent: str, objective: str = "", prompt: str = "", roles: tuple[str, ...] = ()
    ) -> AsyncIterator[WardSession]:
        """A session for `user`, on whose behalf `agent` acts. `prompt` is what the user really said.

        `objective` is the name of one that the ward declares, or words of your own, which hold a space or a
        capital letter. A declared one is finished when the block is left, unless that was done before; one
        that was not reached then is an error.

        An error that leaves the block says that the objective failed: where the ward has
        `rollback: {on: [failure]}`, what the session did is then taken back.

        Raises `Rejected` for an objective that is not declared, `Denied` for one that is not approved, or
        that was not reached.
        """
        principal = Principal(
            user=user, agent=agent, roles=roles, credential="in-process", kind=CredentialKind.IN_PROCESS
        )
        opened = await self._gateway.open_session(
            principal, SessionOrigin.HANDLE, objective=objective, prompt=prompt
        )
        session = WardSession(
            self._gateway, self._rollbacks, self._conduct, principal, session_id=opened.session_id
        )
        try:
            yield session
        except Exception as failure:
            if session.ended is None:
                _ = await session.fail(type(failure).__name__)
            raise
        else:
            if opened.step and session.ended is None:
                _require_reached(opened.objective, await session.finish())
        finally:
            await self._gateway.close_session(opened.session_id)

    async def stop(self, kind: StopKind | str, name: str = "", *, why: str) -> None:
        """Stop an `agent`, a `tool`, a `session`, a `server` or `all`, at once; undo goes on working."""
        _ = await self._gateway.safeguards.stops.set(StopKind(kind), name, why=why, by=_HOST)

    async def lift(self, kind: StopKind | str, name: str = "", *, why: str = "") -> None:
        """Let it go on. Raises `Rejected` if it is not stopped."""
        _ = await self._gateway.safeguards.stops.lift(StopKind(kind), name, why=why, by=_HOST)


def _require_reached(objective: str, ended: Ended) -> None:
    if ended.outcome is Outcome.REACHED:
        return
    raise Denied(
        f"the objective `{objective}` was not reached: {'; '.join(ended.missing)}",
        code=ReasonCode.OBJECTIVE_NOT_REACHED,
        remedy="see its `success` in the ward's objectives, and what the session did: toolward sessions show",
    )


_HOST = Principal(user="the program", agent="python", credential="in-process", kind=CredentialKind.IN_PROCESS)
"""Who stops and lifts here: whoever has the ward open in its own process has all of it."""
_BY_CODE: Mapping[str, type[ToolwardError]] = {
    ReasonCode.UNKNOWN_TOOL.value: UnknownTool,
    ReasonCode.BAD_ARGUMENTS.value: BadArguments,
    ReasonCode.APPROVAL_REQUIRED.value: Pending,
    ReasonCode.HELD_IN_ESCROW.value: Pending,
    ReasonCode.UNKNOWN_OUTCOME.value: ToolFailed,
    ReasonCode.TOOL_FAILED.value: ToolFailed,
    ReasonCode.TOOL_UNREACHABLE.value: ToolFailed,
}


def _result(reply: Reply) -> Mapping[str, Any]:
    if reply.result is not None:
        return reply.result
    error = reply.error
    if error is None:
        raise ToolFailed("the gateway answered with nothing")
    data = error.data if isinstance(error.data, Mapping) and "code" in error.data else {}
    code = str(data.get("code", ReasonCode.TOOL_FAILED.value))
    known = code in ReasonCode.__members__.values()
    reason = Reason(
        code=ReasonCode(code) if known else ReasonCode.TOOL_FAILED,
        text=str(data.get("reason", error.message)),
        remedy=str(data.get("remedy", "")),
        details=tuple((str(k), str(v)) for k, v in dict(data.get("details", {})).items()),
    )
    kind = _BY_CODE.get(reason.code.value, Denied)
    raise kind(reason.text, code=reason.code, remedy=reason.remedy, details=reason.details)
