"""The part of `toolward.yaml` that says what agents are shown, and where tools are found at run time."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from toolward.config.section import Section
from toolward.model.face import Face


class DiscoveryConfig(Section, frozen=True):
    """How tools are shown and found."""

    face: Annotated[
        Face,
        Meta(description="What agents see: every tool (`list`), meta-tools that search (`search`), or both."),
    ] = Face.LIST
