"""The results of approved tools against their baseline: counted on the way, looked at beside it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from toolward.errors import AuditUnavailable, Overloaded
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.kernel.registry.findings import in_words
from toolward.kernel.registry.registry import Registry
from toolward.kernel.tasks import Background
from toolward.model.call import RawOutcome, Returned
from toolward.model.contract import PROBE_AGENT
from toolward.model.event import EventKind
from toolward.model.finding import Finding
from toolward.model.incident import IncidentKind
from toolward.model.label import Confidentiality
from toolward.model.permit import Permit
from toolward.model.tool import ToolState, ToolVersion
from toolward.ports.clock import Clock
from toolward.ports.store import Delete, Put, Store, Table
from toolward.rules.result_drift import Profile, compare

WINDOW: Final = 50
"""Results that are looked at together: fewer would alarm by chance."""
WAITING_MAX: Final = 32
"""Results that wait to be looked at; what is more is not looked at, and nothing is late for it."""
VERSIONS_MAX: Final = 1_000
"""Versions whose profiles are in memory; the one that was quiet longest goes, its baseline stays stored."""
_KEPT_EVERY: Final = 50
CROWDED_NS: Final = 50_000_000
"""Looks at one version that are closer together cost more than they tell."""
CROWDED: Final = 50
"""So many times fewer results of it are looked at then: at 2 000 calls in a second ten, not 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The ward's word on it: `every` 0 looks at nothing."""

    baseline: int
    every: int
    quarantine: bool


class _Kept(msgspec.Struct):
    """As stored: the baseline, and the ids of findings that were told already."""

    baseline: Profile
    told: list[str] = []


@dataclass(slots=True)
class _Watched:
    kept: _Kept
    window: Profile = field(default_factory=lambda: Profile(whole=WINDOW))


