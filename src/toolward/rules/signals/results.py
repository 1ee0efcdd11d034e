"""What should be known of a result: credentials make it confidential, whatever its manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from toolward.rules.signals.links import links_in
from toolward.rules.signals.scanning import scan
from toolward.rules.signals.texts import text_of


class ResultSigns(Struct, frozen=True, kw_only=True):
    """`secrets` are the texts themselves, for the session's memory and for nothing that is written down."""

    secrets: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    images: int = 0  # with room for data in their addresses
    links: int = 0  # … of links that are none

    def as_json(self) -> dict[str, Any]:
        """What a record says of it; empty when there is nothing to say."""
        said = {"kinds": list(self.kinds), "images": self.images, "links": self.links}
        return {name: value for name, value in said.items() if value}


_NONE = ResultSigns()


def look_at_result(result: Mapping[str, Any], body: bytes) -> ResultSigns:
    """The signs of a result; `body` is its JSON."""
    text = text_of(result, body)
    found, links = scan(text), [link for link in links_in(text) if link.carries]
    if not found and not links:
        return _NONE
    return ResultSigns(
        secrets=tuple(one.text for one in found if not one.personal),
        kinds=tuple(sorted({one.kind for one in found})),
        images=sum(link.image for link in links),
        links=sum(not link.image for link in links),
    )
