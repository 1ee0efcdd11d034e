"""The only wiring: plain constructor calls, from a ward's files to an open gateway."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from toolward.adapters.discovery.fetching import Fetching
from toolward.adapters.discovery.sources import StrangersSources
from toolward.adapters.egress.connecting import VettedConnector
from toolward.adapters.images.caged import CagedImages
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.caged.upstreams import CagedTools
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.adapters.tools.router import RoutedUpstreams
from toolward.bootstrap.assembly import Builder, House, close_house
from toolward.bootstrap.cages import make_cages
from toolward.bootstrap.machine import Machine
from toolward.bootstrap.neighbours import KeptOfMachine
from toolward.bootstrap.secrets import make_secrets
from toolward.config.ward import Ward, load_ward
from toolward.kernel.audit import Auditor
from toolward.kernel.cages.egress_watch import EgressWatch
from toolward.kernel.tasks import Background
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.upstream import UpstreamHooks, Upstreams


@asynccontextmanager
async def open_house(
    path: Path | str,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    functions: PythonFunctions | None = None,
    on_progress: Callable[[str], None] | None = None,
    on_submit: Callable[[int], None] = lambda _thread: None,
) -> AsyncIterator[House]:
    """Open the ward at `path` for this process alone, recover what a crash left, and close it at the end.

    `on_submit`: see `SqliteStore.on_submit`.

    Raises `WardError` for files that are wrong, a log that was tampered with, or a ward that another
    process has open.
    """
    ward = load_ward(path)
    async with open_house_on(
        ward,
        state=ward.state,
        clock=clock,
        ids=ids,
        functions=functions,
        on_progress=on_progress,
        on_submit=on_submit,
    ) as house:
        yield house


@asynccontextmanager
async def open_house_on(  # noqa: PLR0913 -- each is something that a process brings, or leaves out
    ward: Ward,
    *,
    state: Path,
    clock: Clock | None = None,
    ids: Ids | None = None,
    functions: PythonFunctions | None = None,
    on_progress: Callable[[str], None] | None = None,
    on_submit: Callable[[int], None] = lambda _thread: None,
) -> AsyncIterator[House]:
    """`open_house` on a ward that was read, its log and rows in `state`; what is installed stays its own."""
    clock, ids = clock or SystemClock(), ids or SystemIds()
    functions = functions or PythonFunctions()
    secrets = make_secrets(ward.config, ward.path)
    store = SqliteStore.open(state, origin=f"toolward/{ward.config.name}", clock=clock, ids=ids)
    store.on_submit(on_submit)
    background = Background(_report)
    kept = KeptOfMachine(ward.path, ward.state)
    signals = EgressWatch(store, Auditor(store, clock=clock, ids=ids), background=background, clock=clock)
    cages = make_cages(signals, background=background)
    bindings = [one for each in ward.bindings for one in each.all()]
    per_call = CagedTools(
        bindings,
        cages=cages,
        secrets=secrets,
        packages=Packages(ward.state, ids=ids, on_progress=on_progress),
        kept=kept,
    )

    def upstreams(hooks: UpstreamHooks) -> Upstreams:
        servers = McpUpstreams(
            [each for each in bindings if not each.kind.per_call],
            secrets=secrets,
            clock=clock,
            ids=ids,
            hooks=hooks,
            state_dir=ward.state,
            connector=VettedConnector(signals),
            cages=cages,
            kept=kept,
        )
        return RoutedUpstreams([functions, servers, per_call])

    try:
        machine = Machine(
            store=store,
            upstreams=upstreams,
            secrets=secrets,
            clock=clock,
            ids=ids,
            functions=functions,
            refusals=signals.refusals,
            images=CagedImages(cages, kept=kept),
            sources=StrangersSources(Fetching(VettedConnector(signals), tls=ssl.create_default_context)),
        )
        async with _standing(ward, machine, on_progress) as house:
            yield house
    finally:
        await cages.close()
        await background.drain()
        await store.close()


@asynccontextmanager
async def _standing(
    ward: Ward, machine: Machine, on_progress: Callable[[str], None] | None
) -> AsyncIterator[House]:
    """The house on its machine, closed before what it stands on."""
    house = await Builder(ward, machine).build(on_progress)
    try:
        yield house
    finally:
        await close_house(house)


def _report(error: BaseException) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "what left a cage could not be written down", "exception": error}
    )


__all__ = ["House", "open_house"]
