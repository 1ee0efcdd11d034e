"""The part of `toolward.yaml` that says what agents are shown, and where tools are found at run time."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from toolward.config.section import Section
from toolward.model.face import Face
from toolward.model.found import Admission
from toolward.model.tool import Effect

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
SourceId = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]


class ResultConfidentiality(StrEnum):
    """Who may read the results of found tools."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"


class SessionBudgetConfig(Section, frozen=True):
    """What one session may use up of a source."""

    calls: Count = 50
    bytes_out: Annotated[Count, Meta(description="Bytes of arguments.")] = 64 * 1024
    destinations: Annotated[Count, Meta(description="Different hosts and addresses.")] = 8
    time_s: Annotated[Count, Meta(description="Seconds of running, all calls together.")] = 300


class DayBudgetConfig(Section, frozen=True):
    """What all sessions together may use up of a source in one day (UTC)."""

    calls: Count = 2_000
    bytes_out: Annotated[Count, Meta(description="Bytes of arguments.")] = 4 * 1024 * 1024
    destinations: Annotated[Count, Meta(description="Different hosts and addresses.")] = 100
    time_s: Annotated[Count, Meta(description="Seconds of running, all calls together.")] = 7_200


class SourceConfig(Section, frozen=True):
    """A source of servers: exactly one of `registry`, `directory` and `proposals`."""

    registry: Annotated[
        str,
        Meta(
            description="Base URL of an MCP registry; `/v0/servers` is asked.",
            examples=["https://registry.example.org"],
        ),
    ] = ""
    directory: Annotated[str, Meta(description="With `*.json`: server descriptions or client entries.")] = ""
    proposals: Annotated[bool, Meta(description="What agents propose, where policy lets them.")] = False
    admit: Annotated[Admission, Meta(description="A person one by one, or you now for all of it.")] = (
        Admission.BY_HAND
    )
    effect_ceiling: Annotated[
        Effect, Meta(description="No tool that does more is called. Remote servers need `read_only`.")
    ] = Effect.READ_ONLY
    results: Annotated[
        ResultConfidentiality, Meta(description="How confidential they are; untrusted they always are.")
    ] = ResultConfidentiality.INTERNAL
    private_network: Annotated[
        bool, Meta(description="The registry and what it names may be in your own network.")
    ] = False
    servers_max: Annotated[int, Meta(ge=1, le=1_000, description="Past this it is not read on.")] = 50
    every_s: Annotated[int, Meta(ge=60, le=7 * 86_400, description="Seconds between two looks.")] = 3_600
    session_budget: SessionBudgetConfig = SessionBudgetConfig()
    day_budget: DayBudgetConfig = DayBudgetConfig()


class DiscoveryConfig(Section, frozen=True):
    """How tools are shown and found."""

    face: Annotated[
        Face,
        Meta(description="What agents see: every tool (`list`), meta-tools that search (`search`), or both."),
    ] = Face.LIST
    sources: Annotated[
        dict[SourceId, SourceConfig], Meta(description="Where servers are found at run time.")
    ] = msgspec.field(default_factory=dict)
