"""What only a person may do."""

from __future__ import annotations

from toolward.errors import ReasonCode, Rejected
from toolward.model.principal import Principal


def require_person(by: Principal) -> None:
    """Raise `Rejected` when `by` showed no person's own credential."""
    if not by.is_person:
        raise Rejected(
            "only a person's own credential may do that",
            code=ReasonCode.UNAUTHENTICATED,
            remedy="use the command line as yourself, not an agent's key",
        )
