"""The decide stage: what the ward's policies say of one call. Fail closed, askable forbids, shadow books.

BASE is the permits and plain forbids, FULL is BASE and the askable forbids. **Allow** iff FULL allows,
**Ask** iff BASE allows and only askable forbids determine FULL's denial, else **Deny**. Cedar skips a forbid
that fails to evaluate and then may allow; so here any error of any policy at hand is a denial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from toolward.errors import ReasonCode, WardError
from toolward.model.call import Action, LabelledCall
from toolward.model.decision import Allow, Decision, Deny
from toolward.model.principal import Principal
from toolward.model.tool import ToolVersion
from toolward.rules.policy import names, wording
from toolward.rules.policy.cedar_request import Unjudgeable
from toolward.rules.policy.cedar_schema import Shape, Vocabulary, read_vocabulary
from toolward.rules.policy.ceiling import Ceiling, ceiling_policy
from toolward.rules.policy.check import Severity, read_files, validate
from toolward.rules.policy.conditions import Known, Path, applies, idle, looks_at_agent
from toolward.rules.policy.names import Uid
from toolward.rules.policy.policy_text import Policy
from toolward.rules.policy.prepared import Answer, Core, Prepared, prepare_core, prepare_question
from toolward.rules.policy.slicing import ANSWERS_MAX, CORES_MAX, SLICES_MAX, Question, Recent, SliceIndex

CONTEXT_REMEMBERED_MAX = 1_024
"""Characters of a context under which an answer is remembered; longer ones seldom come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a call was decided as it was. It may show arguments: for the operator, not for the agent."""

    decision: Decision
    determining: tuple[Policy, ...]
    considered: tuple[Policy, ...]
    errors: tuple[str, ...]
    context: str  # JSON text of what the policies at hand could see


class PolicyBook:
    """The compiled policies of one ward. Immutable but for its caches; used from one thread.

    The engine's answer is a function of who, what, where, and of what the policies at hand can see of the
    call: the pruned context, whose every fact is read anew for each call. So the same question under the
    same book is not put to the engine twice.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        policies: Sequence[Policy],
        *,
        sliced: bool = True,
        answers_max: int = ANSWERS_MAX,
        moving: PolicyBook | None = None,
    ) -> None:
        """Of validated policies; use `compile`. `sliced=False` judges with all policies, for tests.

        `moving` holds those of the policies alone that move what they permit to the secure path.
        """
        self._moving = moving
        self.vocabulary = vocabulary
        self.policies = tuple(policies)
        self.digest = f"sha256:{wording.combined([p.digest for p in policies], vocabulary.schema_text)}"
        self._index = SliceIndex(self.policies)
        self._agentive = frozenset(p.policy_id for p in self.policies if looks_at_agent(p.tree))
        self._sliced = sliced
        self._prepared: Recent[tuple[object, ...], Prepared] = Recent(SLICES_MAX)
        self._cores: Recent[tuple[object, ...], Core] = Recent(CORES_MAX)
        self._answers: Recent[tuple[Prepared, str], Decision] = Recent(answers_max)
        self._visible: Recent[tuple[object, ...], bool] = Recent(4 * SLICES_MAX)

    @classmethod
    def compile(
        cls,
        *,
        tools: Sequence[ToolVersion],
        policies: Mapping[str, str],
        ceilings: Mapping[str, Ceiling] | None = None,
        servers: Iterable[str] = (),
        answers_max: int = ANSWERS_MAX,
    ) -> PolicyBook:
        """Compile `policies` (file name -> Cedar text) and the agents' `ceilings` for these tool versions.

        `tools` are all versions that a call could resolve to, quarantined ones too; a version that is not
        among them is denied. `answers_max=0` puts every question to the engine. Raises `WardError` at the
        first policy that does not parse or validate.
        """
        vocabulary = read_vocabulary(tools, servers)
        files = dict(policies)
        for agent, ceiling in (ceilings or {}).items():
            files[f"ceiling of agent {agent}"] = ceiling_policy(agent, ceiling)
        read, findings = read_files(files)
        findings += validate(read, vocabulary)
        errors = [f for f in findings if f.severity is Severity.ERROR]
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            first = errors[0]
            raise WardError(f"{first.text}{more}", file=first.file, line=first.line, remedy=first.remedy)
        moving = [policy for policy in read if policy.secures]
        return cls(
            vocabulary,
            read,
            answers_max=answers_max,
            moving=cls(vocabulary, moving, answers_max=answers_max) if moving else None,
        )

    def decide(self, labelled: LabelledCall, *, lifted: frozenset[str] = frozenset()) -> Decision:
        """What the policies say; never raises for anything that a caller can send.

        `lifted` are the askable forbids that an approval of exactly this call named: they no longer stand
        against it, and nothing else changes.
        """
        prepared = self._prepare(labelled)
        if isinstance(prepared, Deny):
            return prepared
        try:
            context = prepared.core.context.build(labelled)
        except Unjudgeable as error:
            return Deny(reason=error.reason)
        if lifted:
            return _judge(prepared, context, lifted)[0]
        found = self._answers.get((prepared, context))
        if found is not None:
            return found
        decision, answer = _judge(prepared, context, lifted)
        if not answer.failed and len(context) <= CONTEXT_REMEMBERED_MAX:
            self._answers.put((prepared, context), decision)
        return decision

    def moved(self, labelled: LabelledCall) -> str:
        """The policy that moves the call to the secure path, "" if none does.

        One that can not be evaluated moves it too.
        """
        if self._moving is None:
            return ""
        decision = self._moving.decide(labelled)
        if isinstance(decision, Deny) and decision.reason.code is ReasonCode.DENIED:
            return ""  # none of them permits it
        return (decision.policies or (self._moving.policies[0].policy_id,))[0]

    def explain(self, labelled: LabelledCall) -> Explanation:
        """The decision again, with everything that led to it or was asked in vain."""
        prepared = self._prepare(labelled, narrowed=False)
        if isinstance(prepared, Deny):
            return _unexplained(prepared)
        core = prepared.core
        try:
            context = core.context.build(labelled)
        except Unjudgeable as error:
            return _unexplained(Deny(reason=error.reason), core.policies)
        decision, answer = _judge(prepared, context, frozenset())
        return Explanation(
            decision=decision,
            determining=core.named(answer.reasons),
            considered=core.policies,
            errors=answer.errors,
            context=context,
        )

    def visible(
        self, principal: Principal, version: ToolVersion, *, approved: bool = True, found: bool = False
    ) -> bool:
        """Whether some call of this tool could be allowed or asked for; for lists and search.

        Never hides what could be allowed. Hides what no permit can reach and what a plain forbid excludes
        by what is already certain: user, roles, agent, tool, effect, egress, approval, and being `found`.
        """
        shape = self.vocabulary.tools.get((version.key, version.digest))
        if shape is None:
            return False
        key = (principal.user, principal.roles, principal.agent, version.key, version.digest, approved, found)
        answer = self._visible.get(key)
        if answer is None:
            asked = _question(principal, shape, shape.resource_id)
            known = _known(asked, version, approved=approved, found=found)
            answer = self._visible.put(key, self._could_allow(asked, known))
        return answer

    def open_to(self, principal: Principal, action: Action) -> bool:
        """Whether an action of the gateway's own could be allowed or asked for; as `visible` is for tools."""
        asked = _question(principal, self.vocabulary.mcp[action], "")
        agent: dict[Path, object] = {("agent",): Uid(names.AGENT, asked.agent)}
        return self._could_allow(asked, _certain(asked, agent))

    def _could_allow(self, asked: Question, known: Known) -> bool:
        some_permit = False
        for policy in self._index.find(asked):
            if policy.permits:
                some_permit = some_permit or applies(policy.tree, known) is not False
            elif policy.ask is None and applies(policy.tree, known) is True:
                return False
        return some_permit

    def _prepare(self, labelled: LabelledCall, *, narrowed: bool = True) -> Prepared | Deny:
        """The policies, entities and schema for this who-what-where, from the cache where possible.

        `narrowed` leaves out those that certain facts of the call keep from applying: nobody has to find out
        for them what else they would look at.
        """
        resolved = labelled.resolved
        principal = resolved.call.session.principal
        action = resolved.call.action
        version = resolved.version
        which = (version.key, version.digest) if version else (action, resolved.server)
        settled = _settled(labelled.facts) if narrowed else ()
        key = (principal.user, principal.roles, principal.agent, action, which, settled)
        prepared = self._prepared.get(key)
        if prepared is not None:
            return prepared
        shape = self._shape(labelled)
        if shape is None:
            return wording.not_in_book()
        server = resolved.server
        asked = _question(principal, shape, shape.resource_id or server)
        policies = self._index.find(asked) if self._sliced else self.policies
        if narrowed and self._sliced:
            certain = _certain(asked, dict(zip(_SETTLED, settled, strict=True)))
            policies = tuple(policy for policy in policies if not idle(policy.tree, certain))
        ids = tuple(p.policy_id for p in policies)
        agent = "" if self._agentive.isdisjoint(ids) else principal.agent
        core_key = (shape.action_id, shape.groups, agent, ids)
        core = self._cores.get(core_key)
        if core is None:
            core = self._cores.put(core_key, prepare_core(shape, policies, principal.agent))
        return self._prepared.put(key, prepare_question(asked, core))

    def _shape(self, labelled: LabelledCall) -> Shape | None:
        resolved = labelled.resolved
        action = resolved.call.action
        if action is not Action.CALL_TOOL:
            return self.vocabulary.mcp[action]
        version = resolved.version
        return self.vocabulary.tools.get((version.key, version.digest)) if version else None


