"""Whether a path or a destination is the operator's own, however it was written.

Tools read the same text differently: one decodes percent escapes and one does not, one ends a host at a
backslash and one does not. So a place counts as the operator's only if every such reading says so; what is
written in a way on which readers differ is nobody's.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote, urlsplit

DECODINGS_MAX: Final = 3
"""Rounds of percent decoding; a path that still holds an escape after them was written to deceive."""
_NOT_IN_A_PATH = re.compile(r"[\x00-\x1f\x7f\\]")
_SCHEME = re.compile(r"(?:https?|wss?|ftps?|sftp|ssh|git|mailto)", re.IGNORECASE)
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\])"
)
_AUTHORITY = re.compile(rf"({_HOST.pattern})(?::[0-9]{{1,5}})?")
_MAILBOX = re.compile(r"[a-z0-9.!#$&'*+=?^_`{|}~-]+")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


def path_inside(text: str, roots: tuple[str, ...]) -> bool:
    """Whether an absolute path lies in one of `roots`, with its percent escapes as with them decoded.

    `..` and doubled slashes are taken out as tools do it, by the text alone: links are for the sandbox.
    """
    plain = text.removeprefix("file://")
    for _ in range(DECODINGS_MAX):
        if not _lies_inside(plain, roots):
            return False
        decoded = unquote(plain)
        if decoded == plain:
            return True
        plain = decoded
    return False


def _lies_inside(plain: str, roots: tuple[str, ...]) -> bool:
    if not plain.startswith("/") or _NOT_IN_A_PATH.search(plain):
        return False
    path = posixpath.normpath("/" + plain.lstrip("/"))
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def destination_known(text: str, destinations: tuple[str, ...]) -> bool:
    """Whether a URL's host, one mail address or an account is declared; `*.example.org` covers subdomains.

    A declared host covers its ports and the mailboxes at it. A URL with user information, with a backslash,
    a space or anything beyond ASCII is not known: readers differ on which host such a text names.
    """
    value = text.strip().lower()
    if not value or not destinations:
        return False
    host, address = _host_of(value), _address_of(value)
    for known in destinations:
        entry = known.strip().lower()
        if entry == value or (address and entry == address):
            return True
        if host and (
            entry.strip("[]") == host.strip("[]") or (entry[:2] == "*." and host.endswith(entry[1:]))
        ):
            return True
    return False


def _host_of(value: str) -> str:
    """The one host that `value` names, "" if there is none or readers could differ."""
    if not _PRINTABLE.fullmatch(value) or "\\" in value:
        return ""
    scheme, separator, _ = value.partition("://")
    if separator:
        if not _SCHEME.fullmatch(scheme):
            return ""
        try:
            authority = urlsplit(value).netloc
        except ValueError:
            return ""
    else:
        address = _address_of(value)
        authority = address.rpartition("@")[2] if address else value
    found = _AUTHORITY.fullmatch(authority)
    return found[1] if found else ""


def _address_of(value: str) -> str:
    """`value` without `mailto:` if it is one plain mail address, else ""."""
    mailbox, separator, host = value.removeprefix("mailto:").partition("@")
    if separator and _MAILBOX.fullmatch(mailbox) and _HOST.fullmatch(host):
        return f"{mailbox}@{host}"
    return ""
