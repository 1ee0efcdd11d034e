"""Pins as the store keeps them."""

from __future__ import annotations

import orjson

from toolward.model.tool import ToolState
from toolward.rules.canonical import canonical
from toolward.rules.lifecycle import Pin


def pin_to_json(pin: Pin) -> bytes:
    """Canonical bytes for the store."""
    return canonical(
        {
            "server": pin.server,
            "name": pin.name,
            "digest": pin.digest,
            "state": pin.state.value,
            "candidate": pin.candidate,
            "approved_by": pin.approved_by,
            "since_ns": str(pin.since_ns),
        }
    )


def pin_from_json(body: bytes) -> Pin:
    """The inverse of `pin_to_json`."""
    value = orjson.loads(body)
    return Pin(
        server=value["server"],
        name=value["name"],
        digest=value["digest"],
        state=ToolState(value["state"]),
        candidate=value["candidate"],
        approved_by=value["approved_by"],
        since_ns=int(value["since_ns"]),
    )
