"""Canaries: a share of the new sessions is served a candidate, and what it does is watched.

A canary that regresses ends by itself: the next new session is served what the channel served before, and
sessions in flight keep what they have. What is known of its calls is in memory; after a restart it is read
back from the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from toolward.errors import ReasonCode as Code
from toolward.errors import Rejected
from toolward.kernel.promotion.samples import sample_of, samples_of
from toolward.kernel.registry.registry import Move, Registry
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.tasks import Background
from toolward.model.call import RawOutcome
from toolward.model.gate import CanaryBounds, Check, Verdict
from toolward.model.permit import Permit
from toolward.model.pin import Pin
from toolward.model.tool import Channel
from toolward.rules.canary import Sample, judge

SAMPLES_MAX: Final = 4_096
"""Calls of each population that are remembered: enough for every test, some hundred kilobytes a canary."""


@dataclass(slots=True)
class Trial:
    """One canary and what is known of its calls, and of those of the present version beside it."""

    pin: Pin
    channel: Channel
    candidate: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))
    control: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))
    ending: bool = False

    def population(self, digest: str) -> deque[Sample] | None:
        """The calls of that version, if it is one of the two."""
        if self.pin.canary is not None and digest == self.pin.canary.digest:
            return self.candidate
        return self.control if digest == self.pin.digest else None


class Canaries:
    """All canaries that run."""

    def __init__(
        self,
        registry: Registry,
        *,
        bounds: Callable[[Channel], CanaryBounds],
        repin: Callable[[], Awaitable[None]],
        background: Background,
    ) -> None:
        """`bounds` are those of a channel's gate; `repin` puts the pins in force."""
        self._registry = registry
        self._bounds = bounds
        self._repin = repin
        self._background = background
        self._trials: dict[str, list[Trial]] = {}
        for channel, pin in registry.every_pin():
            if pin.canary is not None:
                self._trials.setdefault(pin.key, []).append(self._recalled(pin, channel))

    def watch(self, permit: Permit, revision: ActiveRevision) -> Callable[[RawOutcome], None] | None:
        """Before a call runs: what is to be told of its outcome; None where no canary has a part in it.

        Asked for every call, so no more than a look where no canary runs.
        """
        version = permit.labelled.resolved.version
        trials = self._trials.get(version.key) if version is not None else None
        if not trials or version is None:
            return None
        channel = revision.channel_of(permit.labelled.call.session.principal.agent)
        clock = self._registry.clock
        started = clock.monotonic_ns()
        found = [each for each in trials if each.channel is channel and not permit.labelled.call.undo_of]

        def tell(outcome: RawOutcome) -> None:
            took_us = (clock.monotonic_ns() - started) // 1000
            sample = sample_of(outcome, at_ns=clock.now_ns(), took_us=took_us)
            for trial in found:
                self._saw(trial, version.digest, sample)

        return tell

    async def begin(self, key: str, move: Move, *, share: int, copies: int = 0) -> Pin:
        """Serve `move.digest` to a share (per cent) of the sessions that are opened from now on.

        With `copies` (per cent) so many reads are run with it too.

        Raises `Rejected` where the tool is not served, the version can not be, or another canary runs.
        """
        pin = await self._registry.begin_canary(key, move, share=share, copies=copies)
        self._trials.setdefault(key, []).append(Trial(pin, move.channel))
        return pin

    async def abort(self, key: str, move: Move, *, withdraw: bool = False) -> dict[str, Any]:
        """End it by a person's word; `withdraw` takes the candidate from the sessions that got it too.

        Raises `Rejected` where none runs.
        """
        trial = self.running(key, move.channel)
        if trial is None:
            raise _none_runs(key, move.channel)
        said = self.figures(trial) | {"how": "aborted", "why": move.note, "by": move.by.as_json()}
        await self._registry.end_canary(key, move.channel, said, withdraw=withdraw)
        self._forget(trial)
        return said

    def running(self, key: str, channel: Channel) -> Trial | None:
        """The canary of a tool in a channel, as the pins have it now."""
        pin = self._registry.pin(key, channel)
        for trial in list(self._trials.get(key, ())):
            if trial.channel is channel:
                if pin is not None and pin.canary == trial.pin.canary and pin.digest == trial.pin.digest:
                    return trial
                self._forget(trial)  # a promotion, a rollback or a changed definition ended it
        return None

    def judged(self, trial: Trial) -> Check:
        """Whether it goes on."""
        canary = trial.pin.canary
        return judge(
            list(trial.candidate),
            list(trial.control),
            self._bounds(trial.channel),
            since_ns=canary.since_ns if canary else 0,
            now_ns=self._registry.clock.now_ns(),
        )

    def figures(self, trial: Trial) -> dict[str, Any]:
        """For the record and for people."""
        canary = trial.pin.canary
        return {
            "canary": canary.canary if canary else "",
            "candidate": canary.digest if canary else "",
            "control": trial.pin.digest,
            "channel": trial.channel.value,
            "share": canary.share if canary else 0,
            "copies": canary.copies if canary else 0,
            "calls": len(trial.candidate),
            "bad": sum(each.bad for each in trial.candidate),
            "control_calls": len(trial.control),
            "control_bad": sum(each.bad for each in trial.control),
        }

    def _saw(self, trial: Trial, digest: str, sample: Sample | None) -> None:
        population = trial.population(digest)
        if population is None or sample is None or trial.ending:
            return
        population.append(sample)
        if population is trial.candidate:
            check = self.judged(trial)
            if check.verdict is Verdict.FAILS:
                trial.ending = True
                _ = self._background.start(self._end(trial, check))

    async def _end(self, trial: Trial, check: Check) -> None:
        """It regressed: serve new sessions what the channel served before."""
        if self.running(trial.pin.key, trial.channel) is not trial:
            return
        bad = [each.at_ns for each in trial.candidate if each.bad]
        onset_ns = bad[0] if bad else trial.candidate[-1].at_ns
        took_us = (self._registry.clock.now_ns() - onset_ns) // 1000
        said = self.figures(trial) | {"how": "regressed", "why": check.text, "first_bad_us_before": took_us}
        await self._registry.end_canary(trial.pin.key, trial.channel, said, onset_ns=onset_ns)
        self._forget(trial)
        await self._repin()

    def _forget(self, trial: Trial) -> None:
        trials = self._trials.get(trial.pin.key, [])
        if trial in trials:
            trials.remove(trial)
        if not trials:
            self._trials.pop(trial.pin.key, None)

    def _recalled(self, pin: Pin, channel: Channel) -> Trial:
        """After a restart."""
        trial = Trial(pin, channel)
        since_ns = pin.canary.since_ns if pin.canary else 0
        for digest, sample in samples_of(
            self._registry.store, pin.key, channel, since_ns=since_ns, limit=SAMPLES_MAX
        ):
            population = trial.population(digest)
            if population is not None:
                population.append(sample)
        return trial


def _none_runs(key: str, channel: Channel) -> Rejected:
    return Rejected(
        f"no canary of {key} runs in {channel}",
        code=Code.NOT_PENDING,
        remedy="begin one: toolward tools canary TOOL --share 10",
    )
