"""From a ward's files and pins to everything that decides, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from toolward.config.shape import ConfidentialityName, WardConfig
from toolward.config.sources import to_sources
from toolward.config.ward import Ward
from toolward.kernel.objectives.pins import ObjectivePins
from toolward.kernel.registry.registry import Registry
from toolward.kernel.revision import OBJECTIVE_PIN, ActiveRevision
from toolward.model.label import Confidentiality
from toolward.model.revision import Revision
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind, ToolVersion
from toolward.rules.objective import compose
from toolward.rules.policy.ceiling import Ceiling
from toolward.rules.policy.engine import PolicyBook
from toolward.rules.policy.profile import Book, ObservingBook, Profile, compile_profile
from toolward.rules.revision import revision_digest
from toolward.rules.standing import Declared

UNSAFE_ALLOW_ALL = "UnsafeAllowAll"
UNSAFE_ANONYMOUS = "UnsafeAnonymous"


def compile_revision(
    ward: Ward,
    registry: Registry,
    approved: ObjectivePins,
    *,
    servers: Sequence[str],
    found: Sequence[ServerBinding] = (),
    trial: ToolVersion | None = None,
) -> ActiveRevision:
    """Everything that decides, compiled. Raises `WardError` for a policy that does not fit the tools.

    `approved` are the objectives that people approved; `servers` are those of functions of this process,
    `found` those of its discovery sources.
    `trial` is a version that shall be served beside the others, to see what would be.
    """
    config = ward.config
    bindings: dict[str, ServerBinding] = {each.server: each for each in (*ward.bindings, *found)}
    for server in servers:
        bindings.setdefault(server, ServerBinding(server=server, kind=BindingKind.PYTHON))
    marks = [UNSAFE_ALLOW_ALL] if config.unsafe.allow_all else []
    marks += [UNSAFE_ANONYMOUS] if config.unsafe.anonymous else []
    book = _book(ward, _tools(registry, trial), servers=tuple(bindings))
    return ActiveRevision(
        digest=revision_digest(ward.files, revision_of(ward, registry, approved).pins),
        profile=config.profile.value,
        channel=config.channel,
        channels={name: agent.channel for name, agent in config.agents.items() if agent.channel},
        clearances={
            name: Confidentiality[agent.clearance.name]
            for name, agent in config.agents.items()
            if agent.clearance is not ConfidentialityName.CONFIDENTIAL
        },
        book=book,
        bindings=bindings,
        objectives=_objectives(ward, registry, approved, book),
        identities={
            each.server: {one.server: one.identity() for one in each.all()}
            for each in ward.bindings
            if each.variants
        },
        review_by={key: said.review_by for key, (_, said) in ward.manifests.items() if said.review_by},
        definition_age_max_s={
            one.server: one.definitions_max_age_s for each in ward.bindings for one in each.all()
        },
        sources=to_sources(config.discovery, ward.path),
        shown_as=config.discovery.face,
        shown_to={name: agent.face for name, agent in config.agents.items() if agent.face is not None},
        marks=tuple(marks),
    )


def _tools(registry: Registry, trial: ToolVersion | None) -> list[ToolVersion]:
    served = registry.versions()
    return served if trial is None or trial in served else [*served, trial]


def _book(ward: Ward, tools: Sequence[ToolVersion], *, servers: Sequence[str]) -> Book:
    config = ward.config
    if config.unsafe.allow_all:
        everything = {UNSAFE_ALLOW_ALL: f'@id("{UNSAFE_ALLOW_ALL}")\npermit (principal, action, resource);'}
        return PolicyBook.compile(tools=tools, policies=everything, servers=servers)
    return compile_profile(
        Profile(config.profile.value),
        shipped=shipped_profiles(),
        tools=tools,
        policies=ward.policies,
        ceilings=ceilings_of(config),
        servers=servers,
    )


def _objectives(ward: Ward, registry: Registry, approved: ObjectivePins, book: Book) -> dict[str, Declared]:
    """The ward's objectives with what they are composed of now, and what was approved."""
    tools = {pin.key: pin.digest for pin in registry.pins() if pin.state.stands}
    own = book.shadow if isinstance(book, ObservingBook) else book
    policies = [(policy.policy_id, policy.text, policy.digest) for policy in own.policies]
    found = {}
    for name, objective in ward.objectives.items():
        pin = approved.pin(ward.config.channel, name)
        found[name] = Declared(
            objective=objective,
            composition=compose(objective, tools=tools, policies=policies),
            approved=pin.composition if pin is not None else None,
        )
    return found


def ceilings_of(config: WardConfig) -> dict[str, Ceiling]:
    """What each registered agent may do at most."""
    return {
        name: Ceiling(
            tools=agent.tools or None,
            servers=agent.servers or None,
            effects=tuple(effect.value for effect in agent.effects) or None,
        )
        for name, agent in config.agents.items()
    }


def shipped_profiles() -> dict[Profile, str]:
    """The Cedar text of every profile."""
    folder = resources.files("toolward.catalogue") / "profiles"
    return {each: (folder / f"{each.value}.cedar").read_text(encoding="utf-8") for each in Profile}


def revision_of(ward: Ward, registry: Registry, approved: ObjectivePins) -> Revision:
    """The ward's files, the pins of all channels, and the objectives that its own one approved."""
    here = ward.config.channel
    return Revision(
        files=ward.files,
        pins={
            f"{channel}/{pin.key}": f"{pin.digest} {pin.state.value}" for channel, pin in registry.every_pin()
        }
        | {f"{here}/{OBJECTIVE_PIN}{pin.name}": pin.composition.digest for pin in approved.of(here)},
    )
