"""Before-images: what lay at declared paths, taken and put back without anything else in sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Listing = Mapping[str, str]
"""Absolute path -> `f MODE SHA256`, `d MODE`, `l TARGET`; what is not there has no entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What lay at `paths`: a listing of all at and below them, and the contents of the files in it."""

    paths: tuple[str, ...]
    listing: Listing = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict, repr=False)  # path -> base64 of zlib


class Changed(Exception):
    """What lies there is neither what was found nor what is to be put back; the text names one such path."""


class Images(Protocol):
    """Takes and puts back before-images.

    MUST see only the directories that hold the paths, MUST NOT follow a link, and MUST NOT touch what lies
    outside `within`, whatever a tool puts there meanwhile. MUST refuse with `Denied` a path that is or leads
    through a link, holds a device, a socket or a pipe, or is more than `bytes_max`. Raises
    `SandboxUnavailable` where this can not be kept.
    """

    async def look(self, paths: Sequence[str], *, within: Sequence[str]) -> Listing:
        """What lies there now, by digest."""
        ...

    async def capture(self, paths: Sequence[str], *, within: Sequence[str], bytes_max: int) -> Image:
        """What lies there now, whole: files and directories with their modes, links as links."""
        ...

    async def restore(self, image: Image, *, within: Sequence[str], found: Listing) -> Listing:
        """Put the image back over what was `found`; returns what lies there then.

        Each file is replaced at once, so a crash leaves each as it was or as it is to be, and the same call
        again ends the work. Raises `Changed`, before anything is touched, when somebody else wrote there.
        """
        ...
