"""`ports.images.Images` in cages: a function of ours that sees the paths' directories and nothing else."""

from __future__ import annotations

import inspect
import os
import posixpath
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from toolward.adapters.images import inside
from toolward.errors import Denied, ReasonCode, SandboxUnavailable
from toolward.model.capability import Capabilities, Kept, Limits, PathAccess, PathCapability
from toolward.model.egress import Whose
from toolward.ports.cages import Cages
from toolward.ports.images import Changed, Image, Images, Listing
from toolward.ports.sandbox import Ended, PythonJob, PythonSource, Raised, Stopped, Value
from toolward.rules.capability import scope_of

_INSIDE: Final = inspect.getsource(inside)
_WHOSE: Final = Whose(server="before-image:")
_LIMITS: Final = Limits(
    cpu_s=60, memory_bytes=1 << 30, output_bytes=64 * 1024 * 1024, file_bytes=64 * 1024 * 1024
)
"""The largest before-image as base64, and its listing."""


class CagedImages(Images):
    """`kept` is the gateway's own, as in `scope_of`."""

    def __init__(self, cages: Cages, *, kept: Callable[[], Kept]) -> None:
        self._cages = cages
        self._kept = kept

    @override
    async def look(self, paths: Sequence[str], *, within: Sequence[str]) -> Listing:
        found = await self._take(paths, within, bytes_max=-1)
        return _texts(found.get("listing"))

    @override
    async def capture(self, paths: Sequence[str], *, within: Sequence[str], bytes_max: int) -> Image:
        found = await self._take(paths, within, bytes_max=bytes_max)
        return Image(
            paths=tuple(paths),
            listing=_texts(found.get("listing")),
            contents=_texts(found.get("contents")),
        )

    @override
    async def restore(self, image: Image, *, within: Sequence[str], found: Listing) -> Listing:
        places = [place for path in image.paths for place in self._places(path, within)]
        arguments = {
            "listing": dict(image.listing),
            "contents": dict(image.contents),
            "found": dict(found),
        }
        value = await self._run("put_back", places, arguments)
        return _texts(value.get("listing"))

    async def _take(
        self, paths: Sequence[str], within: Sequence[str], *, bytes_max: int
    ) -> Mapping[str, Any]:
        places = [place for path in paths for place in self._places(path, within)]
        return await self._run("take", places, {"bytes_max": bytes_max})

    async def _run(
        self, function: str, places: list[tuple[str, str, str]], arguments: dict[str, Any]
    ) -> Mapping[str, Any]:
        """Writing is granted even to look: what could not be put back is to be refused before, not after."""
        grants = {
            base: PathCapability(access=PathAccess.WRITE, template=base, root=root)
            for base, root, _ in places
        }
        scope = scope_of(
            Capabilities(paths=tuple(grants.values()), limits=_LIMITS),
            {},
            kept=self._kept(),
        )
        job = PythonJob(
            target=PythonSource(text=_INSIDE, function=function, filename="images.py"),
            arguments={"places": [[base, path] for base, _, path in places], **arguments},
        )
        return _value_of(await self._cages.run(job, scope, whose=_WHOSE))

    def _places(self, path: str, within: Sequence[str]) -> list[tuple[str, str, str]]:
        """(directory that the cage is to see, its root, path). Raises `Denied` outside `within`."""
        roots = [root for root in within if path == root or path.startswith(root.rstrip("/") + "/")]
        if not roots:
            raise _refused(f"`{path}` lies outside the directories in which this server may write")
        root = max(roots, key=len)
        if path == root:
            return [(path, root, path)]
        base = posixpath.dirname(path)
        while base != root and not _is_directory(base):
            base = posixpath.dirname(base)
        return [(base, root, path)]


def _is_directory(path: str) -> bool:
    """Only a first guess of what is there: the cage resolves it again, without links."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _value_of(ended: Ended) -> Mapping[str, Any]:
    match ended:
        case Value(value=dict(value)):
            return value
        case Raised(kind="Changed", text=path):
            raise Changed(path)
        case Raised(kind="Refused", text=text):
            raise _refused(text)
        case Raised(kind=kind, text=text):
            raise _refused(f"{kind}: {text}")
        case Stopped(text=text):
            raise _refused(text)
        case _:
            raise SandboxUnavailable("a before-image came back malformed", remedy="run `toolward doctor`")


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _refused(text: str) -> Denied:
    return Denied(
        f"no before-image can be kept: {text}",
        code=ReasonCode.NOT_UNDOABLE,
        remedy="use paths inside the server's roots that are plain files and directories, or have the "
        "operator change what the manifest declares under `undo`",
    )
