"""Profiles: how much the default policy asks, and how `observe` lets pass what `guarded` would not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from toolward.model.call import Action, LabelledCall
from toolward.model.decision import Allow, Decision
from toolward.model.principal import Principal
from toolward.model.tool import ToolVersion
from toolward.rules.policy.ceiling import Ceiling
from toolward.rules.policy.engine import Explanation, PolicyBook
from toolward.rules.policy.wording import combined


class Profile(StrEnum):
    """The shipped policy sets, `catalogue/profiles/<name>.cedar`."""

    OBSERVE = "observe"
    GUARDED = "guarded"
    STRICT = "strict"


class ObservingBook:
    """Two books: `enforced` decides, and of what it allows `shadow` says what it would have answered."""

    def __init__(self, enforced: PolicyBook, shadow: PolicyBook) -> None:
        self.enforced = enforced
        self.shadow = shadow
        self.digest = f"sha256:{combined([], enforced.digest, shadow.digest)}"
        self.vocabulary = enforced.vocabulary
        self.policies = enforced.policies

    def decide(self, labelled: LabelledCall, *, lifted: frozenset[str] = frozenset()) -> Decision:
        """As `PolicyBook.decide`; an `Allow` carries in `would` the reason the shadow would have given."""
        decision = self.enforced.decide(labelled, lifted=lifted)
        if not isinstance(decision, Allow):
            return decision
        shadow = self.shadow.decide(labelled, lifted=lifted)
        return decision if isinstance(shadow, Allow) else replace(decision, would=shadow.reason)

    def explain(self, labelled: LabelledCall) -> Explanation:
        """Of an allowed call that the shadow refuses, the shadow's explanation with the real decision."""
        decision = self.decide(labelled)
        if isinstance(decision, Allow) and decision.would is not None:
            return replace(self.shadow.explain(labelled), decision=decision)
        return self.enforced.explain(labelled)

    def moved(self, labelled: LabelledCall) -> str:
        """As `PolicyBook.moved`, by the book in which the ward's own policies stand."""
        return self.shadow.moved(labelled)

    def visible(
        self, principal: Principal, version: ToolVersion, *, approved: bool = True, found: bool = False
    ) -> bool:
        """As `PolicyBook.visible`, by the enforced book."""
        return self.enforced.visible(principal, version, approved=approved, found=found)

    def open_to(self, principal: Principal, action: Action) -> bool:
        """As `PolicyBook.open_to`, by the enforced book."""
        return self.enforced.open_to(principal, action)


Book = PolicyBook | ObservingBook


def compile_profile(
    profile: Profile,
    *,
    shipped: Mapping[Profile, str],
    tools: Sequence[ToolVersion],
    policies: Mapping[str, str] | None = None,
    ceilings: Mapping[str, Ceiling] | None = None,
    servers: Iterable[str] = (),
) -> Book:
    """The book of a ward: the shipped set of its profile, its own `policies`, its agents' `ceilings`.

    `shipped` holds the text of at least this profile, and of `guarded` for `observe`. While observing, the
    ward's own policies only say what they *would* do, as `guarded` does; the agents' ceilings are enforced,
    since they are part of who the caller is. Raises `WardError`.
    """
    own = dict(policies or {})
    known = tuple(servers)

    def compiled(
        which: Profile, files: Mapping[str, str], limits: Mapping[str, Ceiling] | None
    ) -> PolicyBook:
        text = {f"profile {which.value}": shipped[which], **files}
        return PolicyBook.compile(tools=tools, policies=text, ceilings=limits, servers=known)

    if profile is Profile.OBSERVE:
        return ObservingBook(compiled(profile, {}, ceilings), compiled(Profile.GUARDED, own, ceilings))
    return compiled(profile, own, ceilings)
