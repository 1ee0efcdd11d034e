"""What a house stands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.kernel.cages.hints import Refusals, nobody_knows
from toolward.ports.clock import Clock
from toolward.ports.hooks import RollbackHook
from toolward.ports.ids import Ids
from toolward.ports.images import Images
from toolward.ports.secrets import Secrets
from toolward.ports.sources import NoSources, Sources
from toolward.ports.store import Store
from toolward.ports.upstream import UpstreamHooks, Upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the house stands on: everything that is the world's and not ours."""

    store: Store
    upstreams: Callable[[UpstreamHooks], Upstreams]
    secrets: Secrets
    clock: Clock
    ids: Ids
    functions: PythonFunctions = field(default_factory=PythonFunctions)
    images: Images | None = None  # where before-images are taken, if that can be done here
    refusals: Refusals = nobody_knows
    sources: Sources = field(default_factory=NoSources)
    rollback_hook: RollbackHook | None = None  # else what `rollback.on` says
