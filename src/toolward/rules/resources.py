"""What a call touches, as its manifest declares it: names that are the same for the same thing.

Names are coarse on purpose. Two spellings of one file must be one name; that two files now and then share one
only makes a call wait that need not have. Whatever has an absolute path for a name is a place in the file
system, `file:/srv/a`, however the manifest calls it, and meets the places above and below it. That holds
inside of the directories in which the tool may write, where they are known: a call with the path `/`, which
changes nothing, must not stand in everybody's way.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from toolward.errors import BadArguments
from toolward.model.tool import ArgumentKind, Manifest
from toolward.rules.canonical import canonical
from toolward.rules.places import DECODINGS_MAX

RESOURCES_MAX: Final = 64
"""Resources of one call; each is a row that its intent writes."""
_NAME_CHARS_MAX: Final = 512
FILE: Final = "file:"
"""How a place in the file system is named."""
_PLACEHOLDER: Final = re.compile(r"\{arg:([^{}]+)\}")


def resources_of(
    manifest: Manifest,
    arguments: Mapping[str, Any],
    *,
    roots: Sequence[str] = (),
    paths: Sequence[str] = (),
) -> tuple[str, ...]:
    """The resources of one call, each once, in order: what is declared, and the `paths` of its before-image.

    `roots` are the directories in which the tool may write. Raises `BadArguments` for too many resources.
    """
    if manifest.undo is None:
        return ()
    names: set[str] = set()
    for template in manifest.undo.resources:
        names |= set(_filled(template, manifest, arguments))
        if len(names) > RESOURCES_MAX:
            raise BadArguments(
                f"the call touches more than {RESOURCES_MAX} resources", remedy="touch fewer in one call"
            )
    names |= {_bounded(FILE + path) for path in paths}
    inside = [FILE + canonical_path(root) for root in roots]
    return tuple(sorted(_outside(name) if _is_beyond(name, inside) else name for name in names))


def overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two lists of resources meet. Places in the file system meet those above and below them."""
    return any(_meet(one, other) for one in some for other in others)


def above(name: str) -> Iterator[str]:
    """The places above a place, the nearest first; none for what is no place."""
    path = _path_of(name)
    while path and path != "/":
        path = posixpath.dirname(path)
        yield FILE + path


def _is_beyond(name: str, inside: Sequence[str]) -> bool:
    """Whether it is a place, and lies in none of the known directories."""
    return bool(inside and _path_of(name)) and not any(name == root or root in above(name) for root in inside)


def _outside(name: str) -> str:
    """The name of a place that meets no other."""
    return "outside:" + _path_of(name).lstrip("/")


def _meet(one: str, other: str) -> bool:
    if one == other:
        return True
    path, below = _path_of(one).rstrip("/"), _path_of(other).rstrip("/")
    if not (_path_of(one) and _path_of(other)):
        return False
    return path == below or below.startswith(path + "/") or path.startswith(below + "/")


def _path_of(name: str) -> str:
    """The absolute path that a name holds, or ''."""
    path = name.partition(":")[2]
    return path if path.startswith("/") else ""


def _filled(template: str, manifest: Manifest, arguments: Mapping[str, Any]) -> list[str]:
    """The template with each placeholder filled in; a list names a resource for each of its items."""
    names = [""]
    place = 0
    for match in _PLACEHOLDER.finditer(template):
        said = arguments.get(match[1])
        declared = manifest.arguments.get(match[1])
        path = template.startswith(FILE) or (declared is not None and declared.kind is ArgumentKind.PATH)
        values = [_text(each, path=path) for each in (said if isinstance(said, list) else [said])]
        if len(names) * len(values) > RESOURCES_MAX:
            raise BadArguments(
                f"the call touches more than {RESOURCES_MAX} resources", remedy="touch fewer in one call"
            )
        names = [name + template[place : match.start()] + value for name in names for value in values or [""]]
        place = match.end()
    return [_bounded(name + template[place:]) for name in names]


def _text(value: Any, *, path: bool) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else canonical(value).decode()
    return canonical_path(text) if path else unicodedata.normalize("NFC", text)


def canonical_path(text: str) -> str:
    """One spelling of a path, by its text alone: links are not followed here."""
    text = text.removeprefix("file://")
    for _ in range(DECODINGS_MAX):
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded
    text = unicodedata.normalize("NFC", text).replace("\\", "/")
    if not text:
        return ""
    return posixpath.normpath("/" + text.lstrip("/") if text.startswith("/") else text)


def _bounded(name: str) -> str:
    if path := _path_of(name):
        path = canonical_path(path)
        while len(path) > _NAME_CHARS_MAX:
            path = posixpath.dirname(path)  # a directory stands for all that lies so deep in it
        return FILE + path
    if len(name) <= _NAME_CHARS_MAX:
        return name
    return f"{name[:64]}…sha256:{hashlib.sha256(name.encode()).hexdigest()}"
