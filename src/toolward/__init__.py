"""toolward: a gateway between AI agents and their tools.

`toolward.open(WARD)` gives the corridor in this process; see `toolward.doors.python` for an example.
What this module does not name is private.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolward.errors import (
    BadArguments,
    CallerError,
    Denied,
    GatewayError,
    Pending,
    PolicyError,
    Rejected,
    ToolFailed,
    ToolwardError,
    UnknownTool,
    WardError,
)

if TYPE_CHECKING:
    from toolward.doors.python import OpenWard
    from toolward.doors.python_sync import SyncWard

__version__ = "0.1.0"


@asynccontextmanager
async def open(  # noqa: A001 -- read as `toolward.open`
    ward: Path | str, *, functions: Iterable[Callable[..., Any]] = ()
) -> AsyncIterator[OpenWard]:
    """Open a ward for this process alone and give its Python face.

    `functions` become tools of the server `python`; like every tool they serve only after a person
    approved them. Raises `WardError` when the files are wrong or another process has the ward open.
    """
    # Imported here, so that `import toolward` for its errors alone stays light.
    from toolward.adapters.tools.python_functions import PythonFunctions  # noqa: PLC0415
    from toolward.bootstrap import open_house  # noqa: PLC0415
    from toolward.doors.python import OpenWard  # noqa: PLC0415

    registered = PythonFunctions()
    for function in functions:
        registered.register(function)
    async with open_house(ward, functions=registered) as house:
        _ = house.background.start(house.parts.safeguards.releases.keep())
        _ = house.background.start(house.pruning.run(house.background.tell))
        yield OpenWard(house)


def open_sync(
    ward: Path | str, *, functions: Iterable[Callable[..., Any]] = ()
) -> AbstractContextManager[SyncWard]:
    """`open` for code without an event loop."""
    from toolward.doors.python_sync import run_in_thread  # noqa: PLC0415

    return run_in_thread(open(ward, functions=functions))


__all__ = [
    "BadArguments",
    "CallerError",
    "Denied",
    "GatewayError",
    "Pending",
    "PolicyError",
    "Rejected",
    "ToolFailed",
    "ToolwardError",
    "UnknownTool",
    "WardError",
    "__version__",
    "open",
    "open_sync",
]
