"""A caller that can not be asked anything: for calls made by people and by the library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import Denied, ReasonCode
from toolward.model.call import Era


class QuietExchange:
    """`ports.upstream.Exchange` without a client behind it."""

    @property
    def era(self) -> Era:
        """The current era."""
        return Era.STATELESS

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """None."""
        return {}

    @property
    def patience_s(self) -> float:
        """None: whoever calls so asks again when it suits."""
        return 0.0

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nobody listens."""

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nobody answers."""
        del params
        raise Denied(f"nobody here can answer `{method}`", code=ReasonCode.REQUEST_NOT_ACCEPTED)
