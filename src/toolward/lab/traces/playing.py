"""BFCL's multi-turn tasks as sessions: the calls of the ground truth, as an agent that never errs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from toolward.lab.agentdojo.corridor import ASKED, Corridor, code_of, open_corridor
from toolward.lab.agentdojo.suite import Suite, SuiteCall, calls_of, working
from toolward.lab.toolchain import BUILD, make_environment
from toolward.model.call import Reply

WARDS: Final = Path(__file__).with_name("wards")
_WORKER: Final = Path(__file__).with_name("bfcl_worker.py")
_REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
_VAULT: Final = SuiteCall(tool="tell", arguments={})
AGAINST_LEAKS: Final = frozenset(
    {
        "unknown-destination-after-taint",
        "unknown-destination-after-confidential",
        "confidential-argument-to-egress",
        "unexplained-after-confidential",
        "secret-to-egress",
        "blob-after-confidential",
        "composed-link-after-confidential",
        "composed-image-after-taint",
        "surge",
        "personal-data-in-bulk",
    }
)
"""Rules of the profile `guarded` that keep values in; all others are about effects and who asked for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How the tasks are played."""

    ward: str
    secret: bool = False  # whether each session reads something confidential first
    first_turn: bool = False  # whether the host knows the user's first message only


@dataclass(slots=True, kw_only=True)
class Played:
    """What became of all calls. A call may be refused by several rules; it is counted once on each side."""

    sessions: int = 0
    calls: int = 0
    asked_leaks: int = 0
    denied_leaks: int = 0
    asked_else: int = 0
    denied_else: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def leaks_share(self) -> float:
        """Percent of the calls that a rule against leaks stood against."""
        return 100 * (self.asked_leaks + self.denied_leaks) / max(1, self.calls)

    @property
    def else_share(self) -> float:
        """Percent of the calls that only other rules stood against."""
        return 100 * (self.asked_else + self.denied_else) / max(1, self.calls)

    def count(self, call: SuiteCall, reply: Reply) -> None:
        """One call that was not let through unasked."""
        rules = rules_of(reply)
        self.by_rule.update(rules)
        asked, leaks = code_of(reply) == ASKED, not AGAINST_LEAKS.isdisjoint(rules)
        self.asked_leaks += asked and leaks
        self.denied_leaks += leaks and not asked
        self.asked_else += asked and not leaks
        self.denied_else += not leaks and not asked
        if leaks or not asked:
            self.examples.append(f"{', '.join(sorted(rules))}: {call.tool} {dict(call.arguments)}"[:200])


def rules_of(reply: Reply) -> frozenset[str]:
    """The rules that stood against a call, without their profile's name; else the code of the refusal."""
    data = reply.error.data if reply.error is not None else None
    details = data.get("details") if isinstance(data, Mapping) else None
    named = (
        str(details.get("policies") or details.get("policy") or "") if isinstance(details, Mapping) else ""
    )
    found = frozenset(each.partition("/")[2] for each in named.split(", ") if each)
    return found or frozenset({code_of(reply)})


@contextmanager
def open_traces() -> Iterator[Suite]:
    """The benchmark in a process of its own, in an environment that is made once. Raises `SetupFailed`."""
    pinned = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(_REQUIREMENTS)]
    python = make_environment(BUILD / "traces" / "bfcl", pinned)
    with working([python, _WORKER]) as (suite, _):
        yield suite


async def play(suite: Suite, how: How, *, sessions: int) -> Played:
    """The first `sessions` tasks. Whoever is asked says yes, so that what follows is played as well."""
    played = Played()
    async with open_corridor(suite, WARDS / how.ward) as corridor:
        for user in suite.users[:sessions]:
            await _session(corridor, suite.ask("begin", user=user)["turns"], how, played)
    return played


async def _session(corridor: Corridor, turns: list[dict[str, Any]], how: How, played: Played) -> None:
    said = [turn["said"] for turn in turns]
    session = await corridor.session(said[0] if how.first_turn else "\n".join(said))
    played.sessions += 1
    if how.secret:
        await corridor.call(session, _VAULT)
    for call in (each for turn in turns for each in calls_of(turn["calls"])):
        played.calls += 1
        reply = await corridor.call(session, call)
        if not code_of(reply) or code_of(reply) == "error":
            continue
        played.count(call, reply)
        if code_of(reply) == ASKED:
            await corridor.approve(reply)
            await corridor.call(session, call)
    await corridor.close(session)
