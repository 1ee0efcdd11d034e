"""Do and undo, tried: a tool runs on scratch copies of its server's roots, and what it leaves is compared."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from toolward.bootstrap import open_house_on
from toolward.bootstrap.assembly import House
from toolward.config.shape import Profile
from toolward.config.ward import Ward, load_ward
from toolward.errors import Rejected
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.rollback.asking import Fate
from toolward.model.call import Action, Era, Reply
from toolward.model.principal import CredentialKind, Principal
from toolward.model.server import ServerBinding
from toolward.model.session import SessionOrigin
from toolward.model.tool import BindingKind, Channel, Effect, ToolVersion
from toolward.model.undo import ToolUse
from toolward.rules.canonical import canonical
from toolward.rules.scratch import Moves, moved_binding, moved_manifest, moved_value, sample_arguments
from toolward.rules.undo_templates import NotRecorded, arguments_of, writable_roots

BYTES_MAX: Final = 256 * 1024 * 1024
"""Of all roots of a server together; a proof of more wants a smaller ward."""
_PROVER: Final = Principal(
    user="prover", agent="toolward-prove", credential="prove", kind=CredentialKind.PERSON
)
"""Exists in the scratch copy alone."""


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence of the contract, and whether it held."""

    what: str
    holds: bool
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the record and for people."""
        return {"what": self.what, "holds": self.holds, "text": self.text}


async def prove(
    path: Path, tool: str, arguments: Sequence[Mapping[str, Any]], *, on_progress: Callable[[str], None]
) -> list[Check]:
    """Try `server/name` of the ward at `path` with each of `arguments`; made up from its schema if none.

    Nothing of the ward or of its roots is changed. Raises `Rejected` for a tool that can not be tried so.
    """
    ward = load_ward(path)
    server, _, name = tool.partition("/")
    binding = next((each for each in ward.bindings if each.server == server), None)
    if binding is None:
        raise Rejected(f"no server `{server}` in this ward", remedy="see toolward.yaml")
    if binding.kind not in (BindingKind.STDIO, BindingKind.FUNCTIONS, BindingKind.COMMANDS):
        raise Rejected(f"`{server}` does not run here, so no copy of it can be tried")
    with tempfile.TemporaryDirectory(prefix="toolward-prove-") as scratch:
        moves = _copies(ward, binding, Path(scratch))
        copy = _moved(ward, binding, moves)
        async with open_house_on(copy, state=Path(scratch) / "state", on_progress=on_progress) as house:
            return await _Trial(house, tool, name, moves).run(arguments)


def _copies(ward: Ward, binding: ServerBinding, scratch: Path) -> Moves:
    """Every directory in which the server may write, copied."""
    manifests = [m for key, (m, _) in ward.manifests.items() if key.startswith(binding.server + "/")]
    roots = {root for manifest in manifests for root in writable_roots(binding, manifest)} | set(
        binding.roots
    )
    outer = [r for r in sorted(roots) if not any(r != o and r.startswith(o.rstrip("/") + "/") for o in roots)]
    size = sum(f.lstat().st_size for root in outer for f in Path(root).rglob("*") if not f.is_dir())
    if size > BYTES_MAX:
        raise Rejected(
            f"the roots of `{binding.server}` hold {size} bytes, and {BYTES_MAX} are copied at most",
            remedy="prove it in a ward with smaller roots",
        )
    moves: dict[str, str] = {}
    for number, root in enumerate(outer):
        place = scratch / f"root-{number}"
        if Path(root).is_dir():
            hidden = shutil.ignore_patterns(ward.state.name)  # a ward's state is no tool's
            shutil.copytree(root, place, symlinks=True, ignore=hidden)
        else:
            place.mkdir()
        moves[root] = str(place)
    return moves


def _moved(ward: Ward, binding: ServerBinding, moves: Moves) -> Ward:
    """The ward with this one server, on the copies, in the sandbox channel; nobody is there to be asked."""
    return replace(
        ward,
        config=msgspec.structs.replace(ward.config, channel=Channel.SANDBOX, profile=Profile.OBSERVE),
        bindings=(moved_binding(binding, moves),),
        manifests={
            key: (moved_manifest(manifest, moves), metadata)
            for key, (manifest, metadata) in ward.manifests.items()
            if key.startswith(binding.server + "/")
        },
        policies={},
    )


@dataclass(slots=True)
class _Trial:
    house: House
    tool: str
    name: str
    moves: Moves
    checks: list[Check] = field(default_factory=list)

    async def run(self, arguments: Sequence[Mapping[str, Any]]) -> list[Check]:
        parts, server = self.house.parts, self.tool.partition("/")[0]
        await parts.drift.refresh(server)
        for known in list(parts.registry.pins()):
            await parts.registry.approve(known.key, by=_PROVER, accept_findings=True)
        await self.house.desk.repin(_PROVER)
        pin = parts.registry.pin(self.tool)
        version = parts.registry.version(pin.digest) if pin is not None else None
        if version is None:
            raise Rejected(
                f"`{server}` lists no tool `{self.name}`", remedy=f"toolward tools list --server {server}"
            )
        root = next(iter(self.moves.values()), "/")
        given = [moved_value(dict(each), self.moves) for each in arguments]
        for each in given or [sample_arguments(orjson.loads(version.definition), version.manifest, root)]:
            await self._try(version, each)
        return self.checks

    async def _try(self, version: ToolVersion, arguments: Mapping[str, Any]) -> None:
        effect = version.manifest.effect
        before = await self._state(version, arguments)
        session = await self._session()
        reply = await self._call(session, arguments)
        failed = _failure(reply)
        self._say("it runs", not failed, failed)
        if failed:
            return
        after = await self._state(version, arguments)
        if effect is Effect.READ_ONLY:
            self._say("it only reads: what lies in the roots is the same after it", after == before)
            return
        if effect is Effect.IDEMPOTENT_WRITE:
            again = _failure(await self._call(session, arguments))
            same = await self._state(version, arguments) == after
            self._say("done twice is the same as done once", not again and same, again)
        undo = version.manifest.undo
        if undo is None or undo.compensate is None:
            self._say(
                "something is declared that undoes it",
                holds=effect not in (Effect.REVERSIBLE, Effect.COMPENSABLE),
            )
            return
        row = await self.house.rollbacks.run(session, by=_PROVER)
        left = "; ".join(each["reason"] for each in row["residuals"])
        self._say("it is undone", row["state"] == "COMPENSATED", left)
        undone = await self._state(version, arguments)
        self._say("done and undone, everything is as before", undone == before)
        if undo.compensate.use is not None and row["plan"]["steps"]:
            await self._undo_again(version, arguments, session, undo.compensate.use, reply)

    async def _undo_again(
        self,
        version: ToolVersion,
        arguments: Mapping[str, Any],
        session: str,
        use: ToolUse,
        reply: Reply,
    ) -> None:
        """The compensating tool, called when there is nothing to undo."""
        before = await self._state(version, arguments)
        for what, key in (("undone again", "again"), ("undone without having been done", "another")):
            data = {"input": arguments, "output": reply.result, "snapshot": None, "key": key}
            try:
                call = arguments_of(use, data)
            except NotRecorded as pointer:
                self._say(f"{what}, nothing changes", holds=True, text=f"not tried: it wants {pointer}")
                continue
            server = self.tool.partition("/")[0]
            answer = await self.house.rollbacks.ask(session, reply.call_id, f"{server}/{use.tool}", call)
            same = await self._state(version, arguments) == before
            self._say(
                f"{what}, nothing changes",
                same and (answer.said or answer.fate is not Fate.UNKNOWN),
                answer.text,
            )

    async def _state(self, version: ToolVersion, arguments: Mapping[str, Any]) -> bytes:
        """All that lies in the copies, and what the declared reading tools say."""
        images, roots = self.house.rollbacks.images, tuple(self.moves.values())
        seen: list[Any] = []
        if images is not None and roots:
            seen.append(dict(await images.look(roots, within=roots)))
        undo = version.manifest.undo
        uses = [undo.snapshot.use if undo and undo.snapshot else None]
        uses.append(undo.compensate.precondition if undo and undo.compensate else None)
        for use in uses:
            if use is None:
                continue
            try:
                call = arguments_of(use, {"input": arguments})
            except NotRecorded:
                continue  # it looks at what only the call will make
            reply = await self._call(await self._session(), call, name=use.tool)
            seen.append(reply.result if reply.result is not None else "refused")
        return canonical(seen)

    async def _session(self) -> str:
        opened = await self.house.gateway.open_session(_PROVER, SessionOrigin.HANDLE)
        return opened.session_id

    async def _call(self, session: str, arguments: Mapping[str, Any], *, name: str = "") -> Reply:
        attempt = Attempt(
            principal=_PROVER,
            session_id=session,
            action=Action.CALL_TOOL,
            params={"name": name or self.name, "arguments": dict(arguments)},
            server=self.tool.partition("/")[0],
            era=Era.STATELESS,
            door="prove",
        )
        return await self.house.gateway.perform(attempt, QuietExchange())

    def _say(self, what: str, holds: bool, text: str = "") -> None:  # noqa: FBT001 -- it is what is said
        self.checks.append(Check(what, holds, "" if holds else text))


def _failure(reply: Reply) -> str:
    if reply.error is not None:
        return reply.error.message
    if reply.result is not None and reply.result.get("isError") is True:
        return f"it answered with an error: {str(reply.result.get('content'))[:300]}"
    return ""
