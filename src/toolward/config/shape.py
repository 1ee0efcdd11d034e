"""The shape of a ward's YAML files. Editors complete from the JSON Schemas generated out of these."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from toolward.config import limits
from toolward.config.approving import ApprovalsConfig
from toolward.config.discovery import DiscoveryConfig
from toolward.config.outputs import OutputConfig
from toolward.config.resilience import ResilienceConfig, ServerLimits, ToolLimits
from toolward.config.section import Section
from toolward.config.undoing import UndoConfig
from toolward.config.upstream_shape import CommandConfig, ModuleConfig, ToolName, VariantConfig, VariantId
from toolward.config.watching import WatchConfig
from toolward.model import capability
from toolward.model.face import Face
from toolward.model.tool import ArgumentKind, ArgumentRole, CallScope, Channel, Effect, Risk

ServerId = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", description="Server id.")]
TOOL_NAME_PATTERN = r"^[^/\s]{1,128}$"
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@+-]{1,128}$")]
Milliseconds = Annotated[int, Meta(ge=1, le=24 * 60 * 60 * 1000)]
ReviewDate = Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$", description="ISO date.")]


class Profile(StrEnum):
    """How much the default policy asks."""

    OBSERVE = "observe"
    GUARDED = "guarded"
    STRICT = "strict"


class SecretProvider(StrEnum):
    """Where secrets are kept."""

    ENV = "env"
    FILE = "file"
    KEYRING = "keyring"


class UpstreamAsk(StrEnum):
    """What a server may ask of the client during a call."""

    SAMPLING = "sampling"
    ELICITATION = "elicitation"
    ROOTS = "roots"


class Listen(Section, frozen=True):
    """Where the HTTP door and the console listen."""

    host: Annotated[
        str, Meta(description="Address to bind; keep it on loopback unless a proxy is before it.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 7420


class ServerConfig(Section, frozen=True):
    """One upstream: exactly one of `package`, `command`, `url`, `functions`, `commands` and `modules`."""

    package: Annotated[
        str,
        Meta(
            description="A pinned package, installed into an environment of its own.",
            examples=["pypi:mcp-server-git==2026.10.19", "npm:@scope/name@1.2.3"],
        ),
    ] = ""
    entry: Annotated[str, Meta(description="The package's program, where it is not the obvious one.")] = ""
    constraints: Annotated[
        tuple[str, ...], Meta(description="Further requirements of that environment, e.g. `mcp<2`.")
    ] = ()
    command: Annotated[str, Meta(description="A program to start; prefer `package`.")] = ""
    url: Annotated[str, Meta(description="A remote server (streamable HTTP).")] = ""
    functions: Annotated[
        str,
        Meta(description="A Python source file; each call of a function runs in a cage of its own."),
    ] = ""
    requirements: Annotated[
        tuple[str, ...],
        Meta(
            description="Packages for `functions`, in an environment of its own.", examples=["numpy==2.4.0"]
        ),
    ] = ()
    commands: Annotated[
        dict[ToolName, CommandConfig],
        Meta(description="Programs as tools; each call runs in a cage of its own."),
    ] = msgspec.field(default_factory=dict)
    modules: Annotated[
        dict[ToolName, ModuleConfig],
        Meta(description="WebAssembly modules as tools; each call runs by itself, without system calls."),
    ] = msgspec.field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    env: Annotated[dict[str, str], Meta(description="`${secret:NAME}` stands for a secret.")] = msgspec.field(
        default_factory=dict
    )
    headers: Annotated[dict[str, str], Meta(description="`${secret:NAME}` stands for a secret.")] = (
        msgspec.field(default_factory=dict)
    )
    private_network: Annotated[
        bool, Meta(description="The url's name may lead to private addresses: a server of your own network.")
    ] = False
    cwd: str = ""
    unsafe_no_sandbox: Annotated[
        bool, Meta(description="Its process runs outside any cage, as the gateway's own user.")
    ] = False
    stateless: Annotated[bool, Meta(description="One process may serve every session.")] = False
    accepts: Annotated[
        tuple[UpstreamAsk, ...], Meta(description="What the server may ask of the client during a call.")
    ] = ()
    roots: Annotated[
        tuple[str, ...], Meta(description="Directories inside which writes are expected; absolute paths.")
    ] = ()
    destinations: Annotated[
        tuple[str, ...], Meta(description="The operator's own hosts, addresses and accounts.")
    ] = ()
    timeout_ms: Annotated[Milliseconds, Meta(description="One call, where its manifest says nothing.")] = (
        limits.UPSTREAM_TIMEOUT_MS
    )
    start_timeout_ms: Annotated[Milliseconds, Meta(description="From start to the first answer.")] = (
        limits.UPSTREAM_START_MS
    )
    definitions_max_age_s: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400,
            description="How old the last comparison of its definitions may be before a call that writes.",
        ),
    ] = limits.DEFINITION_AGE_WRITES_MAX_S
    variants: Annotated[
        dict[VariantId, VariantConfig],
        Meta(description="Other versions of it, each run beside it when one of its tools is pinned there."),
    ] = msgspec.field(default_factory=dict)


class ConfidentialityName(StrEnum):
    """Who may read a value."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"


