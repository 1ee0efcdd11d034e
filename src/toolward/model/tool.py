"""Tools, their immutable versions, and what the operator says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from toolward.model.capability import Capabilities, IsolationLevel
from toolward.model.label import Confidentiality, Label
from toolward.model.undo import Undo

SEPARATOR = "__"
"""Between server and name at the aggregated endpoint; no server's name may hold it."""


class Effect(StrEnum):
    """What a tool does to the world; what nobody stated is `irreversible`."""

    READ_ONLY = "read_only"
    IDEMPOTENT_WRITE = "idempotent_write"
    REVERSIBLE = "reversible"
    COMPENSABLE = "compensable"
    IRREVERSIBLE = "irreversible"


class ArgumentRole(StrEnum):
    """What an argument decides: who, where, which object, how much; or merely what is said."""

    AUTHORITY = "authority"
    CONTENT = "content"


class ArgumentKind(StrEnum):
    """What an argument's text denotes, so that it is compared and checked as such."""

    VALUE = "value"
    PATH = "path"  # a file system path: `inside_roots` is judged on it
    URL = "url"  # a destination
    ADDRESS = "address"  # a mail address, account or channel: a destination too
    AMOUNT = "amount"  # how much: summed over the session for `context.session.amount`
    QUANTITY = "quantity"  # how much: free up to what the session's own words and vouched records hold
    TIME = "time"  # when: it decides neither who nor which
    CHOICE = "choice"  # one of a few that the tool knows
    NEW_NAME = "new_name"  # what something is called that the call makes
    CODE = "code"  # proof for one verifier: a one-time code, a password


class CallScope(StrEnum):
    """What shares a process with a call, the narrowest first. `remote`: nobody here can know."""

    CALL = "call"
    SESSION = "session"
    SERVER = "server"
    REMOTE = "remote"

    def within(self, widest: CallScope) -> bool:
        """Whether this is no wider than `widest`."""
        return _WIDTH[self] <= _WIDTH[widest]


_WIDTH: Final = {scope: width for width, scope in enumerate(CallScope)}


class BindingKind(StrEnum):
    """How a server is reached."""

    STDIO = "stdio"
    HTTP = "http"
    PYTHON = "python"  # functions of this process
    FUNCTIONS = "functions"  # of a source file, each call in a cage of its own
    COMMANDS = "commands"  # programs, each call in a cage of its own
    MODULES = "modules"  # of WebAssembly, each call in a store of its own

    @property
    def per_call(self) -> bool:
        """Whether each call has a cage of its own, and nothing lives between calls."""
        return self in _PER_CALL


