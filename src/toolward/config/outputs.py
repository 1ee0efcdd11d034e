"""The `output:` section of an entry: how its results are held to the tool's own output schema."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from toolward.config.section import Section
from toolward.model.tool import Repair


class OutputConfig(Section, frozen=True):
    """Results that do not fit are not released; `{}` declares no repair."""

    repair: Annotated[
        tuple[Repair, ...],
        Meta(description="Tried in this order where a result does not fit; each is on record."),
    ] = ()
