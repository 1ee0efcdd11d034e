"""How a version of a tool moves in a channel: a table, not a feeling.

Each row is from, occasion, to, the evidence it takes, the people it takes. The registry has no other way of
moving a pin, and `docs/lifecycle.md` is written from the table. Occasions are what a comparison with the
server finds (`Change`) and what people and the gateway do (`Act`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from toolward.model.pin import Pin
from toolward.model.tool import ToolState, ToolVersion
from toolward.rules.version import alike


class Change(StrEnum):
    """What one comparison found for one tool."""

    SAME = "same"
    NEW = "new"  # never seen under this name: proposed, never served before approval (a rename lands here)
    FOUND = "found"  # the same, listed by a source of found tools
    RENAMED = "renamed"  # the same, another name of what is quarantined or revoked
    DRIFTED = "drifted"  # the server changed it: quarantined at once
    REDESCRIBED = "redescribed"  # the operator changed the manifest: proposed, the pin goes on serving
    OFFERED = "offered"  # another variant of its server lists another version: a candidate


class Act(StrEnum):
    """What people do, or the gateway on what it has seen a tool do."""

    TEST = "test"
    APPROVE = "approve"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    DEPRECATE = "deprecate"
    MISBEHAVE = "misbehave"
    REVOKE = "revoke"
    RESTORE = "restore"


Occasion = Change | Act


class Evidence(StrEnum):
    """What has to be there before."""

    LIST = "what the server lists"
    GATE = "what the channel's gate asks for"
    BEHAVIOUR = "what a call or a probe saw it do"
    HISTORY = "that the channel served the version before"
    REVISION = "that the revision had it so"
    NONE = "none"


class People(StrEnum):
    """Who has to agree."""

    NOBODY = "nobody: at once"
    PERSON = "a person"
    PEOPLE = "a person; where the gate asks, others than who proposed it"


class Transition(NamedTuple):
    """One row. `before` is None for a tool that the channel does not know, `after` for `as it was`."""

    before: ToolState | None
    occasion: Occasion
    after: ToolState | None
    evidence: Evidence
    people: People


_S = ToolState
_KNOWN: Final = tuple(ToolState)


def _seen(
    occasion: Change, after: dict[ToolState, ToolState] | None = None, *, states: Iterable[ToolState] = _KNOWN
) -> list[Transition]:
    """A comparison's rows: the state stays as it is, unless `after` names another."""
    moved = after or {}
    return [
        Transition(state, occasion, moved.get(state, state), Evidence.LIST, People.NOBODY) for state in states
    ]


def _done(
    act: Act,
    after: ToolState | None,
    evidence: Evidence,
    people: People,
    *,
    states: Iterable[ToolState | None],
) -> list[Transition]:
    return [Transition(state, act, after, evidence, people) for state in states]


TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(None, Change.FOUND, _S.DISCOVERED, Evidence.LIST, People.NOBODY),
    Transition(None, Change.NEW, _S.PROPOSED, Evidence.LIST, People.NOBODY),
    Transition(None, Change.RENAMED, _S.QUARANTINED, Evidence.LIST, People.NOBODY),
    *_seen(Change.SAME),
    # what was tested or found harmless was another version; what people stand for is held until they look
    *_seen(
        Change.DRIFTED,
        {
            _S.DISCOVERED: _S.QUARANTINED,
            _S.TESTED: _S.PROPOSED,
            _S.APPROVED: _S.QUARANTINED,
            _S.DEPRECATED: _S.QUARANTINED,
        },
    ),
    *_seen(Change.REDESCRIBED, {_S.TESTED: _S.PROPOSED}),
    *_seen(Change.OFFERED),
    *_done(Act.TEST, _S.TESTED, Evidence.GATE, People.NOBODY, states=(_S.PROPOSED, _S.TESTED)),
    *_done(
        Act.APPROVE,
        _S.APPROVED,
        Evidence.GATE,
        People.PEOPLE,
        states=_KNOWN,  # by a person who looked, whatever it was before
    ),
    *_done(Act.PROMOTE, _S.APPROVED, Evidence.GATE, People.PEOPLE, states=(None, *_KNOWN)),
    *_done(
        Act.ROLL_BACK,
        _S.APPROVED,
        Evidence.HISTORY,
        People.PERSON,
        states=(_S.APPROVED, _S.DEPRECATED, _S.QUARANTINED),
    ),
    *_done(
        Act.DEPRECATE,
        _S.DEPRECATED,
        Evidence.NONE,
        People.PERSON,
        states=(_S.APPROVED, _S.DEPRECATED),
    ),
    *_done(
        Act.MISBEHAVE,
        _S.QUARANTINED,
        Evidence.BEHAVIOUR,
        People.NOBODY,
        states=(_S.DISCOVERED, _S.APPROVED, _S.DEPRECATED),
    ),
    *_done(Act.REVOKE, _S.REVOKED, Evidence.NONE, People.PERSON, states=_KNOWN),
    *_done(Act.RESTORE, None, Evidence.REVISION, People.PERSON, states=_KNOWN),
)
"""Only a person leads out of quarantine or revocation; a server that changes back does not."""

_NEXT: Final = {(each.before, each.occasion): each for each in TRANSITIONS}


def transition(state: ToolState | None, occasion: Occasion) -> Transition | None:
    """The row for a tool in `state` (None: not known in this channel); None where there is no such way."""
    return _NEXT.get((state, occasion))


def next_state(state: ToolState, change: Change) -> ToolState:
    """Where a comparison leads a known tool."""
    return _NEXT[state, change].after or state


def compare(pin: Pin | None, pinned: ToolVersion | None, seen: ToolVersion) -> Change:
    """Which change it is. Definition and binding belong to the server, the manifest to the operator."""
    if pin is None or pinned is None:
        return Change.NEW
    if alike(pinned, seen):
        return Change.SAME if pinned.digest == seen.digest else Change.REDESCRIBED
    return Change.DRIFTED
