"""Sending messages to places outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One HTTP POST. `private_network`: the name may lead to private addresses."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    private_network: bool = False


class Outbox(Protocol):
    """MUST connect by the egress control's judgement, MUST NOT follow redirects, MUST end within a bound."""

    async def post(self, message: Message) -> int:
        """The status of the answer, whose body is not read. Raises `OSError` when none came.

        Raises `EgressRefused` for a destination that nothing may connect to.
        """
        ...
