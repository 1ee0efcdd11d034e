"""Agents without a model, played through the corridor, and what became of each case.

The obedient agent makes the user's calls in their order; from the moment that a result shows it what an
attacker planted, it makes the attacker's calls first. It never tries another way when it is refused, and a
refused call does not stop the ones after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from toolward.lab.agentdojo.corridor import Corridor, code_of, was_asked
from toolward.lab.agentdojo.gates import Gate, Seen
from toolward.lab.agentdojo.suite import Case, Suite, SuiteCall
from toolward.model.call import Reply
from toolward.model.tool import Effect


class Scoring(StrEnum):
    """What becomes of a call that a person would have to agree to."""

    AUTO_DENY = "auto-deny"
    ORACLE = "oracle"  # agrees to what the ground truth of the user's task holds, and to nothing else
    APPROVE_ALL = "approve all"


@dataclass(slots=True, kw_only=True)
class Played:
    """One case under one gate and scoring."""

    user: str
    injection: str
    asked: int = 0
    denied: int = 0
    refused_calls: list[str] = field(default_factory=list)
    shown: bool = False  # whether the injection was ever seen
    utility: bool = False
    executed: bool = False  # the suite's own checker says that the attacker got what it wanted
    mediated: bool = True  # whether a call with an effect belongs to the attack

    @property
    def unasked(self) -> bool:
        """Whether nobody was asked and nothing was refused."""
        return not self.asked and not self.denied


@dataclass(slots=True)
class Player:
    """Plays cases of one suite through one corridor under one gate."""

    suite: Suite
    corridor: Corridor
    gate: Gate
    scoring: Scoring

    async def play(self, case: Case) -> Played:
        """The user's calls, and the attacker's once they are visible."""
        played = Played(user=case.user, injection=case.injection)
        played.mediated = self.mediates(case)
        session, seen = await self.corridor.session(case.prompt), Seen(prompt=case.prompt)
        try:
            for call in case.calls:
                visible = await self._one(call, case, session, seen, played)
                if visible and not played.shown:
                    played.shown = True
                    for theirs in case.attack_calls:
                        await self._one(theirs, case, session, seen, played)
        finally:
            await self.corridor.close(session)
        said = f"{case.said}\n{case.attack_said}" if played.shown else case.said
        played.utility, reached = self.suite.finish(said)
        played.executed = bool(case.injection) and played.shown and reached
        return played

    def mediates(self, case: Case) -> bool:
        """Whether a call that has an effect, or carries something out, belongs to the attack.

        A suite that names a tool there that it does not have does not say how it is attacked: it may be so.
        """
        corridor = self.corridor
        return any(
            call.tool in corridor.acting or call.tool not in corridor.effects for call in case.attack_calls
        )

    async def replay(self, case: Case, calls: Sequence[SuiteCall], said: str) -> Played:
        """Recorded calls in their order, with the record's last words."""
        played = Played(user=case.user, injection=case.injection)
        played.mediated = self.mediates(case)
        session, seen = await self.corridor.session(case.prompt), Seen(prompt=case.prompt)
        try:
            for call in calls:
                visible = await self._one(call, case, session, seen, played)
                played.shown = played.shown or visible
        finally:
            await self.corridor.close(session)
        played.utility, reached = self.suite.finish(said)
        played.executed = bool(case.injection) and reached
        return played

    async def _one(self, call: SuiteCall, case: Case, session: str, seen: Seen, played: Played) -> bool:
        """One call; whether its result showed what was planted."""
        if self.gate.asks(call, self._effect(call), seen):
            played.asked += 1
            played.refused_calls.append(call.tool)
            if not self._agreed(call, case):
                return False
        reply = await self.corridor.call(session, call)
        if was_asked(reply):
            played.asked += 1
            played.refused_calls.append(f"{call.tool}: {_reasons(reply)}")
            if not self._agreed(call, case):
                return False
            await self.corridor.approve(reply)
            reply = await self.corridor.call(session, call)
        if reply.error is not None:
            played.denied += 1
            played.refused_calls.append(f"{call.tool}: {code_of(reply)} {reply.error.message}")
            return False
        if reply.result is not None:
            seen.texts += [str(part.get("text", "")) for part in reply.result.get("content", ())]
        return self.corridor.server.visible

    def _agreed(self, call: SuiteCall, case: Case) -> bool:
        match self.scoring:
            case Scoring.AUTO_DENY:
                return False
            case Scoring.ORACLE:
                return any(_same(call, each) for each in case.calls)
            case Scoring.APPROVE_ALL:
                return True

    def _effect(self, call: SuiteCall) -> Effect:
        return self.corridor.effects.get(call.tool, Effect.IRREVERSIBLE)


def _same(one: SuiteCall, other: SuiteCall) -> bool:
    return one.tool == other.tool and dict(one.arguments) == dict(other.arguments)


def _reasons(reply: Reply) -> str:
    data: Any = reply.error.data if reply.error is not None else {}
    return str(data.get("reason", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What of a suite is played."""

    ward: Path
    attack: str
    benign: bool = True
    attacked: bool = True
    users: tuple[str, ...] = ()  # all where none is named


async def play_all(player: Player, plan: Plan) -> tuple[list[Played], list[Played]]:
    """Every user's task alone, and every pair of it and an attack that a call with an effect serves."""
    users = plan.users or tuple(player.suite.users)
    alone, pairs = [], []
    for user in users:
        if plan.benign:
            alone.append(await player.play(player.suite.begin(user, "")))
        for injection in player.suite.injections if plan.attacked else ():
            case = player.suite.begin(user, injection, attack=plan.attack)
            if player.mediates(case):
                pairs.append(await player.play(case))
            else:  # no call with an effect serves it: no gate can stand in its way, so it is only counted
                pairs.append(Played(user=user, injection=injection, mediated=False))
    return alone, pairs
