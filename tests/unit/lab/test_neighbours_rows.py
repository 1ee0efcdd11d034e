"""What the benchmark of misbehaving neighbours says of its runs."""

from __future__ import annotations

from toolward.lab.neighbours.__main__ import CONTROL, ILL, STILL, Rounds, Run


def run(p50_ms: float, p99_ms: float, *, wrong: int = 0, others: float = 0.0, again: int = 0) -> Run:
    figures = {"p50_ms": p50_ms, "p99_ms": p99_ms, "wrong": wrong, "first_wrong": "HTTP 503" if wrong else ""}
    return Run(figures=figures, cpu=0.5, others=others, again=again, seen={"answered": 1})


def rounds(ill_p99_ms: float = 30.0, **more: int) -> Rounds:
    """Three rounds: the machine is twice as slow in the second, which is in all of its runs."""
    made = Rounds()
    for slow in (1, 2, 1):
        made.runs[STILL].append(run(5.0 * slow, 20.0 * slow))
        made.runs[ILL].append(run(5.5 * slow, ill_p99_ms * slow, **more))
        made.runs[CONTROL].append(run(5.0 * slow, 25.0 * slow))
    return made


def row(made: Rounds, what: str) -> tuple[object, bool]:
    found = next(each for each in made.rows("http") if each.what.removeprefix("http: ") == what)
    return found.figure, found.holds


def test_runs_of_one_round_are_compared_with_each_other() -> None:
    assert row(rounds(), "the others' p99, disturbed to undisturbed") == (1.5, True)
    assert row(rounds(), "the others' p99, control to undisturbed") == (1.25, True)
    assert row(rounds(), "the others' p99, disturbed to control") == (1.2, True)
    assert row(rounds(), "the others' p99, highest undisturbed to lowest") == (2.0, True)


def test_a_disturbance_past_the_goal_does_not_hold_whatever_the_control_says() -> None:
    assert row(rounds(ill_p99_ms=31.0), "the others' p99, disturbed to undisturbed") == (1.55, False)


def test_an_answer_that_is_missing_and_a_machine_that_is_not_quiet_are_said() -> None:
    made = rounds(wrong=1)
    made.runs[STILL][0] = run(5.0, 20.0, others=0.75, again=2)
    assert row(made, "the others' calls without their answer") == (3, False)
    assert row(made, "the first of those") == ("HTTP 503", True)
    assert row(made, "CPU of everybody else, in the busiest run") == (0.75, True)
    assert row(made, "runs made again, the machine was not quiet") == (2, True)
