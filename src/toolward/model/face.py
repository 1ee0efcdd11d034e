"""What an agent is shown of the tools at the aggregated endpoint."""

from __future__ import annotations

from enum import StrEnum


class Face(StrEnum):
    """How tools are shown. What may be called is the same behind each."""

    LIST = "list"  # every tool in `tools/list`
    SEARCH = "search"  # the meta-tools alone, which search, describe and call
    BOTH = "both"

    @property
    def lists(self) -> bool:
        """Whether tools themselves stand in the list."""
        return self is not Face.SEARCH

    @property
    def searches(self) -> bool:
        """Whether there are meta-tools."""
        return self is not Face.LIST
