"""A call and what it becomes, stage by stage. Each stage has its own frozen type."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from toolward.model.capability import IsolationLevel
from toolward.model.label import Label
from toolward.model.lineage import Handle, Leaf
from toolward.model.objective import Step
from toolward.model.session import Session
from toolward.model.signal import NO_HISTORY, QUIET, HistoryFacts, SignalFacts
from toolward.model.tool import CallScope, Path, ToolState, ToolVersion
from toolward.model.verdict import Verdict


class Action(StrEnum):
    """Everything an agent, or an upstream, can ask for. Each walks the whole corridor."""

    CALL_TOOL = "tools/call"
    LIST_TOOLS = "tools/list"
    SEARCH_TOOLS = "toolward/search_tools"
    DESCRIBE_TOOL = "toolward/describe_tool"
    PROPOSE_SERVER = "toolward/propose_server"
    DECLARE_PLAN = "toolward/declare_plan"
    LIST_RESOURCES = "resources/list"
    LIST_TEMPLATES = "resources/templates/list"
    READ_RESOURCE = "resources/read"
    SUBSCRIBE = "resources/subscribe"
    UNSUBSCRIBE = "resources/unsubscribe"
    LIST_PROMPTS = "prompts/list"
    GET_PROMPT = "prompts/get"
    COMPLETE = "completion/complete"
    SET_LOG_LEVEL = "logging/setLevel"
    SAMPLE = "sampling/createMessage"
    ELICIT = "elicitation/create"
    LIST_ROOTS = "roots/list"


UPSTREAM_ACTIONS = frozenset({Action.SAMPLE, Action.ELICIT, Action.LIST_ROOTS})
"""What a server may ask of the client, if its manifest accepts it."""
LIST_ACTIONS = frozenset(
    {Action.LIST_TOOLS, Action.LIST_RESOURCES, Action.LIST_TEMPLATES, Action.LIST_PROMPTS}
)

OWN_ACTIONS = frozenset(
    {
        Action.LIST_TOOLS,
        Action.SEARCH_TOOLS,
        Action.DESCRIBE_TOOL,
        Action.PROPOSE_SERVER,
        Action.DECLARE_PLAN,
    }
)
"""What the gateway answers itself, without asking a server."""


class Era(StrEnum):
    """The two wire eras of MCP; an upstream is spoken to in the caller's era where it can."""

    HANDSHAKE = "2025-11-25"
    STATELESS = "2026-07-28"


class Call(Struct, frozen=True, kw_only=True):
    """1 admit: authenticated, bounded, parsed once, frozen, hashed.

    `arguments_json` is canonical JSON (RFC 8785): it is what is judged, and exactly what is forwarded.
    For `tools/call` it is the arguments object; for other actions the relevant params
    (`{"uri": …}`, `{"name": …, "arguments": …}`, …).
    """

    call_id: str  # UUIDv7
    action: Action
    session: Session
    target: str  # tool or prompt name or resource URI as the caller wrote it; "" for lists
    server: str  # "" at the aggregated endpoint, else the upstream whose endpoint was used
    arguments_json: bytes
    arguments: Mapping[str, Any]
    args_digest: str  # keyed: hmac-sha256:<hex>
    meta: Mapping[str, Any] = field(default_factory=dict)  # what may be forwarded of `_meta`
    retry: Mapping[str, Any] = field(default_factory=dict)  # inputResponses, requestState of a 2026-era retry
    era: Era = Era.HANDSHAKE
    door: str = "http"
    received_ns: int = 0
    idempotency_key: str = ""  # the caller's own name for this effect: it happens once
    released: str = ""  # the approval or escrow that let it go on
    undo_of: str = ""  # the call that it undoes
    held_in: str = ""  # the step in which it was let through, to be held; wherever its session is now
    confidence: str = ""  # what the agent says of itself: a decimal of 0 to 1 with four digits, "" if nothing
    secure: bool = False  # the host wants it on the secure path, wherever it would go
    stands_in_for: str = ""  # the tool that was asked for, and whose circuit is open
    copy_of: str = ""  # the call whose copy is run with another version, for nobody to see
    handles: tuple[Handle, ...] = ()  # references that were replaced by the values in `arguments`


class ResolvedCall(Struct, frozen=True, kw_only=True):
    """2 resolve: the exact tool version for this principal, channel and step; arguments fit its schema.

    `version` is None for actions that name no tool (lists, resources, prompts, completion);
    `server` then says which upstream, or "" when the gateway itself answers.
    """

    call: Call
    server: str
    name: str  # as the upstream calls it
    version: ToolVersion | None
    state: ToolState | None
    step: Step | None = None  # of the session's objective; None where none is declared
    review_by: str = ""  # the date by which somebody was to look at it again, once that is past
    successor: str = ""  # of a deprecated tool, where one is named
    variant: str = ""  # `server@variant` that runs this version, "" for the server itself
    isolation: IsolationLevel = IsolationLevel.NONE  # what will hold the execution
    scope: CallScope = CallScope.SERVER  # what shares a process with it

    @property
    def upstream(self) -> str:
        """Who runs it: the server, or the variant of it that the version pins."""
        return self.variant or self.server


