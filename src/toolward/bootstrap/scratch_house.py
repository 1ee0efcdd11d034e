"""A house in a scratch directory: one server on copies of its roots, in the sandbox channel."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from toolward.bootstrap import open_house_on
from toolward.bootstrap.assembly import House
from toolward.config.discovery import DiscoveryConfig
from toolward.config.shape import Profile, RollbackConfig
from toolward.config.testing import Tests
from toolward.config.ward import Ward, load_ward
from toolward.errors import Rejected
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.model.call import Action, Era, Reply
from toolward.model.principal import CredentialKind, Principal
from toolward.model.server import ServerBinding
from toolward.model.session import SessionOrigin
from toolward.model.tool import BindingKind, Channel, ToolVersion
from toolward.rules.scratch import Moves, moved_binding, moved_manifest
from toolward.rules.undo_templates import writable_roots

BYTES_MAX: Final = 256 * 1024 * 1024
"""Of all roots of a server together; a trial of more wants a smaller ward."""
TRIER: Final = Principal(
    user="prover", agent="toolward-prove", credential="prove", kind=CredentialKind.PERSON
)
"""Exists in the scratch copy alone."""


@dataclass(slots=True)
class Scratch:
    """The open house, the tool that is tried, and which path stands for which."""

    house: House
    version: ToolVersion
    moves: Moves

    async def session(self) -> str:
        """A new session."""
        opened = await self.house.gateway.open_session(TRIER, SessionOrigin.HANDLE)
        return opened.session_id

    async def call(self, session: str, arguments: Mapping[str, Any], *, name: str = "") -> Reply:
        """A call of the tool that is tried, or of another one of its server."""
        attempt = Attempt(
            principal=TRIER,
            session_id=session,
            action=Action.CALL_TOOL,
            params={"name": name or self.version.name, "arguments": dict(arguments)},
            server=self.version.server,
            era=Era.STATELESS,
            door="prove",
        )
        return await self.house.gateway.perform(attempt, QuietExchange())


@asynccontextmanager
async def scratch_house(
    path: Path, tool: str, *, variant: str = "", on_progress: Callable[[str], None]
) -> AsyncIterator[Scratch]:
    """`server/name` of the ward at `path`, as its server, or a variant (`server@name`) runs it.

    Nothing of the ward or of its roots is changed. Raises `Rejected` for a tool that can not be tried so.
    """
    ward = load_ward(path)
    server, _, name = tool.partition("/")
    binding = _binding(ward, server, variant)
    with tempfile.TemporaryDirectory(prefix="toolward-prove-") as scratch:
        moves = _copies(ward, binding, Path(scratch))
        copy = _moved(ward, binding, moves)
        async with open_house_on(copy, state=Path(scratch) / "state", on_progress=on_progress) as house:
            yield Scratch(house, await _approved(house, server, name), moves)


def _binding(ward: Ward, server: str, variant: str) -> ServerBinding:
    whole = next((each for each in ward.bindings if each.server == server), None)
    if whole is None:
        raise Rejected(f"no server `{server}` in this ward", remedy="see toolward.yaml")
    found = next((each for each in whole.all() if each.server == (variant or server)), None)
    if found is None:
        known = ", ".join(whole.variants) or "none"
        raise Rejected(f"`{server}` has no variant `{variant}`", remedy=f"there are: {known}")
    if found.kind not in (BindingKind.STDIO, BindingKind.FUNCTIONS, BindingKind.COMMANDS):
        raise Rejected(f"`{found.server}` does not run here, so no copy of it can be tried")
    return replace(found, server=server, variants={})


async def _approved(house: House, server: str, name: str) -> ToolVersion:
    parts = house.parts
    await parts.drift.refresh(server)
    for known in list(parts.registry.pins()):
        await parts.registry.approve(known.key, by=TRIER, accept_findings=True)
    await house.desk.repin(TRIER)
    pin = parts.registry.pin(f"{server}/{name}")
    version = parts.registry.version(pin.digest) if pin is not None else None
    if version is None:
        raise Rejected(f"`{server}` lists no tool `{name}`", remedy=f"toolward tools list --server {server}")
    return version


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
        config=msgspec.structs.replace(
            ward.config,
            channel=Channel.SANDBOX,
            profile=Profile.OBSERVE,
            rollback=RollbackConfig(),
            discovery=DiscoveryConfig(),
        ),
        bindings=(moved_binding(binding, moves),),
        manifests={
            key: (moved_manifest(manifest, moves), metadata)
            for key, (manifest, metadata) in ward.manifests.items()
            if key.startswith(binding.server + "/")
        },
        policies={},
        gates={},
        tests=Tests(),
        contracts=(),
        objectives={},
    )
