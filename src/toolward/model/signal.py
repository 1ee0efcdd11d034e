"""What policy may ask about a call's words and about its session's history, beside the facts of the call.

Both are read late: a ward whose policies do not mention a fact does not pay for it. So the types are
Protocols; the structures below are what is known when nothing was looked at.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Protocol

from msgspec import Struct


class Telling(Struct, frozen=True, kw_only=True):
    """What a call tells whoever runs its server, once the session has read something confidential."""

    server: str = ""
    bits: int = 0  # that nothing explains
    words: frozenset[str] = frozenset()  # stems of what it says
    loose: tuple[str, ...] = ()  # words that come from nowhere, for people


NOTHING_TOLD: Final = Telling()


class SignalFacts(Protocol):
    """`context.signals`: of the arguments of a call that writes or can carry data out; else all quiet."""

    @property
    def secret(self) -> bool:
        """Something in it looks like a credential."""
        ...

    @property
    def own_secret(self) -> bool:
        """… and every one of them stands in the user's own prompt."""
        ...

    @property
    def personal(self) -> int:
        """Different identifiers of people in it, with right check digits."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of secrets and identifiers, sorted."""
        ...

    @property
    def blob(self) -> bool:
        """It holds a long run that decodes to nothing readable."""
        ...

    @property
    def link(self) -> bool:
        """It holds a link with room for data, to a host not the operator's, composed for this call."""
        ...

    @property
    def image(self) -> bool:
        """… that is loaded when the text is shown."""
        ...

    @property
    def places(self) -> frozenset[str]:
        """Hosts and addresses that it goes to: what is counted, and no fact for policy."""
        ...

    @property
    def unseen_by_session(self) -> bool:
        """It goes to some place that this session never sent to."""
        ...

    @property
    def unseen_by_agent(self) -> bool:
        """… that this agent never sent to, in any session."""
        ...

    @property
    def unseen_by_tool(self) -> bool:
        """… that this tool never sent to, for any agent."""
        ...

    @property
    def bytes_today(self) -> int:
        """Bytes of arguments that its busiest destination got from this agent today, this call's included."""
        ...

    @property
    def surge(self) -> bool:
        """Some destination gets clearly more than it usually got from this agent, this call included."""
        ...


class HistoryFacts(Protocol):
    """What `context.session` says of what was let through before; calls in flight are counted."""

    @property
    def read(self) -> bool:
        """Whether anybody asked for a fact of it: then the decision stands on it."""
        ...

    @property
    def version(self) -> int:
        """Calls that were counted when the call was labelled."""
        ...

    @property
    def tools(self) -> tuple[str, ...]:
        """Tools that were called, as `server/name`, sorted."""
        ...

    @property
    def tool_calls(self) -> int:
        """Calls of the tool of this call before it."""
        ...

    @property
    def in_flight(self) -> int:
        """Calls that were let through and are not answered yet."""
        ...

    @property
    def amount(self) -> Decimal | None:
        """Declared amounts without their signs, of all calls and this one; None if one can not be read."""
        ...

    @property
    def destinations(self) -> int:
        """Different places that data went to, this call's included."""
        ...

    @property
    def labels_read(self) -> tuple[str, ...]:
        """Names of the labels of what it has read, sorted, such as `confidential` and `untrusted`."""
        ...

    @property
    def unexplained(self) -> int:
        """Bits that nothing explains, told to this server since a confidential read, this call's included."""
        ...

    @property
    def telling(self) -> Telling:
        """What this call tells, if anybody asked for `unexplained`; no fact for policy."""
        ...

    @property
    def since_opened_s(self) -> int:
        """Seconds since the session was opened."""
        ...

    @property
    def since_untrusted_s(self) -> int | None:
        """Seconds since it last read something untrusted; None if it never did."""
        ...

    @property
    def since_call_s(self) -> int | None:
        """Seconds since a call was last let through; None for the first."""
        ...


class Quiet(Struct, frozen=True, kw_only=True):
    """No signal at all."""

    secret: bool = False
    own_secret: bool = False
    personal: int = 0
    kinds: tuple[str, ...] = ()
    blob: bool = False
    link: bool = False
    image: bool = False
    places: frozenset[str] = frozenset()
    unseen_by_session: bool = False
    unseen_by_agent: bool = False
    unseen_by_tool: bool = False
    bytes_today: int = 0
    surge: bool = False


class NoHistory(Struct, frozen=True, kw_only=True):
    """A session in which nothing was called yet."""

    read: bool = False
    version: int = 0
    tools: tuple[str, ...] = ()
    tool_calls: int = 0
    in_flight: int = 0
    amount: Decimal | None = Decimal(0)
    destinations: int = 0
    labels_read: tuple[str, ...] = ()
    unexplained: int = 0
    telling: Telling = NOTHING_TOLD
    since_opened_s: int = 0
    since_untrusted_s: int | None = None
    since_call_s: int | None = None


QUIET: Final[SignalFacts] = Quiet()
NO_HISTORY: Final[HistoryFacts] = NoHistory()
