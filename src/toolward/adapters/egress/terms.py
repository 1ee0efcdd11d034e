"""What all connections of one proxy share: its grants, its limits, and what was used up so far."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from toolward.adapters.egress.bounds import RECORD_TIMEOUT_S, EgressLimits
from toolward.adapters.egress.connecting import GRANT_TOOL, GRANT_TOOL_PRIVATE, UNRECORDED, vet
from toolward.model.egress import Destination, EgressCode, Grant, Refusal, Whose
from toolward.ports.egress import EgressEvent, EgressRefused, EgressSignals, Resolver
from toolward.rules.egress.destination import granted


@dataclass(slots=True)
class Spent:
    """Bytes to and from one destination, all connections together."""

    bytes_out: int = 0
    bytes_in: int = 0


@dataclass(slots=True, kw_only=True)
class Terms:
    """One for each proxy. Budgets are booked before bytes move, so that connections can not race for them."""

    grants: Sequence[Grant]
    whose: Whose
    signals: EgressSignals
    resolver: Resolver
    limits: EgressLimits
    spent: dict[Destination, Spent] = field(default_factory=dict)
    deaf: bool = False  # a record was lost, so nothing more goes out

    async def admit(self, destination: Destination) -> tuple[str, ...]:
        """The addresses that may be dialled. Raises `EgressRefused`; only what is granted is resolved."""
        grant = granted(destination, self.grants, remedy=GRANT_TOOL)
        if isinstance(grant, Refusal):
            raise EgressRefused(grant)
        if destination not in self.spent:
            if len(self.spent) >= self.limits.destinations_max:
                text = f"more than {self.limits.destinations_max} destinations"
                raise EgressRefused(Refusal(EgressCode.OVER_BUDGET, text, "reach fewer hosts in one call"))
            self.spent[destination] = Spent()
        self.check(destination)
        return await vet(destination, grant, resolver=self.resolver, remedy=GRANT_TOOL_PRIVATE)

    def check(self, destination: Destination) -> None:
        """Raises `EgressRefused` when nothing more may be exchanged with `destination`."""
        spent = self.spent[destination]
        if spent.bytes_out >= self.limits.out_bytes_max or spent.bytes_in >= self.limits.in_bytes_max:
            raise EgressRefused(_over_budget(destination, self.limits))

    def book_out(self, destination: Destination, size: int) -> None:
        """Raises `EgressRefused` instead of letting `size` more bytes out."""
        spent = self.spent[destination]
        if spent.bytes_out + size > self.limits.out_bytes_max:
            raise EgressRefused(_over_budget(destination, self.limits))
        spent.bytes_out += size

    def book_in(self, destination: Destination, size: int) -> None:
        """Raises `EgressRefused` instead of letting `size` more bytes in."""
        spent = self.spent[destination]
        if spent.bytes_in + size > self.limits.in_bytes_max:
            raise EgressRefused(_over_budget(destination, self.limits))
        spent.bytes_in += size

    async def judged(self, event: EgressEvent) -> None:
        """Tell what was decided, and wait until that is durable.

        Raises `EgressRefused` if it was an allowance and could not be written down in time.
        """
        try:
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                await self.signals.judged(event)
        except asyncio.CancelledError:
            if event.allowed:  # the record may be under way, and nothing follows it
                self.ended(replace(event, code=EgressCode.CLOSED))
            raise
        except Exception as wrong:
            self.deaf = True
            if event.allowed:
                raise EgressRefused(UNRECORDED) from wrong

    def ended(self, event: EgressEvent) -> None:
        """Tell how a connection ended. When nobody can be told, it was the last one."""
        try:
            self.signals.ended(event)
        except Exception:  # noqa: BLE001 -- whatever it is: no record, no further action
            self.deaf = True


def _over_budget(destination: Destination, limits: EgressLimits) -> Refusal:
    return Refusal(
        EgressCode.OVER_BUDGET,
        f"{destination} has had its {limits.out_bytes_max} bytes out or {limits.in_bytes_max} bytes in",
        "exchange less in one call, or ask the operator for a larger budget",
    )
