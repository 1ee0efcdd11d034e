"""The words that policies use: entity types, action ids and groups, and the facts of a call.

Everything lives in the Cedar namespace `Toolward`. Tool actions are `<server>/<tool>`, and since no group
name holds a `/` a tool can never take a group's name; actions that name no tool are `mcp:<method>` or, for
what the gateway has beyond MCP, `toolward:<name>`, which a server name can't imitate because it holds no `:`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from toolward.model.call import UPSTREAM_ACTIONS, Action
from toolward.model.tool import Effect

NAMESPACE: Final = "Toolward"
USER: Final = f"{NAMESPACE}::User"
ROLE: Final = f"{NAMESPACE}::Role"
AGENT: Final = f"{NAMESPACE}::Agent"
SERVER: Final = f"{NAMESPACE}::Server"
TOOL: Final = f"{NAMESPACE}::Tool"
ACTION: Final = f"{NAMESPACE}::Action"


class Uid(NamedTuple):
    """An entity: ids are compared as they are, never parsed out of text."""

    type: str
    id: str


CALL_FACTS: Final = (
    ("effect", "String"),
    ("writes", "Bool"),
    ("egress", "Bool"),
    ("approved", "Bool"),
    ("found", "Bool"),
    ("path", "String"),
    ("inside_roots", "Bool"),
    ("outside_roots", "Bool"),
    ("known_destination", "Bool"),
    ("proven", "Bool"),
    ("assumed", "Bool"),
    ("words_known", "Bool"),
    ("asked_for", "Bool"),
    ("new_address", "Bool"),
    ("confidential_argument", "Bool"),
    ("cleared", "Bool"),
    ("critical", "Bool"),
    ("undoable", "Bool"),
    ("confidence", "decimal"),
    ("undo", "Bool"),
    ("review_overdue", "Bool"),
)
"""Attributes of `context.call`; each is a field of `model.call.Facts`."""
CONFIDENCE: Final = "confidence"
"""What the agent says of itself, if it says anything."""
SESSION_FACTS: Final = (
    ("tainted", "Bool"),
    ("read_confidential", "Bool"),
    ("calls", "Long"),
    ("written", "Long"),
    ("objective", "String"),
    ("step", "String"),
)
"""Attributes of `context.session`; each is a field of `model.call.Facts`."""

HISTORY_FACTS: Final = (
    ("tools", "Set<String>"),
    ("tool_calls", "Long"),
    ("in_flight", "Long"),
    ("amount", "decimal"),
    ("destinations", "Long"),
    ("labels_read", "Set<String>"),
    ("unexplained", "Long"),
    ("since_opened_s", "Long"),
    ("since_untrusted_s", "Long"),
    ("since_call_s", "Long"),
)
"""More attributes of `context.session`; each is a property of `model.signal.HistoryFacts`."""
SIGNAL_FACTS: Final = (
    ("secret", "Bool"),
    ("own_secret", "Bool"),
    ("personal", "Long"),
    ("kinds", "Set<String>"),
    ("blob", "Bool"),
    ("link", "Bool"),
    ("image", "Bool"),
    ("unseen_by_session", "Bool"),
    ("unseen_by_agent", "Bool"),
    ("unseen_by_tool", "Bool"),
    ("bytes_today", "Long"),
    ("surge", "Bool"),
)
"""Attributes of `context.signals`; each is a property of `model.signal.SignalFacts`."""
MAY_BE_ABSENT: Final = frozenset({CONFIDENCE, "since_untrusted_s", "since_call_s"})
"""Facts that policies have to ask for first, with `has`."""
BY_TOOL: Final = frozenset({"args", "provenance"})
"""Attributes of the context whose members differ from tool to tool: arguments, and who stands behind each."""
PROVENANCE: Final = "Provenance"
"""The type of one member of `context.provenance`."""

_OWN: Final = "toolward/"
ANY_TOOL: Final = "call"
WRITES: Final = "writes"
ANY_MCP: Final = "mcp"
UPSTREAM: Final = "upstream"
LISTS: Final = "lists"
DISCOVERY: Final = "discovery"

MCP_ARGUMENTS: Final[dict[Action, tuple[str, ...]]] = {
    Action.SEARCH_TOOLS: ("query",),
    Action.DESCRIBE_TOOL: ("tool",),
    Action.PROPOSE_SERVER: ("name", "url", "package", "reason"),
    Action.DECLARE_PLAN: ("plan",),
    Action.READ_RESOURCE: ("uri",),
    Action.SUBSCRIBE: ("uri",),
    Action.UNSUBSCRIBE: ("uri",),
    Action.GET_PROMPT: ("name",),
    Action.SET_LOG_LEVEL: ("level",),
}
"""String members of `context.args` for the actions that name no tool; all optional, the rest have none."""


def server_group(server: str) -> str:
    """The group of every tool action of one server."""
    return f"server:{server}"


def effect_group(effect: str) -> str:
    """The group of every tool action with one effect."""
    return f"effect:{effect}"


def tool_groups(server: str, effect: Effect) -> tuple[str, ...]:
    """The groups of one tool's action."""
    groups = (ANY_TOOL, server_group(server), effect_group(effect))
    return groups if effect is Effect.READ_ONLY else (*groups, WRITES)


def mcp_action_id(action: Action) -> str:
    """The action id of an action that names no tool: `mcp:<method>`, and `toolward:<name>` for our own."""
    own = action.value.removeprefix(_OWN)
    return f"mcp:{action.value}" if own == action.value else f"toolward:{own}"


def mcp_groups(action: Action) -> tuple[str, ...]:
    """The groups of an action that names no tool: `mcp`, or `upstream` if a server asks for it."""
    if action in UPSTREAM_ACTIONS:
        return (UPSTREAM,)
    if action is Action.PROPOSE_SERVER:
        return (DISCOVERY,)  # in no group that a shipped profile permits: the operator has to
    lists = action.value.endswith("/list") or action in (Action.SEARCH_TOOLS, Action.DESCRIBE_TOOL)
    return (ANY_MCP, LISTS) if lists else (ANY_MCP,)


ALL_GROUPS: Final = (
    ANY_TOOL,
    WRITES,
    ANY_MCP,
    UPSTREAM,
    LISTS,
    DISCOVERY,
    *(effect_group(e) for e in Effect),
)
"""Every group that exists in any ward, whatever its tools."""


def quote(text: str) -> str:
    """`text` as a Cedar string literal, in schema and policy alike."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char.isprintable() and char.isascii():
            out.append(char)
        else:
            out.append(f"\\u{{{ord(char):x}}}")
    return '"' + "".join(out) + '"'


def uid_text(uid: Uid) -> str:
    """A uid as policy text."""
    return f"{uid.type}::{quote(uid.id)}"
