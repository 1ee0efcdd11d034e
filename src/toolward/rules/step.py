"""The step that a session is in: what it names, what was done in it, and when its bounds are used up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from toolward.errors import Contested, Denied
from toolward.errors import ReasonCode as Code
from toolward.model.call import LIST_ACTIONS, OWN_ACTIONS, UPSTREAM_ACTIONS, Action, Call, LabelledCall
from toolward.model.objective import Objective, Step
from toolward.model.session import Session, StepRun
from toolward.model.tool import Effect
from toolward.rules.objective import matches

_COUNTED = frozenset(Action) - LIST_ACTIONS - UPSTREAM_ACTIONS - OWN_ACTIONS
"""What an agent does; lists, and what a server asks during a call, are counted by nobody."""


def names_tool(step: Step, key: str) -> bool:
    """Whether the step may use the tool `server/name`."""
    return any(matches(pattern, key) for pattern in step.tools)


def names_server(step: Step, server: str) -> bool:
    """Whether the step may use some tool of that server."""
    return any(pattern.partition("/")[0] == server for pattern in step.tools)


def check_named(call: Call, step: Step, objective: Objective, *, server: str, key: str) -> None:
    """Raise `Denied` for what the step does not name; `key` is the tool's, "" where none is called.

    What servers offer besides tools has no version that anybody approved: it is read in steps that name the
    server, and not in decision-critical ones.
    """
    no = ""
    if key:
        no = "" if names_tool(step, key) else f"the step `{step.name}` does not use {key}"
    elif server and call.action is not Action.LIST_TOOLS and not names_server(step, server):
        no = f"the step `{step.name}` uses no tool of `{server}`"
    if no:
        raise Denied(
            no,
            code=Code.NOT_IN_STEP,
            remedy=f"it uses {', '.join(step.tools) or 'no tool'}",
            details=_where(step, objective),
        )
    if step.critical and server and not key and call.action not in LIST_ACTIONS:
        raise Denied(
            f"the step `{step.name}` is decision-critical, and nobody approved what `{call.action}` brings",
            code=Code.SECURE_PATH,
            remedy="read it in another step, or by an approved tool",
            details=_where(step, objective),
        )


def _where(step: Step, objective: Objective) -> tuple[tuple[str, str], ...]:
    """What an agent can tell its host: where it is, what is open to it here, and where else it could be."""
    return (
        ("objective", objective.name),
        ("step", step.name),
        ("tools", ", ".join(step.tools)),
        ("other_steps", ", ".join(each.name for each in objective.steps if each.name != step.name)),
    )


def check_reading(step: Step, key: str, effect: Effect) -> None:
    """Raise `Denied` for a tool that does more than read, in a step in which nothing else is done."""
    if step.reads_only and effect is not Effect.READ_ONLY:
        raise Denied(
            f"{key} does more than read, and in `{step.name}` nothing else is done",
            code=Code.NOT_IN_STEP,
            remedy="verify the objective by a tool that only reads",
        )


def bytes_out(labelled: LabelledCall) -> int:
    """How much a call may carry out: the bytes of its arguments, where its tool can."""
    return len(labelled.call.arguments_json) if labelled.facts.egress else 0


def used_up(step: Step, run: StepRun, *, writes: bool, out: int, now_ns: int) -> str:
    """Which bound one more such call would break, in words; "" if none."""
    bounds = step.bounds
    if bounds.calls is not None and run.calls >= bounds.calls:
        return f"{bounds.calls} calls"
    if writes and bounds.written is not None and run.written >= bounds.written:
        return f"{bounds.written} calls with an effect"
    if out and bounds.bytes_out is not None and run.bytes_out + out > bounds.bytes_out:
        return f"{bounds.bytes_out} bytes out"
    if bounds.time_s is not None and now_ns - run.entered_ns > bounds.time_s * 1_000_000_000:
        return f"{bounds.time_s} s"
    return ""


def counted(session: Session, step: Step, *, writes: bool, out: int, now_ns: int) -> Session:
    """The session with one more call let through in `step`.

    Raises `Denied` where that would break a bound, `Contested` where the session is in another step by now.
    """
    if session.step != step.name or session.ended:
        raise Contested(
            "the session was moved to another step while this was decided", remedy="send the same call again"
        )
    run = next(each for each in session.runs if each.name == step.name)
    if bound := used_up(step, run, writes=writes, out=out, now_ns=now_ns):
        raise Denied(
            f"the step `{step.name}` is bounded to {bound}, and that is used up",
            code=Code.STEP_USED_UP,
            remedy="have the host move on to another step, or finish",
            details=(("step", step.name), ("bound", bound)),
        )
    one_more = replace(run, calls=run.calls + 1, written=run.written + writes, bytes_out=run.bytes_out + out)
    return replace(session, runs=tuple(one_more if each is run else each for each in session.runs))


def entered(session: Session, step: str, now_ns: int) -> Session:
    """The session in that step; what it did there before still counts."""
    runs = session.runs
    if all(run.name != step for run in runs):
        runs = (*runs, StepRun(name=step, entered_ns=now_ns))
    return replace(session, step=step, runs=runs)


def recounted(
    session: Session,
    *,
    moves: Iterable[Mapping[str, Any]],
    calls: Sequence[Mapping[str, Any]],
    ends: Iterable[Mapping[str, Any]],
) -> Session:
    """The session as its records have it, oldest first: where it was moved, what was let through, its end."""
    for move in moves:
        session = entered(session, move["step"], int(move["entered_ns"]))
    runs = []
    for run in session.runs:
        mine = [each for each in calls if each.get("step") == run.name and each["action"] in _COUNTED]
        written, out = sum(has_effect(each) for each in mine), sum(each["bytes_out"] for each in mine)
        runs.append(replace(run, calls=len(mine), written=written, bytes_out=out))
    how = next((str(end["how"]) for end in ends), "")
    return replace(session, runs=tuple(runs), ended=how)


def has_effect(intent: Mapping[str, Any]) -> bool:
    """Whether the record of a call is of a tool that does more than read."""
    return bool(intent["version"]) and intent["effect"] != Effect.READ_ONLY
