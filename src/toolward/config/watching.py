"""The `watch:` section of `toolward.yaml`: what is looked at beside the calls, and when it is said."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from toolward.config.section import Section


class OnDrift(StrEnum):
    """What is done when a tool's results are no longer like its baseline."""

    TELL = "tell"  # a record and an incident
    QUARANTINE = "quarantine"


class WatchConfig(Section, frozen=True):
    """What is looked at beside the calls."""

    contracts_every_s: Annotated[
        int, Meta(ge=10, le=86_400, description="How often every contract is tried.")
    ] = 900
    compare_fallbacks_h: Annotated[
        int,
        Meta(ge=0, le=8_760, description="Hours between comparisons of tools with their fallbacks; 0: none."),
    ] = 24
    stale_unreachable_h: Annotated[
        int, Meta(ge=1, le=8_760, description="Hours after which a tool nobody can reach is stale.")
    ] = 24
    stale_unused_days: Annotated[
        int, Meta(ge=1, le=3_650, description="Days after which a tool nobody uses is stale.")
    ] = 90
    results_baseline: Annotated[
        int, Meta(ge=20, le=100_000, description="Results after approval that a tool's baseline is made of.")
    ] = 200
    results_every: Annotated[
        int, Meta(ge=0, le=100_000, description="One of how many results is looked at; 0: none.")
    ] = 4
    on_result_drift: OnDrift = OnDrift.TELL
