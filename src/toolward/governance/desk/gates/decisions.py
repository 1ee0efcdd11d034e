"""Decision tests: what the policies are to say of a call, run on the compiled book without any server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from toolward.config.testing import DecisionTest
from toolward.errors import CallerError
from toolward.governance.desk.context import Desk
from toolward.kernel.attempt import Attempt
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.stages.decide import decide
from toolward.kernel.stages.resolve import process_scope
from toolward.model.call import Action, ResolvedCall
from toolward.model.decision import Allow
from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import ToolState, ToolVersion


class Answer(NamedTuple):
    """allow, ask or deny, and the code of a refusal."""

    decision: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One test and how it came out."""

    test: DecisionTest
    file: str
    line: int
    answer: Answer

    @property
    def holds(self) -> bool:
        """Whether it is what was expected."""
        same = self.answer.decision == self.test.expect.value
        return same and (not self.test.reason or self.test.reason == self.answer.code)

    @property
    def text(self) -> str:
        """What is wrong; "" where it holds."""
        if self.holds:
            return ""
        wanted = self.test.expect.value + (f" ({self.test.reason})" if self.test.reason else "")
        got = self.answer.decision + (f" ({self.answer.code})" if self.answer.code else "")
        return f"`{self.test.name}`: expected {wanted}, got {got}"


def decided(desk: Desk, revision: ActiveRevision, version: ToolVersion | None, test: DecisionTest) -> Answer:
    """What would be decided of a test's call if `version` were served."""
    if version is None:
        return Answer("deny", "unknown_tool")
    principal = Principal(
        user=test.user,
        agent=test.agent,
        roles=test.roles,
        credential="test",
        kind=CredentialKind.IN_PROCESS,
    )
    try:
        session = trial_session(desk, principal, prompt=test.prompt, tainted=test.tainted)
        resolved = _resolved(desk, revision, version, test, session)
    except CallerError as refusal:
        return Answer("deny", refusal.reason.code.value)
    decision = decide(desk.parts.label(resolved, revision), revision)
    if isinstance(decision, Allow):
        return Answer("allow")
    return Answer(type(decision).__name__.lower(), decision.reason.code.value)


def _resolved(
    desk: Desk, revision: ActiveRevision, version: ToolVersion, test: DecisionTest, session: Session
) -> ResolvedCall:
    attempt = Attempt(
        principal=session.principal,
        session_id=session.session_id,
        action=Action.CALL_TOOL,
        params={"name": version.name, "arguments": test.arguments},
        server=version.server,
        door="test",
    )
    call = desk.parts.admit(attempt, session)
    desk.parts.registry.schema(version).check(call.arguments)
    runner = revision.runner(version) or version.server
    return ResolvedCall(
        call=call,
        server=version.server,
        name=version.name,
        version=version,
        state=ToolState.APPROVED,
        variant="" if runner == version.server else runner,
        isolation=version.manifest.min_isolation,
        scope=process_scope(revision.upstream(runner)),
    )


def trial_session(desk: Desk, principal: Principal, *, prompt: str, tainted: bool) -> Session:
    """A session that is nobody's, to ask what would be decided in it."""
    now = desk.clock.now_ns()
    integrity = Integrity.UNTRUSTED if tainted else Integrity.TRUSTED
    return Session(
        session_id="explain",
        principal=principal,
        origin=SessionOrigin.HANDLE,
        prompt=prompt,
        taint=Label(integrity, Confidentiality.PUBLIC),
        opened_ns=now,
        last_used_ns=now,
    )
