"""Pins as the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.model.pin import Pin, Stretch
from toolward.model.tool import ToolState
from toolward.rules.canonical import canonical


def pin_to_json(pin: Pin) -> bytes:
    """Canonical bytes for the store."""
    return canonical(
        {
            "server": pin.server,
            "name": pin.name,
            "digest": pin.digest,
            "state": pin.state.value,
            "candidate": pin.candidate,
            "offers": list(pin.offers),
            "approved_by": pin.approved_by,
            "since_ns": str(pin.since_ns),
            "served_ns": str(pin.served_ns),
            "history": [stretch_to_json(each) for each in pin.history],
            "canary": stretch_to_json(pin.canary) if pin.canary else None,
            "successor": pin.successor,
            "formerly": pin.formerly,
        }
    )


def pin_from_json(body: bytes) -> Pin:
    """The inverse of `pin_to_json`; rows of earlier versions have no history."""
    value = orjson.loads(body)
    since_ns = int(value["since_ns"])
    canary = value.get("canary")
    return Pin(
        server=value["server"],
        name=value["name"],
        digest=value["digest"],
        state=ToolState(value["state"]),
        candidate=value["candidate"],
        offers=tuple(value.get("offers", ())),
        approved_by=value["approved_by"],
        since_ns=since_ns,
        served_ns=int(value.get("served_ns", since_ns)),
        history=tuple(stretch_from_json(each) for each in value.get("history", ())),
        canary=stretch_from_json(canary) if canary else None,
        successor=value.get("successor", ""),
        formerly=value.get("formerly", ""),
    )


def stretch_to_json(stretch: Stretch) -> dict[str, Any]:
    """Times as strings: nanoseconds pass what JSON numbers hold everywhere."""
    return {
        "digest": stretch.digest,
        "since_ns": str(stretch.since_ns),
        "until_ns": str(stretch.until_ns),
        "canary": stretch.canary,
        "share": stretch.share,
        "copies": stretch.copies,
        "withdrawn": stretch.withdrawn,
    }


def stretch_from_json(value: Mapping[str, Any]) -> Stretch:
    """The inverse of `stretch_to_json`."""
    return Stretch(
        digest=value["digest"],
        since_ns=int(value["since_ns"]),
        until_ns=int(value["until_ns"]),
        canary=value["canary"],
        share=value["share"],
        copies=value.get("copies", 0),
        withdrawn=value["withdrawn"],
    )
