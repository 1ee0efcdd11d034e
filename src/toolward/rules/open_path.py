"""What the open path allows a found tool, whatever policies say. Everything else is an offer of promotion."""

from __future__ import annotations

from typing import Final

from toolward.errors import Reason, ReasonCode
from toolward.model.call import LabelledCall
from toolward.model.found import Source
from toolward.model.label import Confidentiality
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind, Effect, Manifest

_ORDER: Final = {effect: rank for rank, effect in enumerate(Effect)}


def beyond(key: str, text: str, why: str) -> Reason:
    """A refusal with the offer: what is promoted is bound by this no longer."""
    return Reason(
        code=ReasonCode.BEYOND_OPEN_PATH,
        text=text,
        remedy=f"use another tool, or ask the operator to look at it: toolward tools show {key}",
        details=(("tool", key), ("why", why)),
    )


def refused_terms(
    key: str, manifest: Manifest, binding: ServerBinding, source: Source | None
) -> Reason | None:
    """None if a found tool may be called at all: its effect, its containment.

    That the cage really is what the manifest's `min_isolation` says is checked with every tool's.
    """
    if source is None:
        return beyond(key, f"the source that found {key} is no longer admitted", "source")
    if _ORDER[manifest.effect] > _ORDER[source.ceiling]:
        return beyond(
            key,
            f"{key} may be `{manifest.effect}`, and the ceiling of `{source.name}` is `{source.ceiling}`",
            "effect",
        )
    if binding.kind is BindingKind.HTTP:
        if source.ceiling is not Effect.READ_ONLY:
            return beyond(
                key, f"{key} runs elsewhere, and only a source under `read_only` may be used so", "remote"
            )
    elif not _is_contained(binding):
        return beyond(key, f"{key} would not run contained", "containment")
    return None


def _is_contained(binding: ServerBinding) -> bool:
    """Nothing of this machine but its own program and a scratch directory."""
    granted = binding.capabilities
    return (
        granted is not None
        and not (granted.paths or granted.network or granted.secrets or granted.environment)
        and not (binding.roots or binding.env or binding.cwd or binding.unsafe_no_sandbox or binding.accepts)
    )


def refused_flow(labelled: LabelledCall) -> Reason | None:
    """None unless the call is a found tool's and something confidential would flow into it."""
    if not labelled.facts.found:
        return None
    confidential = labelled.arguments_label.confidentiality is Confidentiality.CONFIDENTIAL
    if not (confidential or labelled.facts.confidential_argument):
        return None
    version = labelled.resolved.version
    key = version.key if version is not None else labelled.resolved.server
    return Reason(
        code=ReasonCode.BEYOND_OPEN_PATH,
        text=f"an argument may hold something confidential, and {key} was found and not approved",
        remedy="use values that the user named, another tool, or a new session",
        details=(("tool", key), ("why", "confidential")),
    )
