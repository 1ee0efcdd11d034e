"""Which servers become others while the gateway runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolward.model.server import ServerBinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Servers that are new or others now, and those that are gone."""

    taken: tuple[ServerBinding, ...]
    dropped: tuple[str, ...]

    @property
    def servers(self) -> tuple[str, ...]:
        """All whose definitions have to be looked at again."""
        return (*(each.server for each in self.taken), *self.dropped)


def changed_servers(before: Sequence[ServerBinding], after: Sequence[ServerBinding]) -> Changes:
    """What lies between two sets of servers; a variant is a server of its own here."""
    old, new = (
        {one.server: replace(one, variants={}) for each in bindings for one in each.all()}
        for bindings in (before, after)
    )
    return Changes(
        taken=tuple(each for name, each in new.items() if each != old.get(name)),
        dropped=tuple(name for name in old if name not in new),
    )
