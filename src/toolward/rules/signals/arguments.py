"""The signals of one call, each looked for when somebody asks, and once."""

from __future__ import annotations

from collections.abc import Callable

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
    """`SignalFacts` of a call. Pure: what it asks `Surroundings` for does not change while it is decided.

    Kept by hand: `cached_property` takes a lock for each look, which here costs more than most looks.
    """

    __slots__ = ("_around", "_blob", "_facts", "_found", "_going", "_links", "_places", "_resolved", "_text")

    def __init__(self, resolved: ResolvedCall, facts: Facts, around: Surroundings) -> None:
        self._resolved = resolved
        self._facts = facts
        self._around = around
        self._text: bytes | None = None
        self._found: tuple[Found, ...] | None = None
        self._blob: bool | None = None
        self._links: tuple[Link, ...] | None = None
        self._places: frozenset[str] | None = None
        self._going: Outgoing | None = None

    @property
    def text(self) -> bytes:
        """What leaves by the call."""
        if self._text is None:
            call = self._resolved.call
            self._text = text_of(call.arguments, call.arguments_json)
            if call.retry:
                self._text += text_of(call.retry, canonical(call.retry))
        return self._text

    @property
    def found(self) -> tuple[Found, ...]:
        """Secrets and identifiers in the arguments, to be named in no record."""
        if self._found is None:
            self._found = scan(self.text)
        return self._found

    @property
    @override
    def secret(self) -> bool:
        found = self.found
        return bool(found) and any(not one.personal for one in found)

    @property
    @override
    def own_secret(self) -> bool:
        found = self.found
        if not found:
            return False
        secrets = [one.text for one in found if not one.personal]
        return bool(secrets) and all(text in self._around.prompt for text in secrets)

    @property
    @override
    def personal(self) -> int:
        found = self.found
        return sum(one.personal for one in found) if found else 0

    @property
    @override
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({one.kind for one in self.found}))

    @property
    @override
    def blob(self) -> bool:
        if self._blob is None:
            self._blob = holds_blob(self.text)
        return self._blob

    @property
    def composed(self) -> tuple[Link, ...]:
        """Links with room for data that the agent made up: not the operator's, and nowhere read or told."""
        if self._links is None:
            self._links = tuple(filter(self._is_composed, links_in(self.text)))
        return self._links

    def _is_composed(self, link: Link) -> bool:
        binding, around = self._around.binding, self._around
        own = binding.destinations if binding is not None else ()
        return (
            link.carries
            and not (own and destination_known(link.host, own))
            and not (link.url and (link.url in around.prompt or around.was_read(link.url)))
        )

    @property
    @override
    def link(self) -> bool:
        return bool(self.composed)

    @property
    @override
    def image(self) -> bool:
        return any(link.image for link in self.composed)

    @property
    @override
    def places(self) -> frozenset[str]:
        if self._places is None:
            self._places = destinations_of(self._resolved, self._facts, self._around.binding)
        return self._places

    @property
    def going(self) -> Outgoing:
        """What is known of where it goes."""
        if self._going is None:
            size = len(self._resolved.call.arguments_json)
            self._going = self._around.going(self.places, size) if self.places else NOWHERE
        return self._going

    @property
    @override
    def unseen_by_session(self) -> bool:
        return self.going.unseen_by_session

    @property
    @override
    def unseen_by_agent(self) -> bool:
        return self.going.unseen_by_agent

    @property
    @override
    def unseen_by_tool(self) -> bool:
        return self.going.unseen_by_tool

    @property
    @override
    def bytes_today(self) -> int:
        return self.going.bytes_today

    @property
    @override
    def surge(self) -> bool:
        return self.going.surge


def has_signals(resolved: ResolvedCall, facts: Facts) -> bool:
    """Whether anything is looked for: in calls that write or can carry something out, by tool or by words."""
    carries = facts.egress or facts.writes or resolved.version is None
    return carries and resolved.call.action not in LIST_ACTIONS