_SETTLED: Final[tuple[Path, ...]] = (
    ("call", "effect"),
    ("call", "writes"),
    ("call", "egress"),
    ("call", "found"),
    ("call", "critical"),
    ("call", "undo"),
    ("session", "tainted"),
    ("session", "read_confidential"),
)
"""Facts by which slices are told apart: few, seldom changing, and what most rules begin with."""
_settled: Final = attrgetter(*(name for _, name in _SETTLED))


def _question(principal: Principal, shape: Shape, resource_id: str) -> Question:
    servers = frozenset({Uid(names.SERVER, shape.server)}) if shape.server else frozenset()
    return Question(
        principal=Uid(names.USER, principal.user),
        roles=frozenset(Uid(names.ROLE, r) for r in principal.roles),
        action=Uid(names.ACTION, shape.action_id),
        groups=frozenset(Uid(names.ACTION, g) for g in shape.groups),
        resource=Uid(shape.resource_type, resource_id),
        servers=servers,
        agent=principal.agent,
    )


def _known(asked: Question, version: ToolVersion, *, approved: bool, found: bool) -> Known:
    effect = version.manifest.effect.value
    paths: dict[Path, object] = {
        ("agent",): Uid(names.AGENT, asked.agent),
        ("call", "effect"): effect,
        ("call", "writes"): Uid(names.ACTION, names.WRITES) in asked.groups,
        ("call", "egress"): version.manifest.egress,
        ("call", "approved"): approved,
        ("call", "found"): found,
    }
    return _certain(asked, paths)


