"""What it costs to know where values come from: thread CPU of label and decide, of remembering, and memory.

Run `python -m toolward.lab.bench_lineage`. Sessions have read `RESULTS` results of about 2 KB each, half
prose, half rows of JSON; calls then write what they read, what they made up, and what is encoded. Putting a
result into the index happens when the next call is labelled; it has rows of its own, by the result.
"""

from __future__ import annotations

import base64
import gc
import random
import sys
import time
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from statistics import quantiles
from typing import Any, Final, Self

import orjson
from msgspec.structs import replace

from toolward.lab.bench_policy import call as sample_call
from toolward.lab.quiet import Slowness
from toolward.lab.report import Row, write_report
from toolward.model.call import LabelledCall, ResolvedCall
from toolward.model.decision import Deny
from toolward.model.label import CLEAN, UNKNOWN, Confidentiality, Integrity, Label
from toolward.model.session import Session
from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, Effect, Manifest, ToolState, ToolVersion
from toolward.rules.flow import label_call
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.remember import index_waiting, remember_result
from toolward.rules.policy import PolicyBook

RESULTS: Final = 100
RESULT_CHARS: Final = 2_048
CALLS: Final = 60
"""Calls of one session that are timed; each is followed by one more result."""
ROUNDS: Final = 5
SEEDS: Final = 3
LONG_CALLS: Final = 10_000
P50_US: Final = 150.0
P99_US: Final = 2_000.0
MEMORY_MIB: Final = 48.0
"""Of one session: what the limits in `rules/lineage/index.py` come to."""
CONFIDENTIAL: Final = Label(Integrity.UNTRUSTED, Confidentiality.CONFIDENTIAL)
_SCHEMA: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("path", "to", "id", "text")},
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Sessions of one kind: what their results are labelled with."""

    name: str
    manifest: Manifest


KINDS: Final = (
    Kind("untrusted results", Manifest(result=UNKNOWN)),
    Kind("confidential results", Manifest(result=CONFIDENTIAL)),
    Kind(
        "trusted fields in untrusted results",
        Manifest(result_fields={"/structuredContent": Label(Integrity.TRUSTED, Confidentiality.INTERNAL)}),
    ),
)


class Words:
    """Results and arguments, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._words = [
            "".join(self._chance.choices("aeioubcdfglmnprst", k=k)) for k in range(2, 12) for _ in range(400)
        ]

    def result(self) -> dict[str, Any]:
        """About `RESULT_CHARS` of text: prose with identifiers in it, or rows."""
        if self._chance.random() < 0.5:  # noqa: PLR2004 -- half
            return {"content": [{"type": "text", "text": self._prose(RESULT_CHARS)}]}
        rows = [self._row() for _ in range(RESULT_CHARS // 110)]
        return {"content": [], "structuredContent": {"rows": rows}}

    def arguments(self, read: Mapping[str, Any]) -> dict[str, Any]:
        """Of a call as an agent makes one after it read `read`."""
        rows = read.get("structuredContent", {}).get("rows")
        row = self._chance.choice(rows) if rows else self._row()
        text = self._prose(self._chance.choice((80, 200, 600)))
        if self._chance.random() < 0.1:  # noqa: PLR2004 -- now and then
            text = base64.b64encode(text.encode()).decode()
        return {"path": f"/srv/{row['name']}.txt", "to": row["mail"], "id": row["id"], "text": text}

    def _row(self) -> dict[str, Any]:
        name = "-".join(self._chance.choices(self._words, k=2))
        return {
            "id": f"{self._chance.getrandbits(32):08x}",
            "name": name,
            "mail": f"{name}@{self._chance.choice(self._words)}.example",
            "amount": self._chance.randrange(10_000) / 100,
            "when": f"2026-{self._chance.randrange(1, 13):02}-{self._chance.randrange(1, 29):02}",
            "state": self._chance.choice(("open", "closed")),
        }

    def _prose(self, chars: int) -> str:
        words: list[str] = []
        left = chars
        while left > 0:
            kind = self._chance.random()
            word = self._chance.choice(self._words)
            if kind < 0.02:  # noqa: PLR2004 -- of a hundred words, two
                word = f"{word}@{word}.example"
            elif kind < 0.08:  # noqa: PLR2004 -- six more
                word = str(self._chance.randrange(100_000))
            words.append(word)
            left -= len(word) + 1
        return " ".join(words)


class Rig:
    """One tool, its policy, and sessions that call it."""

    def __init__(self) -> None:
        profile = (resources.files("toolward.catalogue") / "profiles" / "guarded.cedar").read_text("utf-8")
        manifest = Manifest(
            effect=Effect.REVERSIBLE,
            egress=True,
            arguments={
                "path": Argument(kind=ArgumentKind.PATH),
                "to": Argument(kind=ArgumentKind.ADDRESS),
                "id": Argument(),
                "text": Argument(role=ArgumentRole.CONTENT),
            },
        )
        definition = orjson.dumps({"name": "write", "inputSchema": _SCHEMA})
        self._version = ToolVersion(
            server="srv-0",
            name="write",
            definition=definition,
            definition_digest="sha256:0",
            binding="stdio bench",
            manifest=manifest,
            digest="sha256:1",
        )
        self._book = PolicyBook.compile(tools=[self._version], policies={"guarded": profile})
        admitted = sample_call(self._version, 0).call
        self.session: Session = replace(admitted.session, prompt="file what you find under /srv/reports")
        self._admitted = admitted

    def judge(self, memory: SessionMemory, taint: Label, arguments: Mapping[str, Any]) -> LabelledCall:
        """Stages 3 and 4."""
        session = replace(self.session, taint=taint)
        resolved = ResolvedCall(
            call=replace(self._admitted, session=session, arguments=arguments),
            server="srv-0",
            name="write",
            version=self._version,
            state=ToolState.APPROVED,
        )
        leaves, label, facts = label_call(resolved, session, memory, None)
        labelled = LabelledCall(resolved=resolved, leaves=leaves, arguments_label=label, facts=facts)
        self._book.decide(labelled)
        return labelled

    def denied(self, labelled: LabelledCall) -> bool:
        """Whether policy has nothing but a no."""
        return isinstance(self._book.decide(labelled), Deny)


class Watch:
    """Thread CPU of what runs inside, in microseconds."""

    __slots__ = ("_start", "us")

    def __init__(self) -> None:
        self.us = 0.0

    def __enter__(self) -> Self:
        self._start = time.thread_time_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self.us = (time.thread_time_ns() - self._start) / 1_000


@dataclass(slots=True)
class Times:
    """Microseconds of thread CPU, one for each call of a session."""

    judging: list[float]
    indexing: list[float]
    remembering: list[float]


def one_session(rig: Rig, kind: Kind, seed: int) -> Times:
    """A session that has read `RESULTS` results, and then `CALLS` times writes and reads."""
    words, memory, taint = Words(seed), SessionMemory(), CLEAN
    times = Times([], [], [])
    for number in range(RESULTS + CALLS):
        read = words.result()
        with Watch() as remembering:
            label = remember_result(memory, read, call_id=f"call-{number}", manifest=kind.manifest)
        with Watch() as indexing:
            index_waiting(memory)
        taint = taint.join(label)
        times.remembering.append(remembering.us)
        times.indexing.append(indexing.us)
        if number >= RESULTS:
            arguments = words.arguments(read)
            with Watch() as judging:
                rig.judge(memory, taint, arguments)
            times.judging.append(judging.us)
    return times


def judged(rig: Rig, slow: Slowness) -> Iterator[Row]:
    """Rows of label and decide, and of remembering, for each kind of session.

    Each session is played `ROUNDS` times, and each call counts with its best: other load only ever adds.
    """
    for kind in KINDS:
        played = [[one_session(rig, kind, seed) for _ in range(ROUNDS)] for seed in range(SEEDS)]
        judging = [
            best for same in played for best in map(min, zip(*(each.judging for each in same), strict=True))
        ]
        taking = [
            best
            for same in played
            for best in map(min, zip(*(each.remembering for each in same), strict=True))
        ]
        indexing = [
            best for same in played for best in map(min, zip(*(each.indexing for each in same), strict=True))
        ]
        p50, p99 = _quantile(judging, 50), _quantile(judging, 99)
        slow.look()
        yield from slow.judged(f"label + decide p50, {kind.name}", p50, P50_US)
        yield from slow.judged(f"label + decide p99, {kind.name}", p99, P99_US)
        yield Row(f"take in a result of 2 KB p50, {kind.name}", round(_quantile(taking, 50), 1), "us")
        yield Row(f"index a result of 2 KB p50, {kind.name}", round(_quantile(indexing, 50), 1), "us")
        yield Row(f"index a result of 2 KB p99, {kind.name}", round(_quantile(indexing, 99), 1), "us")


def _quantile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1]


def grown(rig: Rig, kind: Kind) -> Iterator[Row]:
    """Rows of a session of `LONG_CALLS` calls: memory, entries, and what its last calls cost."""
    words, memory, taint = Words(0), SessionMemory(), CLEAN
    tracemalloc.start()
    costs: list[float] = []
    for number in range(LONG_CALLS):
        read = words.result()
        label = remember_result(memory, read, call_id=f"call-{number}", manifest=kind.manifest)
        taint = taint.join(label)
        if number >= LONG_CALLS - CALLS:
            tracemalloc.stop()
            arguments = words.arguments(read)
            index_waiting(memory)
            with Watch() as judging:
                rig.judge(memory, taint, arguments)
            costs.append(judging.us)
        else:
            rig.judge(memory, taint, {"id": "x"})
        if number in (RESULTS, LONG_CALLS - CALLS - 1):
            gc.collect()
            mib = tracemalloc.get_traced_memory()[0] / 2**20
            what = f"memory of a session of {number + 1} results, {kind.name}"
            yield Row(what, round(mib, 1), "MiB", f"<= {MEMORY_MIB:g}", mib <= MEMORY_MIB)
    yield Row(f"entries after {LONG_CALLS} results, {kind.name}", memory.size)
    yield Row(f"overflowed after {LONG_CALLS} results, {kind.name}", "yes" if memory.overflowed else "no")
    yield Row(
        f"label + decide p50 after {LONG_CALLS} results, {kind.name}", round(_quantile(costs, 50), 1), "us"
    )


def measure_all() -> list[Row]:
    """Everything."""
    rig = Rig()
    secret = SessionMemory()
    remember_result(secret, {"content": ["the code is zx-81-7734"]}, call_id="c", manifest=KINDS[1].manifest)
    leak = rig.judge(secret, CONFIDENTIAL, {"path": "/srv/a", "to": "x@evil.example", "text": "zx817734"})
    if not (leak.facts.confidential_argument and rig.denied(leak)):
        sys.exit("the benchmark's leak is not seen; it would measure the wrong thing")
    gc.collect()
    gc.disable()
    slow = Slowness()
    rows = [*judged(rig, slow), slow.row()]
    gc.enable()
    for kind in KINDS[:2]:
        rows += grown(rig, kind)
    return rows


def main() -> None:
    """Measure, print, write `build/reports/bench_lineage.json`."""
    write_report("bench_lineage", measure_all())


if __name__ == "__main__":
    main()
