"""The signals of one call, each looked for when somebody asks, and once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from msgspec import Struct
from typing_extensions import override

from toolward.model.call import LIST_ACTIONS, Facts, ResolvedCall
from toolward.model.server import ServerBinding
from toolward.model.signal import SignalFacts
from toolward.rules.canonical import canonical
from toolward.rules.places import destination_known
from toolward.rules.signals.blobs import holds_blob
from toolward.rules.signals.destinations import destinations_of
from toolward.rules.signals.links import Link, links_in
from toolward.rules.signals.scanning import Found, scan
from toolward.rules.signals.texts import text_of


class Outgoing(Struct, frozen=True, kw_only=True):
    """What is known of where a call sends something; the fields are those of `SignalFacts`."""

    unseen_by_session: bool = False
    unseen_by_agent: bool = False
    unseen_by_tool: bool = False
    bytes_today: int = 0
    surge: bool = False


NOWHERE = Outgoing()


class Surroundings(Struct, frozen=True, kw_only=True):
    """What the signals of a call are judged against. `going` is asked only for calls that go somewhere."""

    prompt: str
    binding: ServerBinding | None
    was_read: Callable[[str], bool]  # whether a text stands in a result of the session
    going: Callable[[frozenset[str], int], Outgoing]  # places and bytes -> what is known of them


class CallSignals(SignalFacts):
    """`SignalFacts` of a call. Pure: what it asks `Surroundings` for does not change while it is decided."""

    def __init__(self, resolved: ResolvedCall, facts: Facts, around: Surroundings) -> None:
        self._resolved = resolved
        self._facts = facts
        self._around = around

    @cached_property
    def _text(self) -> bytes:
        """What leaves by the call; empty where it changes nothing and carries nothing out."""
        call = self._resolved.call
        carries = self._facts.egress or self._facts.writes or self._resolved.version is None
        if not carries or call.action in LIST_ACTIONS:
            return b""
        text = text_of(call.arguments, call.arguments_json)
        return text + text_of(call.retry, canonical(call.retry)) if call.retry else text

    @cached_property
    def found(self) -> tuple[Found, ...]:
        """Secrets and identifiers in the arguments, to be named in no record."""
        return scan(self._text) if self._text else ()

    @property
    @override
    def secret(self) -> bool:
        return any(not one.personal for one in self.found)

    @property
    @override
    def own_secret(self) -> bool:
        secrets = [one.text for one in self.found if not one.personal]
        return bool(secrets) and all(text in self._around.prompt for text in secrets)

    @property
    @override
    def personal(self) -> int:
        return sum(one.personal for one in self.found)

    @property
    @override
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({one.kind for one in self.found}))

    @cached_property
    @override
    def blob(self) -> bool:
        return holds_blob(self._text)

    @cached_property
    def _composed(self) -> list[Link]:
        """Links with room for data that the agent made up: not the operator's, and nowhere read or told."""
        binding = self._around.binding
        own = binding.destinations if binding is not None else ()
        return [
            link
            for link in links_in(self._text)
            if link.carries
            and not (own and destination_known(link.host, own))
            and link.url not in self._around.prompt
            and not self._around.was_read(link.url)
        ]

    @property
    @override
    def link(self) -> bool:
        return bool(self._composed)

    @property
    @override
    def image(self) -> bool:
        return any(link.image for link in self._composed)

    @cached_property
    @override
    def places(self) -> frozenset[str]:
        """Where the call sends something."""
        return destinations_of(self._resolved, self._facts, self._around.binding)

    @cached_property
    def _going(self) -> Outgoing:
        size = len(self._resolved.call.arguments_json)
        return self._around.going(self.places, size) if self.places else NOWHERE

    @property
    @override
    def unseen_by_session(self) -> bool:
        return self._going.unseen_by_session

    @property
    @override
    def unseen_by_agent(self) -> bool:
        return self._going.unseen_by_agent

    @property
    @override
    def unseen_by_tool(self) -> bool:
        return self._going.unseen_by_tool

    @property
    @override
    def bytes_today(self) -> int:
        return self._going.bytes_today

    @property
    @override
    def surge(self) -> bool:
        return self._going.surge