_PER_CALL: Final = frozenset({BindingKind.FUNCTIONS, BindingKind.COMMANDS, BindingKind.MODULES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """What the operator says of one argument (`pointer` is its top-level property name)."""

    role: ArgumentRole = ArgumentRole.AUTHORITY
    kind: ArgumentKind = ArgumentKind.VALUE


class Repair(StrEnum):
    """What may be done to a result that does not fit its tool's output schema."""

    COERCE_NUMBERS = "coerce_numbers"  # a text that is a number becomes one
    DROP_UNKNOWN = "drop_unknown"  # members that the schema does not take go
    WRAP_TEXT = "wrap_text"  # text alone becomes the object that it is, or the one member that is required


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule:
    """Results are held to the output schema. What does not fit is mended by `repair`, or not released."""

    repair: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The security part of a manifest: it is inside the version's digest."""

    effect: Effect = Effect.IRREVERSIBLE
    effect_source: str = "default"  # default | hint | catalogue | manifest: shown to the person who approves
    egress: bool = True  # may carry data out of the operator's reach
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    result: Label | None = None  # None: `internal`, untrusted
    result_fields: Mapping[str, Label] = field(default_factory=dict)  # JSON pointer -> label
    timeout_ms: int = 60_000
    output_bytes_max: int = 4 * 1024 * 1024
    capabilities: Capabilities | None = None  # what its process, or each call, may touch
    min_isolation: IsolationLevel = IsolationLevel.NONE  # below it the call is denied
    min_scope: CallScope = CallScope.REMOTE  # wider, and the call is denied
    undo: Undo | None = None  # how its effect is known, undone and held back
    clearance: Confidentiality = Confidentiality.INTERNAL  # what may go where it sends to, or less
    output: OutputRule | None = None  # None: results are not held to the tool's output schema

    def as_json(self) -> dict[str, Any]:
        """Canonical content for the digest and the store; what came later only where it is stated."""
        undo = {"undo": self.undo.as_json()} if self.undo else {}
        output = {"output": {"repair": [each.value for each in self.output.repair]}} if self.output else {}
        cleared = self.clearance is not Confidentiality.INTERNAL
        return {
            **undo,
            **output,
            **({"clearance": self.clearance.name.lower()} if cleared else {}),
            "effect": self.effect.value,
            "effect_source": self.effect_source,
            "egress": self.egress,
            "arguments": {
                k: {"role": a.role.value, "kind": a.kind.value} for k, a in sorted(self.arguments.items())
            },
            "result": self.result.as_json() if self.result else None,
            "result_fields": {k: v.as_json() for k, v in sorted(self.result_fields.items())},
            "timeout_ms": self.timeout_ms,
            "output_bytes_max": self.output_bytes_max,
            "capabilities": self.capabilities.as_json() if self.capabilities else None,
            "min_isolation": self.min_isolation.value,
            "min_scope": self.min_scope.value,
        }


class Risk(StrEnum):
    """How much harm a tool could do, as the operator rates it."""

    UNRATED = "unrated"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Who answers for a tool and why it is there: outside the digest, so that it can change freely."""

    owner: str = ""
    purpose: str = ""
    review_by: str = ""  # ISO date
    data_classes: tuple[str, ...] = ()  # what kinds of data it touches, in the operator's own words
    risk: Risk = Risk.UNRATED
    slo: float = 0.0  # share of calls that are to be good; 0: nobody said
    cost: str = ""  # of one call, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolVersion:
    """One immutable, content-addressed version.

    `definition` is the canonical JSON of the whole definition as the server sent it (name, description,
    annotations, input and output schema, and whatever else stands there). `digest` is
    SHA-256 over server, definition, binding and the security part of the manifest, written `sha256:<hex>`.
    """

    server: str
    name: str  # as the server calls it
    definition: bytes
    definition_digest: str
    binding: str  # canonical text of the binding: kind, package and version, or URL
    manifest: Manifest
    digest: str
    key: str = field(init=False, repr=False, compare=False)  # `server/name`, how toolward refers to the tool

    def __post_init__(self) -> None:
        """Join the key once: each call asks for it ten times."""
        object.__setattr__(self, "key", f"{self.server}/{self.name}")


class ToolState(StrEnum):
    """Where a version stands in one channel."""

    DISCOVERED = "discovered"  # a source lists it: on the open path only
    PROPOSED = "proposed"
    TESTED = "tested"  # what its channel's gate asks for was shown; people have not agreed yet
    APPROVED = "approved"
    DEPRECATED = "deprecated"  # served, with a warning and the name of its successor
    QUARANTINED = "quarantined"
    REVOKED = "revoked"

    @property
    def stands(self) -> bool:
        """Whether people stand for the version and it is served: approved, deprecated or not."""
        return self in _STANDING


_STANDING: Final = frozenset({ToolState.APPROVED, ToolState.DEPRECATED})


class Channel(StrEnum):
    """Each maps a tool to the version it serves. A promotion goes from one to the next."""

    SANDBOX = "sandbox"
    STAGING = "staging"
    PRODUCTION = "production"


class Path(StrEnum):
    """The two ways through the one corridor."""

    SECURE = "secure"
    OPEN = "open"
