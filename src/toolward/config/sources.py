"""What `discovery.sources` means, and what its shape alone can not say. Pure."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from toolward.config.capabilities import absolute
from toolward.config.discovery import DayBudgetConfig, DiscoveryConfig, SessionBudgetConfig, SourceConfig
from toolward.config.finder import Finder
from toolward.model.egress import Refusal
from toolward.model.found import Budget, Source, SourceKind
from toolward.model.label import Confidentiality
from toolward.rules.egress.destination import upstream_grant


def to_sources(config: DiscoveryConfig, ward: Path) -> dict[str, Source]:
    """The sources by name; a relative directory counts from the ward."""
    return {name: _source(name, said, ward) for name, said in config.sources.items()}


def _source(name: str, said: SourceConfig, ward: Path) -> Source:
    kind = SourceKind.REGISTRY if said.registry else SourceKind.DIRECTORY
    return Source(
        name=name,
        kind=SourceKind.PROPOSALS if said.proposals else kind,
        place=said.registry or (absolute(said.directory, ward) if said.directory else ""),
        private_network=said.private_network,
        ceiling=said.effect_ceiling,
        admission=said.admit,
        confidentiality=Confidentiality[said.results.name],
        servers_max=said.servers_max,
        every_s=said.every_s,
        session=_budget(said.session_budget),
        day=_budget(said.day_budget),
    )


def _budget(said: SessionBudgetConfig | DayBudgetConfig) -> Budget:
    return Budget(
        calls=said.calls, bytes_out=said.bytes_out, destinations=said.destinations, time_s=said.time_s
    )


def check_discovery(config: DiscoveryConfig, finder: Finder) -> None:
    """What the shape alone can not say of the sources."""
    for name, said in config.sources.items():
        here: tuple[str | int, ...] = ("discovery", "sources", name)
        ways = [way for way in ("registry", "directory", "proposals") if getattr(said, way)]
        if len(ways) != 1:
            finder.say(
                here,
                f"source `{name}` has {' and '.join(f'`{way}`' for way in ways) or 'no place to look'}",
                "give exactly one of `registry`, `directory`, `proposals`",
            )
        elif said.registry:
            _check_registry(said, (*here, "registry"), finder)


def _check_registry(said: SourceConfig, here: tuple[str | int, ...], finder: Finder) -> None:
    try:
        parts = urlsplit(said.registry)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        finder.say(here, "the url is not a registry's", "write `https://host` or `https://host/path`")
        return
    grant = upstream_grant(host, port, private_network=said.private_network)
    if isinstance(grant, Refusal):
        finder.say(here, f"the url can not be connected to: {grant.text}", grant.remedy)
    elif grant.unsafe_private and not said.private_network:
        finder.say(here, "the registry is in your own network", "add `private_network: true` if it is meant")
    elif parts.scheme == "http" and not grant.unsafe_private:
        finder.say(here, "an unencrypted url beyond this machine", "use `https`")
