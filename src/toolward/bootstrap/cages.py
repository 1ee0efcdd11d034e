"""The sandbox and the ways out of its cages, wired together."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace

from toolward.adapters.egress.proxy import EgressProxy
from toolward.adapters.sandboxes.caged import CagedSandbox
from toolward.adapters.sandboxes.probing import probe
from toolward.adapters.sandboxes.settings import Settings
from toolward.adapters.sandboxes.wasm import WasmSandbox
from toolward.errors import SandboxUnavailable
from toolward.kernel.cages.cages import SharedCages
from toolward.kernel.tasks import Background
from toolward.model.capability import IsolationLevel
from toolward.model.egress import Grant, Whose
from toolward.ports.egress import EgressSignals, WayOut
from toolward.ports.sandbox import Sandbox


def make_cages(signals: EgressSignals, *, background: Background) -> SharedCages:
    """Nothing is started before a tool of this machine is."""

    async def way_out(listener: socket.socket, grants: Sequence[Grant], whose: Whose) -> WayOut:
        proxy = EgressProxy(grants, whose=whose, signals=signals)
        try:
            await proxy.serve(listener)
        except BaseException:
            listener.close()
            raise
        return proxy

    return SharedCages(strongest_sandbox, way_out, wasm=wasm_sandbox, background=background)


async def strongest_sandbox() -> Sandbox:
    """The strongest sandbox that this host reaches. Raises `SandboxUnavailable` where it reaches none."""
    settings = Settings()
    best = (await probe(settings)).best
    if best is IsolationLevel.NONE:
        raise SandboxUnavailable(
            "no cage can be made on this host, so its tools are not started",
            remedy="`toolward doctor` says what is missing and how to get it; `unsafe_no_sandbox: true` "
            "on an stdio server runs it without",
        )
    return await CagedSandbox.open(replace(settings, tier=best))


async def wasm_sandbox() -> Sandbox:
    """What runs WebAssembly. Raises `SandboxUnavailable` where the extra is not installed."""
    return WasmSandbox()
