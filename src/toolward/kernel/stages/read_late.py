"""What the label stage gives policies to ask about: a call's signals and its session's history, read late."""

from __future__ import annotations

from toolward.kernel.sessions import Sessions
from toolward.model.call import Facts, ResolvedCall
from toolward.model.server import ServerBinding
from toolward.model.session import Session
from toolward.model.signal import QUIET, HistoryFacts, SignalFacts, Telling
from toolward.rules.signals.arguments import CallSignals, Outgoing, Surroundings, has_signals
from toolward.rules.signals.history import CallHistory
from toolward.rules.telling.explained import Ground, telling, tells_server


def read_late(
    resolved: ResolvedCall, facts: Facts, session: Session, binding: ServerBinding | None, sessions: Sessions
) -> tuple[SignalFacts, HistoryFacts]:
    """Nothing is looked at before somebody asks; what is asked is answered as of this turn."""
    session_id = session.session_id

    def was_read(text: str) -> bool:
        return bool(sessions.memory(session_id).pages(text))

    def going(places: frozenset[str], size: int) -> Outgoing:
        tool = resolved.version.key if resolved.version is not None else resolved.server
        seen = sessions.histories.of(session_id).places
        return sessions.outflow.going(session.principal.agent, tool, seen, places, size)

    signals: SignalFacts = QUIET
    if has_signals(resolved, facts):
        around = Surroundings(prompt=session.prompt, binding=binding, was_read=was_read, going=going)
        signals = CallSignals(resolved, facts, around)
    own = sessions.histories.of(session_id)

    def tell() -> Telling:
        memory, step = sessions.memory(session_id), resolved.step
        said = (session.prompt, session.objective, step.words if step is not None else "")
        ground = Ground(
            words="\n".join(filter(None, said)),
            told=own.told.get(resolved.server, frozenset()),
            earlier=own.earlier_of(memory.index, resolved.server, whole=not memory.overflowed),
        )
        return telling(resolved, ground)

    history = CallHistory(
        own,
        resolved,
        opened_ns=session.opened_ns,
        now_ns=sessions.clock.now_ns,
        places=lambda: sessions.outflow.digests(signals.places),
        tell=tell if facts.read_confidential and tells_server(resolved, facts) else None,
    )
    return signals, history
