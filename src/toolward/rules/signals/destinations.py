"""Where a call sends something: the remote server itself, and every host and address that it names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from toolward.model.call import Facts, ResolvedCall
from toolward.model.server import ServerBinding
from toolward.model.tool import ArgumentKind, BindingKind
from toolward.rules.lineage.leaves import leaves_of

HOST_CHARS_MAX = 200
"""A longer text is no host; its beginning tells it apart from others."""


def destinations_named(resolved: ResolvedCall) -> Iterator[str]:
    """Hosts and addresses in the arguments: by what the manifest says they are, and every bare URL."""
    version = resolved.version
    declared = version.manifest.arguments if version is not None else {}
    for pointer, value in leaves_of(resolved.call.arguments):
        if not isinstance(value, str) or not value:
            continue
        argument = declared.get(pointer.split("/", 2)[1] if pointer else "")
        kind = argument.kind if argument is not None else ArgumentKind.VALUE
        if kind is ArgumentKind.ADDRESS:
            yield from (host_of(each) for each in value.replace(";", ",").split(",") if each.strip())
        elif kind is ArgumentKind.URL or ("://" in value and " " not in value.strip()):
            yield host_of(value)


def destinations_of(resolved: ResolvedCall, facts: Facts, binding: ServerBinding | None) -> frozenset[str]:
    """Every place that a call can carry something to; none for a tool that can not."""
    if not facts.egress:
        return frozenset()
    named = set(destinations_named(resolved))
    if binding is not None and binding.kind is BindingKind.HTTP:
        named.add(host_of(binding.url))
    return frozenset(named)


def host_of(text: str) -> str:
    """The host of a URL; another text as it is, so that no spelling is counted as none."""
    try:
        return (urlsplit(text.strip()).hostname or text.strip())[:HOST_CHARS_MAX].casefold()
    except ValueError:
        return text.strip()[:HOST_CHARS_MAX].casefold()