class AgentConfig(Section, frozen=True):
    """What an agent may do at most; policies can only narrow it. What is left out sets no ceiling."""

    description: str = ""
    channel: Annotated[
        Channel | None, Meta(description="Whose tools it is served; left out: the ward's channel.")
    ] = None
    servers: Annotated[tuple[ServerId, ...], Meta(min_length=1, description="Only these servers.")] = ()
    tools: Annotated[
        tuple[str, ...], Meta(min_length=1, description="Only these tools, as `server/tool`.")
    ] = ()
    effects: Annotated[tuple[Effect, ...], Meta(min_length=1, description="Only these effects.")] = ()
    face: Annotated[Face | None, Meta(description="What it is shown, instead of `discovery.face`.")] = None
    clearance: Annotated[
        ConfidentialityName,
        Meta(description="The most confidential that it is told; what is above is withheld from results."),
    ] = ConfidentialityName.CONFIDENTIAL


class SecretsConfig(Section, frozen=True):
    """Which provider answers `${secret:NAME}`."""

    provider: SecretProvider = SecretProvider.FILE
    file: Annotated[
        str, Meta(description="For `file`: mode 0600, relative to the ward; never checked in.")
    ] = ".toolward/secrets.json"


class RollbackConfig(Section, frozen=True):
    """When a session is rolled back without anybody asking."""

    on: Annotated[
        tuple[Literal["failure", "incident"], ...],
        Meta(
            description="`failure`: its host says that the objective failed; `incident`: a tool that it "
            "wrote with was quarantined. What a policy orders with `@rollback` needs no mention here."
        ),
    ] = ()
    require_proof: Annotated[
        bool,
        Meta(description="Approve `reversible` and `compensable` only after `toolward tools prove` held."),
    ] = False


class UnsafeConfig(Section, frozen=True):
    """Danger is in the name: each of these marks every record."""

    anonymous: Annotated[bool, Meta(description="Callers without a credential are let in.")] = False
    allow_all: Annotated[bool, Meta(description="Every policy is ignored.")] = False


