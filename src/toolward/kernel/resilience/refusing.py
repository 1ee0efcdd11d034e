"""What a caller is told that may not go on now."""

from __future__ import annotations

from toolward.errors import CircuitOpen, Overloaded

RETRY_AFTER = "retry_after_s"
"""In a refusal's details: whole seconds."""
FALLBACK = "fallback"
"""In a refusal's details: the tool that the operator named to stand in."""


def circuit_open(key: str, *, alone: bool, wait_s: int, tool: str, fallback: str) -> CircuitOpen:
    """A circuit is open; `alone` where it is this caller's own."""
    whose = "your calls of" if alone else "calls of"
    remedy = f"use {fallback} meanwhile" if fallback else "go on with something else meanwhile"
    details = [(RETRY_AFTER, str(wait_s)), ("circuit", key), ("tool", tool)]
    return CircuitOpen(
        f"{whose} {key} failed one after the other, so none is made for {wait_s} s",
        remedy=f"{remedy}, or try again after {wait_s} s",
        details=(*details, *([(FALLBACK, fallback)] if fallback else [])),
    )


def no_place(key: str, *, running: int, wait_ms: int) -> Overloaded:
    """Every place is taken, and so is every place to wait."""
    return Overloaded(
        f"{running} calls of {key} are in flight, as many as it may have, and others wait already",
        remedy="try again later",
        details=((RETRY_AFTER, str(max(1, wait_ms // 1000))),),
    )


def no_place_in_time(key: str, *, wait_ms: int) -> Overloaded:
    """No place became free."""
    return Overloaded(
        f"{key} has as many calls in flight as it may have, and none ended within {wait_ms} ms",
        remedy="try again later",
        details=((RETRY_AFTER, str(max(1, wait_ms // 1000))),),
    )
