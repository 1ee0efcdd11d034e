"""The known-good state that one can name and return to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Everything that decides: the ward's files, and which version each channel serves."""

    files: Mapping[str, bytes]  # relative path -> content
    pins: Mapping[str, str]  # "channel/server/name" -> version digest
