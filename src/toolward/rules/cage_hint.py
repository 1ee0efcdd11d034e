"""Which key of a ward's files may have been missing when a tool in a cage failed. A guess, and worded as one.

A refused connection is known. A refused path is not: nobody is asked, what was not granted is not there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from toolward.model.egress import EgressCode, RefusedDestination

SAID_CHARS_MAX: Final = 16_384
"""Of an error that is looked at: what failed stands at its beginning or its end."""
NAMED_MAX: Final = 3
"""Refused destinations that are named; whoever asks for more is looking for a way out."""

_KEYS: Final = {
    EgressCode.NOT_GRANTED: "capabilities.network",
    EgressCode.FORBIDDEN_ADDRESS: "capabilities.unsafe_private_network",
}
"""What a grant would change. Nothing in a file mends the other refusals."""
_CONNECTION: Final = re.compile(
    r"ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|EAFNOSUPPORT|getaddrinfo|name resolution"
    r"|connection (?:refused|error|issue)|network is unreachable|no route to host|could not resolve"
    r"|couldn't resolve|name or service not known|nodename nor servname|address family not supported"
    r"|urlopen error \[Errno|ConnectError",
    re.IGNORECASE,
)
_PATH: Final = re.compile(
    r"ENOENT|EROFS|no such file|read-only file system|unable to open database|FileNotFoundError"
    r"|(?:^|: )/\S+\s*\Z",  # a path is all that it says
    re.IGNORECASE,
)
_EITHER: Final = re.compile(
    r"EACCES|EPERM|permission denied|operation not permitted|PermissionError", re.IGNORECASE
)
"""A cage without network makes no sockets, which is refused in the words of a file."""
_GUESSES: Final = (
    (_CONNECTION, "a connection", ("capabilities.network",)),
    (_PATH, "a path", ("capabilities.read", "capabilities.write")),
    (_EITHER, "a path or a connection", ("capabilities.read", "capabilities.write", "capabilities.network")),
)


@dataclass(frozen=True, slots=True)
class Hint:
    """`text` is for the agent, `grant` for the record: key and file, without what the tool asked for."""

    text: str
    grant: str


def hint_for(
    server: str, tool: str, *, per_call: bool, said: str, refused: Sequence[RefusedDestination]
) -> Hint | None:
    """The one line to add, or None where the cage is not known or likely to have had a part in it.

    `said` is the tool's error, `refused` what its cage was refused while the call ran. `per_call`: each call
    has a cage of its own, else the server's process has one for all.
    """
    file = f"tools/{server}.yaml"
    place = f"(for all tools, or under `tools.{tool}`) in {file}" if per_call else f"in {file}"
    for key in dict.fromkeys(_KEYS[each.code] for each in refused if each.code in _KEYS):
        names = list(
            dict.fromkeys(f"`{each.text}`" for each in refused if _KEYS.get(each.code) == key and each.text)
        )
        what = ", ".join(names[:NAMED_MAX]) or "a connection"
        text = f"while this ran, its cage was refused {what}; `{key}` {place} grants it, if that is meant"
        return Hint(f"toolward: {text}", f"{key} in {file}")
    said = said if len(said) <= SAID_CHARS_MAX else said[: SAID_CHARS_MAX // 2] + said[-SAID_CHARS_MAX // 2 :]
    for looks, what, keys in _GUESSES:
        if looks.search(said):
            shown = " or ".join(f"`{key}`" for key in keys)
            text = f"it runs in a cage, and this may be {what} that nobody granted; if so, {shown} {place}"
            return Hint(f"toolward: {text} grants it", f"{' or '.join(keys)} in {file}")
    return None
