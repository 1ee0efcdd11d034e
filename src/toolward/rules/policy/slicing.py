"""Which policies can matter for one question, found by their scopes alone.

Sound because only what is certain is used: a scope (`==`, `in`, `is`) that does not match makes Cedar skip
the policy without looking at its conditions, and a leading `context.agent == Agent::"…"` for another agent
makes it unsatisfied without an error (`conditions.agent_guard`). Everything else is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cedarpy import pst

from toolward.rules.policy import names
from toolward.rules.policy.conditions import agent_guard, uid_of
from toolward.rules.policy.names import Uid
from toolward.rules.policy.policy_text import Policy

SLICES_MAX: Final = 4_096
"""Questions kept ready; one holds a handful of entities."""
ANSWERS_MAX: Final = 4_096
"""Answers of the engine that are remembered for one book."""
CORES_MAX: Final = 1_024
"""Slices kept ready; one holds some parsed policies and an action's schema, tens of kilobytes."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who, what, on what, with all ancestors: everything that a scope can ask."""

    principal: Uid
    roles: frozenset[Uid]
    action: Uid
    groups: frozenset[Uid]
    resource: Uid
    servers: frozenset[Uid]
    agent: str


_ANY: Final = Uid("", "")


class SliceIndex:
    """The policies of a book, found by the most selective uid of their scope."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._by_uid: dict[Uid, list[tuple[int, Policy, str | None]]] = {}
        for position, policy in enumerate(policies):
            entry = (position, policy, agent_guard(policy.tree))
            for uid in _keys(policy.tree, entry[2]):
                self._by_uid.setdefault(uid, []).append(entry)

    def find(self, asked: Question) -> tuple[Policy, ...]:
        """The policies whose scope matches, in the order of the book."""
        uids = {asked.principal, asked.action, asked.resource, Uid(names.AGENT, asked.agent), _ANY}
        found: dict[int, Policy] = {}
        for uid in uids | asked.roles | asked.groups | asked.servers:
            for position, policy, agent in self._by_uid.get(uid, ()):
                if agent is not None and agent != asked.agent:
                    continue
                if _scope_matches(policy.tree, asked):
                    found[position] = policy
        return tuple(found[i] for i in sorted(found))


def _keys(tree: pst.Template, agent: str | None) -> tuple[Uid, ...]:
    """Where a policy is filed: every question that it matches holds one of these uids."""
    for constraint in (tree.resource, tree.principal):
        if isinstance(constraint, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn):
            return (_uid(constraint.entity),)
    if agent is not None:
        return (Uid(names.AGENT, agent),)
    if isinstance(tree.action, pst.ActionEq):
        return (uid_of(tree.action.entity),)
    if isinstance(tree.action, pst.ActionIn):
        return tuple(dict.fromkeys(uid_of(x) for x in tree.action.entities))
    return (_ANY,)


def _uid(entity: pst.EntityOrSlot) -> Uid:
    # Templates are refused when policies are read, so a slot never stands here; if one did, file under a
    # uid that nothing has would lose the policy, hence "any".
    return uid_of(entity) if isinstance(entity, pst.EntityUid) else _ANY


def _scope_matches(tree: pst.Template, asked: Question) -> bool:
    return (
        _matches(tree.principal, asked.principal, asked.roles)
        and _matches(tree.resource, asked.resource, asked.servers)
        and _action_matches(tree.action, asked)
    )


def _matches(constraint: pst.PrincipalOrResourceConstraint, uid: Uid, above: frozenset[Uid]) -> bool:
    if isinstance(constraint, pst.ScopeAny):
        return True
    if isinstance(constraint, pst.ScopeIs):
        return str(constraint.entity_type) == uid.type
    if isinstance(constraint, pst.ScopeIsIn) and str(constraint.entity_type) != uid.type:
        return False
    wanted = _uid(constraint.entity)
    if wanted in (uid, _ANY):
        return True
    return not isinstance(constraint, pst.ScopeEq) and wanted in above


def _action_matches(constraint: pst.ActionConstraint, asked: Question) -> bool:
    if isinstance(constraint, pst.ScopeAny):
        return True
    if isinstance(constraint, pst.ActionEq):
        return uid_of(constraint.entity) == asked.action
    wanted = {uid_of(x) for x in constraint.entities}
    return asked.action in wanted or not wanted.isdisjoint(asked.groups)


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The most recently used answers, at most `size`. Not thread-safe: one book belongs to one loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The answer, if it is still kept; it counts as used."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> V:
        """Keep an answer, dropping the one unused longest."""
        self._kept[key] = value
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value
