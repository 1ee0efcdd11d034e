"""One digest over everything that decides, and the difference between two of them in readable lines."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping

from toolward.model.revision import Revision
from toolward.rules.canonical import canonical


def revision_digest(files: Mapping[str, bytes], pins: Mapping[str, str]) -> str:
    """`sha256:<hex>` over the ward's files and pins, in whatever order they are given."""
    content = {
        "v": 1,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "pins": dict(pins),
    }
    return "sha256:" + hashlib.sha256(canonical(content)).hexdigest()


def diff_revisions(old: Revision, new: Revision) -> tuple[str, ...]:
    """What changed from `old` to `new`: a diff for each file, a line for each pin; empty if none."""
    lines: list[str] = []
    for name in sorted(old.files.keys() | new.files.keys()):
        before, after = old.files.get(name), new.files.get(name)
        if before != after:
            lines += _file_lines(name, before, after)
    for key in sorted(old.pins.keys() | new.pins.keys()):
        was, now = old.pins.get(key, ""), new.pins.get(key, "")
        if was == now:
            continue
        if not was:
            lines.append(f"pin {key}: now serves {_short(now)}")
        elif not now:
            lines.append(f"pin {key}: no longer serves {_short(was)}")
        else:
            lines.append(f"pin {key}: {_short(was)} -> {_short(now)}")
    return tuple(lines)


def _file_lines(name: str, before: bytes | None, after: bytes | None) -> list[str]:
    old, new = _text(before), _text(after)
    if old is None or new is None:
        return [f"file {name}: differs (not text)"]
    labels = (
        f"a/{name}" if before is not None else "nothing",
        f"b/{name}" if after is not None else "nothing",
    )
    body = list(difflib.unified_diff(old, new, *labels, lineterm=""))
    if not body:  # only line ends, or an empty file that came or went
        word = "is new" if before is None else "is gone" if after is None else "differs in its line ends"
        return [f"file {name}: {word}"]
    return body


def _text(data: bytes | None) -> list[str] | None:
    try:
        return (data or b"").decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return None


def _short(digest: str) -> str:
    return digest[:19]
