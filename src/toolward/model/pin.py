"""What a channel serves for one tool, and what it served before."""

from __future__ import annotations

from dataclasses import dataclass

from toolward.model.tool import ToolState


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A time in which a channel served a version to new sessions. Times are UTC nanoseconds.

    `canary` names the canary that it was part of: then it is a `share` (per cent) of the sessions that
    were opened in it, and `copies` (per cent) of the reads of the others were run with it too. `withdrawn`:
    the version was quarantined or revoked, and serves no session any more.
    """

    digest: str
    since_ns: int
    until_ns: int = 0  # 0: it still is
    canary: str = ""
    share: int = 100
    copies: int = 0
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What a channel serves for one tool. `candidate` is the newest other version that was seen."""

    server: str
    name: str
    digest: str
    state: ToolState
    candidate: str = ""
    offers: tuple[str, ...] = ()  # versions that other variants of the server list, one for each
    approved_by: str = ""
    since_ns: int = 0  # of this state
    served_ns: int = 0  # since when new sessions are served this version; 0: never
    history: tuple[Stretch, ...] = ()  # what it served before, the newest last
    canary: Stretch | None = None  # what a share of the new sessions is served instead
    formerly: str = ""  # `server/name` of a tool that is described by the same words: its earlier name
    successor: str = ""  # of a deprecated tool, as `server/name`

    @property
    def key(self) -> str:
        """`server/name`."""
        return f"{self.server}/{self.name}"

    def served_once(self, digest: str) -> bool:
        """Whether some session may have been served that version beside the present one."""
        canary = self.canary is not None and self.canary.digest == digest
        return canary or any(each.digest == digest for each in self.history)

    def names(self) -> frozenset[str]:
        """The digests of all versions that it points to."""
        found = {self.digest, self.candidate, *self.offers, *(each.digest for each in self.history)}
        if self.canary is not None:
            found.add(self.canary.digest)
        return frozenset(found - {""})
