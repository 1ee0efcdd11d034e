"""3 label: where each argument came from, and the facts that follow."""

from __future__ import annotations

from msgspec.structs import replace

from toolward.kernel.revision import ActiveRevision
from toolward.kernel.sessions import Sessions
from toolward.kernel.stages.read_late import read_late
from toolward.model.call import LabelledCall, ResolvedCall
from toolward.model.tool import Path
from toolward.rules.flow import label_call
from toolward.rules.integrity.mechanisms import EVERYTHING
from toolward.rules.path import moved_by


class Label:
    """Stage 3. The rule is pure; this brings it the session as the store has it now."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.mechanisms = EVERYTHING  # fewer only where a measurement shows what each buys

    def __call__(self, resolved: ResolvedCall, revision: ActiveRevision) -> LabelledCall:
        """Never fails: what is not known is untrusted."""
        asked = resolved.call.session
        session = self._sessions.judged(self._sessions.current(asked.session_id) or asked)
        leaves, label, facts = label_call(
            resolved,
            session,
            self._sessions.memory(session.session_id),
            revision.upstream(resolved.upstream),
            mechanisms=self.mechanisms,
        )
        signals, history = read_late(
            resolved, facts, session, revision.binding(resolved.server), self._sessions
        )
        labelled = LabelledCall(
            resolved=resolved,
            leaves=leaves,
            arguments_label=label,
            facts=facts,
            signals=signals,
            history=history,
        )
        if facts.critical or not (policy := revision.book.moved(labelled)):
            return labelled
        moved = replace(facts, critical=True, path=Path.SECURE, path_why=moved_by(policy))
        return replace(labelled, facts=moved)