class LabelledCall(Struct, frozen=True, kw_only=True):
    """3 label: each argument leaf carries its lineage and label; `facts` are what policy may ask about."""

    resolved: ResolvedCall
    leaves: tuple[Leaf, ...]
    arguments_label: Label
    facts: Facts
    signals: SignalFacts = QUIET
    history: HistoryFacts = NO_HISTORY
    call: Call = field(default=None)  # type: ignore[assignment]  # what was admitted; not for callers to set

    def __post_init__(self) -> None:
        """Take it from `resolved` once: each call is asked for it twenty-five times."""
        force_setattr(self, "call", self.resolved.call)


class Facts(Struct, frozen=True, kw_only=True):
    """Typed facts about a call, given to the policy engine as `context.call` and `context.session`."""

    effect: str
    writes: bool
    egress: bool
    approved: bool
    path: Path
    path_why: str = ""  # in words; no fact for policy
    inside_roots: bool  # every path argument lies inside the declared roots (and there is one)
    known_destination: bool  # every URL or address argument is the operator's, or was in the prompt
    proven: bool  # every authority argument has trusted provenance
    assumed: bool  # … or at least assumed provenance
    confidential_argument: bool  # an argument holds a value seen in a confidential result
    tainted: bool  # the session has seen something untrusted
    read_confidential: bool  # the session has seen something confidential
    outside_roots: bool = True  # some path argument lies outside them; True where nobody looked
    found: bool = False  # the tool was found by an admitted source, and nobody approved it
    cleared: bool = False  # what is confidential may go where the tool sends to, by its manifest
    critical: bool = False  # its step is decision-critical, or its host or a policy moved it
    undoable: bool = False  # the manifest says how it is undone
    confidence: str = ""  # the agent's own word, "" if it said nothing
    calls: int = 0
    written: int = 0
    objective: str = ""
    step: str = ""
    words_known: bool = False  # a prompt, an objective or a declared plan is there to judge by
    asked_for: bool = False  # … and they ask for this deed on this object
    new_address: bool = False  # content carries an address that no words and no vouched field hold
    why_unproven: str = ""  # in words; no fact for policy
    verdicts: tuple[Verdict, ...] = ()  # of each argument that was judged; what is not here carries its label
    lent_by: tuple[str, ...] = ()  # calls whose results lent a value because the words hand over to them
    review_overdue: bool = False  # somebody was to look at the tool again before today
    undo: bool = False  # the call undoes an earlier one, with arguments from recorded data


class Intent(Struct, frozen=True, kw_only=True):
    """6 intend: the durable promise to act. `log_index` is -1 when merged with the outcome's record."""

    call_id: str
    log_index: int
    merged: bool


class Returned(Struct, frozen=True, kw_only=True):
    """7 execute: the upstream answered. `result` is its JSON-RPC result."""

    result: Mapping[str, Any]
    size_bytes: int
    hint: str = ""  # what of the ward's files may have been missing, where the cage may be why it failed
    repaired: tuple[str, ...] = ()  # how it was mended to fit the tool's output schema
    own: bool = False  # the gateway's own words and what people approved: it taints nothing
    retries: int = 0  # how often it was sent again before


class Failed(Struct, frozen=True, kw_only=True):
    """The upstream answered with a JSON-RPC error, or was never reached: no effect is assumed."""

    code: int
    message: str
    reason: str  # a ReasonCode value
    data: Any = None
    from_server: bool = True  # whether words of the server may stand in it: then they taint like a result
    hint: str = ""
    retries: int = 0


class Stopped(Struct, frozen=True, kw_only=True):
    """A limit was broken after the request had been sent; the effect may have happened."""

    reason: str  # a ReasonCode value
    message: str
    hint: str = ""
    retries: int = 0


RawOutcome = Returned | Failed | Stopped


class Reply(Struct, frozen=True, kw_only=True):
    """8 settle: what leaves, after its record is durable. Exactly one of `result` and `error` is set."""

    call_id: str
    result: Mapping[str, Any] | None = None
    error: WireError | None = None
    receipt: Mapping[str, Any] | None = None


class WireError(Struct, frozen=True, kw_only=True):
    """A JSON-RPC error with our reason in `data`."""

    code: int
    message: str
    data: Any = None
    http_status: int = 200