def _certain(asked: Question, paths: Mapping[Path, object]) -> Known:
    ancestors = {asked.principal: asked.roles, asked.action: asked.groups, asked.resource: asked.servers}
    return Known(
        principal=asked.principal,
        action=asked.action,
        resource=asked.resource,
        ancestors=ancestors,
        paths=paths,
    )


def _judge(prepared: Prepared, context: str, lifted: frozenset[str]) -> tuple[Decision, Answer]:
    core = prepared.core
    full = prepared.ask_engine(core.full, context)
    if full.failed:
        return wording.failed(core.policies, full.errors), full
    determining = core.named(full.reasons)
    if full.allowed:
        digest = wording.policy_digest(determining)
        return Allow(policies=tuple(p.policy_id for p in determining), policy_digest=digest), full
    if not determining:
        return wording.not_permitted(), full
    if core.base is None or any(p.ask is None for p in determining):
        return wording.forbidden(determining), full
    base = prepared.ask_engine(core.base, context)
    if base.failed:
        return wording.failed(core.policies, base.errors), base
    if not base.allowed:
        return wording.not_permitted(), full
    standing = tuple(p for p in determining if p.policy_id not in lifted)
    if standing:
        return wording.asked(standing), full
    determining += core.named(base.reasons)
    digest = wording.policy_digest(determining)
    return Allow(policies=tuple(p.policy_id for p in determining), policy_digest=digest), base


def _unexplained(denial: Deny, considered: tuple[Policy, ...] = ()) -> Explanation:
    return Explanation(decision=denial, determining=(), considered=considered, errors=(), context="")
