"""Sources of servers, read at run time."""

from __future__ import annotations

from typing import Protocol

from typing_extensions import override

from toolward.model.found import Reading, Source


class Sources(Protocol):
    """Reads what sources say. What comes back is a stranger's word, bounded and of the right shape.

    MUST connect by the egress control's judgement, MUST NOT follow redirects, MUST end within a bound of
    time, pages and bytes whatever the source answers, MUST NOT read on past `servers_max` servers.
    """

    async def read(self, source: Source) -> Reading:
        """All that it names now. Raises `ToolFailed` where nothing of it can be read, with why."""
        ...


class NoSources(Sources):
    """Nothing is read."""

    @override
    async def read(self, source: Source) -> Reading:
        return Reading()