class WardConfig(Section, frozen=True):
    """`toolward.yaml`: one deployment."""

    version: Annotated[int, Meta(ge=1, le=1, description="Of this file's format.")]
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    profile: Profile = Profile.GUARDED
    channel: Channel = Channel.PRODUCTION
    listen: Listen = Listen()
    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description="`Host` values that the HTTP door takes, besides loopback.")
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...], Meta(description="Browser origins that may call, besides the gateway's own.")
    ] = ()
    servers: dict[ServerId, ServerConfig] = msgspec.field(default_factory=dict)
    agents: dict[Name, AgentConfig] = msgspec.field(default_factory=dict)
    roles: Annotated[dict[Name, tuple[Name, ...]], Meta(description="Who has which role.")] = msgspec.field(
        default_factory=dict
    )
    signers: Annotated[
        dict[Name, str], Meta(description="Who may sign versions: name -> Ed25519 public key in base64.")
    ] = msgspec.field(default_factory=dict)
    approvals: Annotated[
        ApprovalsConfig, Meta(description="How people are asked, reminded and stood in for.")
    ] = ApprovalsConfig()
    secrets: SecretsConfig = SecretsConfig()
    discovery: DiscoveryConfig = DiscoveryConfig()
    rollback: RollbackConfig = RollbackConfig()
    resilience: ResilienceConfig = ResilienceConfig()
    watch: Annotated[
        WatchConfig, Meta(description="What is looked at beside the calls: contracts, staleness, results.")
    ] = WatchConfig()
    unsafe: UnsafeConfig = UnsafeConfig()


# --- tools/*.yaml ------------------------------------------------------------------------------------


class IntegrityName(StrEnum):
    """Who could have written a value."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


class EffectSource(StrEnum):
    """Where an entry's effect was read; `init` writes it, a person's own entry needs none."""

    MANIFEST = "manifest"
    CATALOGUE = "catalogue"
    HINT = "hint"
    DEFAULT = "default"


class LabelConfig(Section, frozen=True):
    """A label."""

    integrity: IntegrityName = IntegrityName.UNTRUSTED
    confidentiality: ConfidentialityName = ConfidentialityName.INTERNAL


class ArgumentConfig(Section, frozen=True):
    """What one argument decides and denotes."""

    role: ArgumentRole = ArgumentRole.AUTHORITY
    kind: ArgumentKind = ArgumentKind.VALUE


class PathEntry(Section, frozen=True):
    """A path that a call's own arguments decide."""

    template: Annotated[
        str,
        Meta(
            pattern=r"^\{(arg|dir):[^{}:/]+\}$",
            description="`{arg:NAME}`: the path in that argument; `{dir:NAME}`: the directory it lies in.",
        ),
    ]
    root: Annotated[str, Meta(description="Nothing outside it is ever granted.")]


GrantedPath = str | PathEntry


class LimitsConfig(Section, frozen=True):
    """What one execution may use up; what is left out has a default that is meant for small tools."""

    cpu_s: Annotated[int, Meta(ge=1, le=86_400)] = capability.CPU_S
    wall_ms: Milliseconds = capability.WALL_MS
    memory_bytes: Annotated[int, Meta(ge=16 * 1024 * 1024, le=1 << 40)] = capability.MEMORY_BYTES
    processes: Annotated[int, Meta(ge=1, le=4_096)] = capability.PROCESSES
    file_bytes: Annotated[int, Meta(ge=0, le=1 << 40)] = capability.FILE_BYTES
    output_bytes: Annotated[int, Meta(ge=1, le=256 * 1024 * 1024)] = capability.OUTPUT_BYTES
    scratch_bytes: Annotated[int, Meta(ge=0, le=1 << 40)] = capability.SCRATCH_BYTES
    scratch_inodes: Annotated[int, Meta(ge=1, le=10_000_000)] = capability.SCRATCH_INODES
    open_files: Annotated[int, Meta(ge=16, le=65_536)] = capability.OPEN_FILES
    written_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = capability.WRITTEN_BYTES


