"""What is made ready once for each who-what-where, so that a decision only builds a small context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cedarpy
import orjson
from cedarpy import pst

from toolward.rules.policy.cedar_request import ContextBuilder, compile_context, prune
from toolward.rules.policy.cedar_schema import Shape, action_schema
from toolward.rules.policy.conditions import mentions, with_agent
from toolward.rules.policy.names import Uid
from toolward.rules.policy.policy_text import Policy
from toolward.rules.policy.slicing import Question


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine said of one set of policies."""

    allowed: bool
    failed: bool  # no decision, or an error of any policy: never to be taken as an answer
    reasons: tuple[str, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Core:
    """A slice, parsed: shared by all users for whom the same policies matter. `base` is None without asks."""

    policies: tuple[Policy, ...]
    by_id: dict[str, Policy]
    full: cedarpy.PolicySet
    base: cedarpy.PolicySet | None
    schema: cedarpy.Schema
    context: ContextBuilder

    def named(self, ids: Sequence[str]) -> tuple[Policy, ...]:
        """The policies of these ids, in the order of the book."""
        if len(ids) == 1:
            return (self.by_id[ids[0]],)
        wanted = set(ids)
        return tuple(p for p in self.policies if p.policy_id in wanted)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A core, with the entities and the head of the request of one who-what-where. Equal only to itself."""

    core: Core
    head: dict[str, Any]
    entities: cedarpy.Entities

    def ask_engine(self, policies: cedarpy.PolicySet, context: str) -> Answer:
        """Evaluate with the schema; everything but a clean answer is `failed`."""
        request = {**self.head, "context": context}
        try:
            result = cedarpy.is_authorized(request, policies, self.entities, self.core.schema)
        except (ValueError, TypeError, RuntimeError) as error:
            return Answer(allowed=False, failed=True, reasons=(), errors=(str(error),))
        diagnostics = result.diagnostics
        errors = tuple(diagnostics.errors)
        decision = result.decision
        return Answer(
            allowed=decision is cedarpy.Decision.Allow and not errors,
            failed=bool(errors) or decision is cedarpy.Decision.NoDecision,
            reasons=tuple(diagnostics.reasons),
            errors=errors,
        )


def prepare_core(shape: Shape, policies: Sequence[Policy], agent: str) -> Core:
    """Parse a slice, with the schema and context builder pruned to what its policies mention."""
    trees = {p.policy_id: with_agent(p.tree, agent) for p in policies}
    mentioned = frozenset(path for tree in trees.values() for path in mentions(tree))
    context = prune(shape.context, mentioned)
    plain = {p.policy_id: trees[p.policy_id] for p in policies if p.ask is None}
    return Core(
        policies=tuple(policies),
        by_id={p.policy_id: p for p in policies},
        full=_policy_set(trees),
        base=_policy_set(plain) if len(plain) < len(trees) else None,
        schema=cedarpy.Schema.from_str(action_schema(shape, context)),
        context=compile_context(context),
    )


def prepare_question(asked: Question, core: Core) -> Prepared:
    """The entities that policies can ask about: who, what and on what, with their ancestors."""
    entities = [
        _entity(asked.principal, sorted(asked.roles)),
        _entity(asked.action, sorted(asked.groups)),
        _entity(asked.resource, sorted(asked.servers)),
    ]
    head = {
        "principal": asked.principal._asdict(),
        "action": asked.action._asdict(),
        "resource": asked.resource._asdict(),
    }
    return Prepared(core, head, cedarpy.Entities.from_json_str(orjson.dumps(entities).decode()))


def _entity(uid: Uid, parents: Sequence[Uid]) -> dict[str, Any]:
    return {"uid": uid._asdict(), "attrs": {}, "parents": [p._asdict() for p in parents]}


def _policy_set(trees: dict[str, pst.Template]) -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_pst(pst.PolicySet({}, trees, ()))
