"""`gates.yaml`: what a version must show to enter a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from toolward.config.finder import Finder
from toolward.config.section import Section
from toolward.config.yamltext import Node
from toolward.errors import WardError
from toolward.model.gate import (
    CanaryBounds,
    ComparedBounds,
    Gate,
    ServedBounds,
    ShadowBounds,
    Signoff,
    UsedBounds,
)
from toolward.model.tool import Channel

GATES_FILE: Final = "gates.yaml"
_DEFAULTS: Final = CanaryBounds()


class CanaryConfig(Section, frozen=True):
    """A share of the new sessions is served it first, and it ends by itself when it does worse."""

    share: Annotated[int, Meta(ge=1, le=99, description="Per cent of the new sessions.")] = _DEFAULTS.share
    calls: Annotated[int, Meta(ge=1, le=4_000, description="Of it, before it passes.")] = _DEFAULTS.calls
    minutes: Annotated[int, Meta(ge=0, le=30 * 24 * 60)] = _DEFAULTS.minutes
    slo: Annotated[float, Meta(gt=0, lt=1, description="Share of calls that are to be good.")] = _DEFAULTS.slo
    failures: Annotated[int, Meta(ge=2, le=100, description="In a row, after which it ends.")] = (
        _DEFAULTS.failures
    )


class ServedConfig(Section, frozen=True):
    """Another channel has served it."""

    channel: Channel
    calls: Annotated[int, Meta(ge=1, le=4_000)] = 1
    hours: Annotated[int, Meta(ge=0, le=365 * 24)] = 0
    errors_max: Annotated[float, Meta(ge=0, le=1, description="Share of those calls that may fail.")] = 0.01


class UsedConfig(Section, frozen=True):
    """It was used on the open path before; asked of found tools only."""

    calls: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    sessions: Annotated[int, Meta(ge=1, le=100)] = 3
    errors_max: Annotated[float, Meta(ge=0, le=1, description="Share of those calls that may fail.")] = 0.05


class ComparedConfig(Section, frozen=True):
    """Recorded calls of the present version were run with both."""

    calls: Annotated[int, Meta(ge=1, le=1_000)] = 10
    differences_max: Annotated[int, Meta(ge=0, le=1_000)] = 0


class ShadowConfig(Section, frozen=True):
    """Copies of live reads were run with it, and nobody saw its answers; of what writes, recorded calls."""

    calls: Annotated[int, Meta(ge=1, le=4_000)] = 50
    differences_max: Annotated[int, Meta(ge=0, le=4_000)] = 0


class SignoffConfig(Section, frozen=True):
    """People other than who proposed it, and than the tool's owner, agree."""

    people: Annotated[int, Meta(ge=1, le=10)] = 1
    role: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@+-]{0,128}$")] = ""


class GateConfig(Section, frozen=True):
    """What a version must show; what is left out is not asked for."""

    decision_tests: Annotated[bool, Meta(description="`tests/*.yaml`: what the policies say of calls.")] = (
        False
    )
    contract_tests: Annotated[bool, Meta(description="`tests/*.yaml`: what the tool answers.")] = False
    proof: Annotated[bool, Meta(description="`toolward tools prove` held.")] = False
    compatible: Annotated[
        bool, Meta(description="Policies, undoing, tests and recorded calls still fit its schema.")
    ] = False
    signed: Annotated[bool, Meta(description="Somebody signed this very version.")] = False
    compared: ComparedConfig | None = None
    shadow: ShadowConfig | None = None
    served: ServedConfig | None = None
    used: UsedConfig | None = None
    canary: CanaryConfig | None = None
    signoff: SignoffConfig | None = None


class GatesFile(Section, frozen=True):
    """`gates.yaml`: a gate for each channel that has one."""

    version: Annotated[int, Meta(ge=1, le=1, description="Of this file's format.")]
    channels: dict[Channel, GateConfig] = msgspec.field(default_factory=dict)


def to_gates(file: GatesFile) -> Mapping[Channel, Gate]:
    """What the file says."""
    return {channel: _gate(config) for channel, config in file.channels.items()}


def _gate(config: GateConfig) -> Gate:
    canary, served = config.canary, config.served
    compared, signoff = config.compared, config.signoff
    return Gate(
        decision_tests=config.decision_tests,
        contract_tests=config.contract_tests,
        proof=config.proof,
        compatible=config.compatible,
        signed=config.signed,
        compared=ComparedBounds(**msgspec.structs.asdict(compared)) if compared else None,
        shadow=ShadowBounds(**msgspec.structs.asdict(config.shadow)) if config.shadow else None,
        used=UsedBounds(**msgspec.structs.asdict(config.used)) if config.used else None,
        served=ServedBounds(**msgspec.structs.asdict(served)) if served else None,
        canary=CanaryBounds(**msgspec.structs.asdict(canary)) if canary else None,
        signoff=Signoff(**msgspec.structs.asdict(signoff)) if signoff else None,
    )


def check_gates(file: GatesFile, root: Node, roles: Mapping[str, tuple[str, ...]]) -> list[WardError]:
    """All findings between fields, and with `toolward.yaml`."""
    finder = Finder(root, GATES_FILE)
    for channel, gate in file.channels.items():
        here = ("channels", channel.value)
        if gate.served is not None and gate.served.channel is channel:
            finder.say(
                (*here, "served", "channel"),
                f"nothing gets into `{channel}` that it has to have served before",
                "name the channel before it",
            )
        if gate.signoff is not None and gate.signoff.role and gate.signoff.role not in roles:
            finder.say(
                (*here, "signoff", "role"),
                f"nobody has the role `{gate.signoff.role}`",
                "name who has it under `roles` in toolward.yaml",
            )
    return finder.found