class ResultWatch:
    """Learns what a version's results are like after its approval, and says when they are not any more."""

    def __init__(  # noqa: PLR0913 -- what it reads and what it tells
        self,
        store: Store,
        auditor: Auditor,
        registry: Registry,
        incidents: Incidents,
        *,
        clock: Clock,
        background: Background,
        sampling: Callable[[], Sampling],
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_change` hears of a quarantine."""
        self._store = store
        self._auditor = auditor
        self._registry = registry
        self._incidents = incidents
        self._background = background
        self._sampling = sampling
        self._on_change = on_change
        self._clock = clock
        self._skip: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._waiting: deque[tuple[ToolVersion, Returned]] = deque()
        self._watched: OrderedDict[str, _Watched] = OrderedDict()
        self._working = False

    def saw(self, permit: Permit, outcome: RawOutcome) -> None:
        """A call ended. Costs a dict look-up; the work is done later, and for one result of many."""
        skip = self._skip.get(permit.version_digest, 0)
        if skip:
            self._skip[permit.version_digest] = skip - 1
        elif permit.version_digest:
            self._take(permit, outcome)

    def state(self, version: ToolVersion) -> dict[str, Any]:
        """How far the baseline is, and what was told."""
        kept = self._of(version).kept
        return {"results": kept.baseline.results, "of": self._sampling().baseline, "told": list(kept.told)}

    async def begin_again(self, version: ToolVersion) -> None:
        """A person approved the version: what it answers from now on is its baseline."""
        self._watched.pop(version.digest, None)
        self._skip.pop(version.digest, None)
        closed = self._incidents.restore(IncidentKind.RESULT_DRIFT, version.key)
        if closed or self._store.get(Table.BASELINE, version.digest) is not None:
            rows = [put for _, put in closed]
            await self._store.commit(
                [event for event, _ in closed], [*rows, Delete(Table.BASELINE, version.digest)]
            )

    def _take(self, permit: Permit, outcome: RawOutcome) -> None:
        sampling, version = self._sampling(), permit.labelled.resolved.version
        frozen = (known := self._watched.get(permit.version_digest)) is not None and _is_whole(known.kept)
        if frozen or not sampling.every:
            now = self._clock.monotonic_ns()
            crowded = now - self._taken.get(permit.version_digest, 0) < CROWDED_NS
            self._taken[permit.version_digest] = now
            # with nothing to do it is asked again now and then, since a reload may change that
            self._skip[permit.version_digest] = (sampling.every or 1) * (CROWDED if crowded else 1) - 1
        probing = permit.labelled.call.session.principal.agent == PROBE_AGENT
        if not sampling.every or version is None or type(outcome) is not Returned or probing:
            return
        if permit.labelled.resolved.state is not ToolState.APPROVED or len(self._waiting) >= WAITING_MAX:
            return
        self._waiting.append((version, outcome))
        if not self._working:
            self._working = True
            _ = self._background.start(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # calls go first
                version, outcome = self._waiting.popleft()
                with suppress(AuditUnavailable, Overloaded):  # the next window tells it again
                    await self._look(version, outcome.result, outcome.size_bytes)
        finally:
            self._working = False

    async def _look(self, version: ToolVersion, result: Mapping[str, Any], size_bytes: int) -> None:
        watched = self._of(version)
        label = version.manifest.result
        closed = label is not None and label.confidentiality is Confidentiality.CONFIDENTIAL
        token = None if closed else self._token
        baseline = watched.kept.baseline
        if not _is_whole(watched.kept):
            baseline.learn(result, size_bytes, token=token)
            if _is_whole(watched.kept) or baseline.results % _KEPT_EVERY == 0:
                await self._store.commit([], [_put(version, watched.kept)])
            return
        watched.window.learn(result, size_bytes, token=token)
        if watched.window.results >= WINDOW:
            window, watched.window = watched.window, Profile(whole=WINDOW)
            found = compare(baseline, window)
            news = [each for each in found if f"{each.id} {each.where}" not in watched.kept.told]
            if news:
                await self._tell(version, watched.kept, news)

    async def _tell(self, version: ToolVersion, kept: _Kept, news: list[Finding]) -> None:
        told = _Kept(kept.baseline, [*kept.told, *(f"{each.id} {each.where}" for each in news)])
        event = self._auditor.event(
            EventKind.RESULTS_DRIFTED,
            tool=version.key,
            body={"version": version.digest, "baseline": kept.baseline.results, "findings": in_words(news)},
            payloads={"findings": msgspec.json.encode([each.as_json() for each in news])},
        )
        first = news[0]
        why = f"the results of {version.key} are no longer like its baseline: {first.id} at `{first.where}`"
        quarantine = self._sampling().quarantine
        opened, put = self._incidents.open(IncidentKind.RESULT_DRIFT, version.key, why, contained=quarantine)
        await self._store.commit([event, opened], [put, _put(version, told)])
        kept.told = told.told
        if quarantine and await self._registry.quarantine(version.key, version.digest, why):
            await self._on_change()

    def _of(self, version: ToolVersion) -> _Watched:
        found = self._watched.get(version.digest)
        if found is None:
            row = self._store.get(Table.BASELINE, version.digest)
            kept = (
                msgspec.json.decode(row.body, type=_Kept)
                if row is not None
                else _Kept(baseline=Profile(whole=self._sampling().baseline))
            )
            found = self._watched[version.digest] = _Watched(kept)
            if len(self._watched) > VERSIONS_MAX:
                gone, _ = self._watched.popitem(last=False)
                self._skip.pop(gone, None)
                self._taken.pop(gone, None)
        self._watched.move_to_end(version.digest)
        return found

    def _token(self, word: str) -> str:
        """Keyed, so that nobody who reads the store can guess a word of a result."""
        return self._store.digest(word.encode("utf-8", "surrogatepass"))[-16:]


def _is_whole(kept: _Kept) -> bool:
    return kept.baseline.results >= kept.baseline.whole


def _put(version: ToolVersion, kept: _Kept) -> Put:
    return Put(Table.BASELINE, version.digest, msgspec.json.encode(kept))
