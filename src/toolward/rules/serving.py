"""Which version a session is served: what its channel served when it was opened. Pure.

Pins move while sessions run. A session keeps the version that it was opened with, so that an agent does not
see a tool become another one between two calls. What was withdrawn, or can not run any more, is not kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from toolward.model.pin import Pin, Stretch
from toolward.model.tool import ToolState

HISTORY_MAX: Final = 16
"""Stretches that a pin remembers; a session that is older than all of them is served the present version."""
KEPT_S: Final = 7 * 86_400
"""How long sessions keep a version that is not served any more: policies have to fit it for so long."""
_SHARES: Final = 10_000


def version_for(pin: Pin, session_id: str, opened_ns: int, *, now_ns: int) -> str:
    """The digest of the version that a session opened then is served."""
    stretches = pin.history if pin.canary is None else (*pin.history, pin.canary)
    for each in reversed(stretches):
        opened_in = each.since_ns <= opened_ns and (not each.until_ns or opened_ns < each.until_ns)
        if opened_in and is_kept(each, now_ns) and in_share(each, session_id):
            return each.digest
    return pin.digest


def is_kept(stretch: Stretch, now_ns: int) -> bool:
    """Whether the sessions that were opened in it may still be served its version."""
    young = not stretch.until_ns or now_ns - stretch.until_ns < KEPT_S * 1_000_000_000
    return young and not stretch.withdrawn


def in_share(stretch: Stretch, session_id: str) -> bool:
    """Whether a session belongs to the share of a canary: by a hash, so always the same."""
    if not stretch.canary:
        return True
    digest = hashlib.sha256(f"{stretch.canary} {session_id}".encode()).digest()
    return int.from_bytes(digest[:8]) % _SHARES < stretch.share * _SHARES // 100


def moved(
    pin: Pin, digest: str, state: ToolState, *, now_ns: int, runs: bool = True, withdraw: bool = False
) -> Pin:
    """The pin once its channel serves `digest` to new sessions; what it served is remembered.

    `runs` is false when what it served can not run any more. `withdraw`: sessions that have what it served
    are served the new version too; of what was quarantined or revoked that is always so.
    """
    served_ns = now_ns if state.stands else 0
    if pin.digest == digest:
        return replace(pin, state=state, since_ns=now_ns, served_ns=pin.served_ns or served_ns)
    withdraw = withdraw or pin.state in (ToolState.QUARANTINED, ToolState.REVOKED)
    if withdraw:
        pin = withdrawn(pin, pin.digest, now_ns=now_ns)
    history = pin.history
    if pin.served_ns and runs:
        left = Stretch(digest=pin.digest, since_ns=pin.served_ns, until_ns=now_ns, withdrawn=withdraw)
        history = (*history, left)[-HISTORY_MAX:]
    return replace(pin, digest=digest, state=state, since_ns=now_ns, served_ns=served_ns, history=history)


def canary_ended(pin: Pin, *, now_ns: int) -> Pin:
    """The pin without its canary; sessions that got the candidate keep it."""
    if pin.canary is None:
        return pin
    history = (*pin.history, replace(pin.canary, until_ns=now_ns))[-HISTORY_MAX:]
    return replace(pin, history=history, canary=None)


def withdrawn(pin: Pin, digest: str, *, now_ns: int) -> Pin:
    """The pin with that version withdrawn from every session that got it before, or by a canary."""
    if pin.canary is not None and pin.canary.digest == digest:
        pin = canary_ended(pin, now_ns=now_ns)
    history = (replace(each, withdrawn=True) if each.digest == digest else each for each in pin.history)
    return replace(pin, history=tuple(history))


def earlier(pin: Pin) -> tuple[str, ...]:
    """The versions that the channel served before and that may still be served, the newest first."""
    served = [each.digest for each in reversed(pin.history) if not each.canary and not each.withdrawn]
    return tuple(digest for digest in dict.fromkeys(served) if digest != pin.digest)
