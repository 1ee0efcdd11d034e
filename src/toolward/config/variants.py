"""Variants: a server's entry again, with another package, command or source, the rest inherited. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from toolward.config.shape import ServerConfig, WardConfig
from toolward.config.upstream_shape import VariantConfig
from toolward.model.server import ServerBinding, variant_of

WAYS: Final = ("package", "command", "url", "functions", "commands", "modules")
"""Each says by itself how a server is reached."""
_OF_A_WAY: Final = (*WAYS, "entry", "constraints", "requirements", "arguments")
"""What a variant does not inherit once it is reached in another way."""


def merged(server: ServerConfig, variant: VariantConfig) -> ServerConfig:
    """The server's entry as the variant has it."""
    said = {name: value for name, value in msgspec.structs.asdict(variant).items() if value is not None}
    fresh: dict[str, Any] = {}
    if any(way in said for way in WAYS):
        bare = msgspec.structs.asdict(ServerConfig())
        same_way = any(way in said and getattr(server, way) for way in WAYS)
        dropped = WAYS if same_way else _OF_A_WAY
        fresh = {name: bare[name] for name in dropped}
    return msgspec.structs.replace(server, **(fresh | said | {"variants": {}}))


def every_server(config: WardConfig) -> Iterator[tuple[str, ServerConfig, tuple[str | int, ...]]]:
    """Each server and each of its variants: name, whole entry, and where it stands in the file."""
    for name, server in config.servers.items():
        yield name, server, ("servers", name)
        for variant, said in server.variants.items():
            yield variant_of(name, variant), merged(server, said), ("servers", name, "variants", variant)


def twins(binding: ServerBinding) -> list[tuple[str, str]]:
    """Pairs of upstreams of one server that are the same: nobody could say which of them runs a version."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(one.identity(), one.server), one.server) for one in binding.all()]
    return [(earlier, later) for earlier, later in pairs if earlier != later]
