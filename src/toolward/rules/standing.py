"""The standing of a ward's objectives in its channel: which may be opened, which steps may be taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolward.errors import Denied, Rejected
from toolward.errors import ReasonCode as Code
from toolward.model.objective import Objective, Step
from toolward.model.principal import Principal
from toolward.model.session import Session
from toolward.model.tool import Channel
from toolward.rules.objective import Composition, is_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """An objective of the ward, as it is composed now, and as it was approved for the ward's channel."""

    objective: Objective
    composition: Composition
    approved: Composition | None  # None: nobody approved it for this channel

    @property
    def stands(self) -> bool:
        """Whether it is exactly what was approved."""
        return self.approved is not None and self.approved.digest == self.composition.digest

    def may_be_critical(self, channel: Channel) -> None:
        """Raise `Denied` where its decision-critical steps are not for this channel."""
        if channel is not Channel.PRODUCTION or self.stands:
            return
        name = self.objective.name
        if self.approved is None:
            text = (
                f"the objective `{name}` has decision-critical steps, and nobody approved it for `{channel}`"
            )
        else:
            changed = ", ".join(self.composition.changes(self.approved)[:5])
            text = f"the objective `{name}` is not what was approved for `{channel}`: {changed} changed"
        raise Denied(
            text,
            code=Code.OBJECTIVE_NOT_APPROVED,
            remedy=f"have a person look at it: toolward objectives show {name}",
            details=(("objective", name), ("channel", channel.value)),
        )


Objectives = Mapping[str, Declared]


@dataclass(frozen=True, slots=True)
class Move:
    """A step that a session is moved to, by whom, and the digest of what its objective is composed of."""

    step: str
    composition: str
    by: Principal


def first_move(objective: str, objectives: Objectives, channel: Channel, *, by: Principal) -> Move | None:
    """Where a session for `objective` begins; None where it is the host's own words.

    Raises `Rejected` for the name of one that is not declared, `Denied` for one that is not approved.
    """
    declared = objectives.get(objective)
    if declared is None:
        if not is_name(objective):
            return None
        known = ", ".join(sorted(objectives)) or "none"
        raise Rejected(
            f"no objective `{objective}` is declared",
            code=Code.UNKNOWN_OBJECTIVE,
            remedy=f"declared are: {known}; words of your own hold a space or a capital letter",
        )
    if declared.objective.is_critical:
        declared.may_be_critical(channel)
    return Move(declared.objective.steps[0].name, declared.composition.digest, by)


def check_open(session: Session) -> None:
    """Raise `Denied` where the session's objective has ended."""
    if session.ended:
        raise Denied(
            f"the objective of this session has ended ({session.ended})",
            code=Code.OBJECTIVE_ENDED,
            remedy="have the host open a new session",
        )


def step_named(objective: str, name: str, objectives: Objectives, channel: Channel) -> Step:
    """A step of the objective that a session was opened for.

    Raises `Denied` where the ward no longer declares the objective, there is no such step, or the step is
    decision-critical and the objective not approved.
    """
    declared = objectives.get(objective)
    if declared is None:
        raise Denied(
            f"the ward no longer declares the objective `{objective}`",
            code=Code.UNKNOWN_OBJECTIVE,
            remedy="have the host open a session for one that it declares",
        )
    step = declared.objective.step(name)
    if step is None:
        known = ", ".join(each.name for each in declared.objective.steps)
        raise Denied(
            f"the objective `{objective}` has no step `{name[:100]}`",
            code=Code.UNKNOWN_STEP,
            remedy=f"have the host move to one of: {known}",
        )
    if step.critical:
        declared.may_be_critical(channel)
    return step
