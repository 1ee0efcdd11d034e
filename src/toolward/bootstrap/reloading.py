"""Which servers may become others while the gateway runs: those whose tools run per call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from toolward.config.ward import CONFIG_FILE, Ward
from toolward.errors import WardError
from toolward.model.server import ServerBinding

Prepare = Callable[[Sequence[ServerBinding]], Awaitable[Callable[[], None]]]
"""Reads what servers are to be; the answer puts them in force. Raises `ToolwardError`: nothing changed."""


async def nothing_changes(bindings: Sequence[ServerBinding]) -> Callable[[], None]:
    """`Prepare` where no server can become another one."""
    if bindings:
        raise _restart(bindings[0].server)
    return lambda: None


def changed_servers(before: Ward, after: Ward) -> tuple[ServerBinding, ...]:
    """The servers that are others now. Raises `WardError` for a change that needs a restart.

    A process that runs was started with what its server was; nothing of a tool that runs per call outlives
    a call.
    """
    old = {each.server: each for each in before.bindings}
    new = {each.server: each for each in after.bindings}
    for server in sorted(set(old) ^ set(new)):
        raise _restart(server)
    changed = tuple(each for name, each in new.items() if each != old[name])
    for each in changed:
        if not all(one.kind.per_call for one in (*each.all(), *old[each.server].all())):
            raise _restart(each.server)
    return changed


def _restart(server: str) -> WardError:
    return WardError(
        f"the server `{server}` was added, removed or changed",
        file=CONFIG_FILE,
        remedy="restart `toolward up`",
    )