class CapabilitiesConfig(Section, frozen=True):
    """What an execution may touch: nothing but this, what its program runs from, and a scratch directory."""

    read: Annotated[tuple[GrantedPath, ...], Meta(description="Paths, to read.")] = ()
    write: Annotated[tuple[GrantedPath, ...], Meta(description="Paths to write and read.")] = ()
    network: Annotated[
        tuple[str, ...],
        Meta(description="Destinations.", examples=["api.example.org:443", "*.example.org:443"]),
    ] = ()
    unsafe_private_network: Annotated[
        tuple[str, ...], Meta(description="Destinations that may lead into your own network.")
    ] = ()
    secrets: Annotated[
        tuple[Name, ...],
        Meta(description="Secrets that functions and commands get as variables of that name."),
    ] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    limits: LimitsConfig = LimitsConfig()


class MinIsolation(StrEnum):
    """How strong a cage must be, or the call is denied."""

    NONE = "none"
    LANDLOCK = "landlock"
    NAMESPACES = "namespaces"
    WASM = "wasm"
    OWN_KERNEL = "own_kernel"


FieldName = Annotated[str, Meta(pattern=r"^[^/*~]{1,200}$", description="The name of a member.")]


class ToolEntry(Section, frozen=True):
    """What the operator says of one tool. What is left out is the worst case."""

    effect: Effect
    source: EffectSource = EffectSource.MANIFEST
    egress: Annotated[bool, Meta(description="May carry data out of the operator's reach.")] = True
    arguments: dict[str, ArgumentConfig] = msgspec.field(default_factory=dict)
    result: LabelConfig | None = None
    result_fields: Annotated[
        dict[Annotated[str, Meta(pattern=r"^(/.*)?$")], LabelConfig],
        Meta(description="JSON pointer into the result -> label; `*` any one part, `**` any number."),
    ] = msgspec.field(default_factory=dict)
    clearance: Annotated[
        ConfidentialityName, Meta(description="What may go where the tool sends to: this, or what is less.")
    ] = ConfidentialityName.INTERNAL
    trusted_fields: Annotated[
        tuple[FieldName, ...],
        Meta(description="Members of results, at any depth, that the server itself vouches for."),
    ] = ()
    timeout_ms: Milliseconds | None = None
    output_bytes_max: Annotated[int, Meta(ge=1, le=256 * 1024 * 1024)] = limits.OUTPUT_BYTES_MAX
    capabilities: Annotated[
        CapabilitiesConfig | None, Meta(description="Of each call, for functions and commands.")
    ] = None
    min_isolation: MinIsolation | None = None
    min_scope: Annotated[
        CallScope | None, Meta(description="The widest that may share a process with a call.")
    ] = None
    undo: Annotated[UndoConfig | None, Meta(description="How its effect is known, undone and held back.")] = (
        None
    )
    resilience: ToolLimits = ToolLimits()
    output: Annotated[OutputConfig | None, Meta(description="Results are held to the output schema.")] = None
    owner: str = ""
    purpose: str = ""
    review_by: ReviewDate = ""
    data_classes: tuple[Name, ...] = ()
    risk: Risk = Risk.UNRATED
    slo: Annotated[float, Meta(ge=0, lt=1, description="Share of calls that are to be good.")] = 0.0
    cost: Annotated[str, Meta(description="Of one call, in words.")] = ""


class ManifestFile(Section, frozen=True):
    """`tools/<server>.yaml`: who answers for a server's tools, and what they do."""

    server: ServerId
    owner: str = ""
    purpose: str = ""
    review_by: ReviewDate = ""
    risk: Risk = Risk.UNRATED
    capabilities: Annotated[
        CapabilitiesConfig | None,
        Meta(description="Of the server's process. Left out: its roots, to write in, and no network."),
    ] = None
    min_isolation: MinIsolation = MinIsolation.NONE
    min_scope: CallScope = CallScope.REMOTE
    resilience: ServerLimits = ServerLimits()
    trusted_fields: Annotated[
        tuple[FieldName, ...], Meta(description="As of a tool, for every tool of the server.")
    ] = ()
    tools: dict[Annotated[str, Meta(pattern=TOOL_NAME_PATTERN)], ToolEntry] = msgspec.field(
        default_factory=dict
    )
