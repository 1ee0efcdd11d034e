"""What a door hands to the corridor: strictly parsed, authenticated, not yet admitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from toolward.model.call import Action, Era
from toolward.model.principal import Principal

IDEMPOTENCY_META: Final = "dev.toolward/idempotencyKey"
"""In `_meta` of `tools/call`: the caller's own name for this effect, so that it happens once."""

CONFIDENCE_META: Final = "dev.toolward/confidence"
"""In `_meta`: how sure the agent says that it is of what it does, a number of 0 to 1."""
PATH_META: Final = "dev.toolward/path"
"""In `_meta`: `secure`, where the host wants the call on the secure path wherever it would go."""


class Attempt(Struct, frozen=True, kw_only=True):
    """`params` are the JSON-RPC params as `rules.canonical.parse_strict` gave them, `_meta` included.

    `server` is "" at the aggregated endpoint, where tool and prompt names are `server__name`, and the
    upstream's name at its own endpoint, where names are the upstream's.
    """

    principal: Principal
    session_id: str
    action: Action
    params: Mapping[str, Any]
    server: str = ""
    era: Era = Era.HANDSHAKE
    door: str = "http"
    released: str = ""  # set by the kernel alone: the approval or escrow that lets a suspended call go on
    undo_of: str = ""  # set by the kernel alone: the call that this one undoes
    held_in: str = ""  # set by the kernel alone: the step in which a call was let through, to be held
    stands_in_for: str = ""  # set by the kernel alone: the tool whose circuit is open
