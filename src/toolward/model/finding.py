"""What looks wrong about a tool's definition: said to people, never a decision by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    """How much it takes to serve the tool all the same."""

    NOTE = "note"  # worth a look
    WARN = "warn"  # to be read before anybody approves
    BLOCK = "block"  # approved only by a person who says that it was seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found. `id` is stable; `text` is safe to print: what can not be seen is escaped."""

    id: str
    severity: Severity
    where: str  # JSON pointer into the definition
    text: str
    remedy: str

    def as_json(self) -> dict[str, Any]:
        """For records, the desk and people."""
        return {
            "id": self.id,
            "severity": self.severity.value,
            "where": self.where,
            "text": self.text,
            "remedy": self.remedy,
        }


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """`findings` by severity, otherwise in their order."""
    return tuple(sorted(findings, key=lambda each: -_GRAVITY[each.severity]))


_GRAVITY: Final = {severity: gravity for gravity, severity in enumerate(Severity)}
