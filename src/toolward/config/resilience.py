"""The `resilience:` sections of `toolward.yaml` and `tools/*.yaml`, and what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import asdict

from toolward.config import limits
from toolward.config.section import Section
from toolward.model.resilience import Limits, ResilienceSettings

Failures = Annotated[int, Meta(ge=1, le=20, description="Failures in a row that open its circuit.")]
Percent = Annotated[int, Meta(ge=1, le=100, description="Of the last 20 calls, that open it too.")]
OpenSeconds = Annotated[int, Meta(ge=1, le=3_600, description="How long it stays open the first time.")]
Places = Annotated[int, Meta(ge=1, le=limits.CALLS_IN_FLIGHT_MAX, description="Calls at a time.")]
Waiting = Annotated[
    int, Meta(ge=0, le=limits.CALLS_IN_FLIGHT_MAX, description="Calls that may wait for a place.")
]
WaitMilliseconds = Annotated[int, Meta(ge=1, le=60_000, description="How long they may wait.")]
Retries = Annotated[int, Meta(ge=0, le=5, description="Of one call, where its effect allows any.")]


class ResilienceConfig(Section, frozen=True):
    """When the gateway steps back from a server or a tool; for the whole ward."""

    failures: Failures = limits.CIRCUIT_FAILURES
    failed_percent: Percent = limits.CIRCUIT_FAILED_PERCENT
    open_s: OpenSeconds = limits.CIRCUIT_OPEN_S
    open_max_s: Annotated[int, Meta(ge=1, le=86_400, description="However often it opened.")] = (
        limits.CIRCUIT_OPEN_MAX_S
    )
    in_flight: Annotated[Places, Meta(description="Calls of one server at a time.")] = limits.SERVER_CALLS_MAX
    in_flight_each_tool: Annotated[Places, Meta(description="Calls of one tool at a time.")] = (
        limits.TOOL_CALLS_MAX
    )
    queue: Waiting = limits.CALLS_QUEUED_MAX
    queue_wait_ms: WaitMilliseconds = limits.QUEUE_WAIT_MS
    retries: Retries = limits.RETRIES
    retry_percent: Annotated[int, Meta(ge=0, le=100, description="Of a server's calls: all its retries.")] = (
        limits.RETRY_PERCENT
    )
    lag_max_ms: Annotated[
        int,
        Meta(ge=10, le=60_000, description="Of the gateway's own loop; past it, fewer calls are taken."),
    ] = limits.LOOP_LAG_MAX_MS


class ServerLimits(Section, frozen=True):
    """Of one server; what is left out, the ward says."""

    failures: Failures | None = None
    failed_percent: Percent | None = None
    open_s: OpenSeconds | None = None
    in_flight: Places | None = None
    queue: Waiting | None = None
    queue_wait_ms: WaitMilliseconds | None = None
    retries: Retries | None = None


class ToolLimits(ServerLimits, frozen=True):
    """Of one tool; what is left out, its server's file says, then the ward."""

    fallback: Annotated[
        str,
        Meta(description="`server/tool` that may stand in.", examples=["backup-weather/now"]),
    ] = ""


Said = tuple[str, ServerLimits, Mapping[str, ToolLimits]]
"""A server, what its file says of it, and of each of its tools."""


def to_settings(config: ResilienceConfig, files: Iterable[Said]) -> ResilienceSettings:
    """What the ward says, for each server and tool that says something of its own."""
    server = asdict(config)
    lag_max_ms = server.pop("lag_max_ms")
    tool = {**server, "in_flight": server.pop("in_flight_each_tool")}
    del tool["in_flight_each_tool"]
    own: dict[str, Limits] = {}
    fallbacks: dict[str, str] = {}
    for name, of_server, tools in files:
        said = _said(of_server)
        if said:
            own[name] = Limits(**{**server, **said})
        # a server that takes one call at a time says nothing of how its tools share that place
        below = {key: value for key, value in said.items() if key not in ("in_flight", "queue")}
        for each, of_tool in tools.items():
            more = _said(of_tool)
            if (fallback := more.pop("fallback", "")) != "":
                fallbacks[f"{name}/{each}"] = fallback
            if below or more:
                own[f"{name}/{each}"] = Limits(**{**tool, **below, **more})
    return ResilienceSettings(
        server=Limits(**server), tool=Limits(**tool), own=own, fallbacks=fallbacks, lag_max_ms=lag_max_ms
    )


def _said(section: ServerLimits) -> dict[str, Any]:
    return {name: value for name, value in asdict(section).items() if value not in (None, "")}
