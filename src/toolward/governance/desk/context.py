"""What a verb has at hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolward.config.ward import Ward
from toolward.errors import Rejected, ToolwardError
from toolward.kernel.gateway import Gateway
from toolward.kernel.objectives.conduct import Conduct
from toolward.kernel.parts import Parts
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.rollback.automatic import Automatic
from toolward.kernel.rollback.engine import Rollbacks
from toolward.model.principal import Principal
from toolward.model.tool import ToolVersion
from toolward.ports.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The open ward as governance sees it; `bootstrap` fills it.

    `repin` puts the pins in force with the files as they were last read; `reload` reads the files too and
    raises `ToolwardError` when they are wrong or a source can not be read; it answers which new or changed
    servers could not be compared, and why. `take_found` does the same for found servers as they are now.
    """

    parts: Parts
    gateway: Gateway
    rollbacks: Rollbacks
    automatic: Automatic
    conduct: Conduct
    principal_of: Callable[[str], Principal]  # of a credential, by its name; raises `Rejected`
    clock: Clock
    revision: Callable[[], ActiveRevision]
    repin: Callable[[Principal], Awaitable[None]]
    reload: Callable[[Principal], Awaitable[Mapping[str, ToolwardError]]]
    take_found: Callable[[Principal | None], Awaitable[Mapping[str, ToolwardError]]]
    write_files: Callable[[Mapping[str, bytes]], None]
    ward: Callable[[], Ward]  # its files as they were last read
    trial: Callable[[ToolVersion], ActiveRevision]  # as if it were served too; raises `WardError`
    name: str
    url: Callable[[], str]  # how people reach this gateway


Run = Callable[[Desk, Mapping[str, Any], Principal], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be done. Everything that changes something needs a person.

    `by_host`: a host's key may do it for its agent's sessions, and nothing else with it.
    `by_webhook`: a person may also do it by the word of a webhook that the ward trusts for that person.
    """

    run: Run
    needs_person: bool = True
    by_webhook: bool = False
    by_host: bool = False


def text(parameters: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text parameter. Raises `Rejected` when it is missing without a default, or no text."""
    value = parameters.get(name, default)
    if not isinstance(value, str):
        raise Rejected(f"the parameter `{name}` is missing or no text")
    return value
