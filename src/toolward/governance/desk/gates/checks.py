"""What a gate asks for, looked up or tried: each check holds, fails, or waits for what is not known yet.

A check that can not run holds the version back, as one without data does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from toolward.errors import ToolwardError, WardError
from toolward.governance.desk.context import Desk
from toolward.governance.desk.gates.compatible import misfits
from toolward.governance.desk.gates.decisions import Decided, decided
from toolward.governance.desk.gates.evidence import newest, tests_digest
from toolward.kernel.promotion.samples import samples_of
from toolward.kernel.promotion.shadows import only_reads, outcome_of
from toolward.model.event import EventKind
from toolward.model.gate import (
    OPEN_GATE,
    Check,
    ComparedBounds,
    Gate,
    ServedBounds,
    ShadowBounds,
    UsedBounds,
    Verdict,
)
from toolward.model.tool import Channel, ToolVersion
from toolward.rules.found.worth import evidence_digest

CALLS_MAX: Final = 4_000
"""Of one version, looked at for how well another channel served it."""
_HOUR_NS: Final = 3_600 * 1_000_000_000


def gate_of(desk: Desk, channel: Channel) -> Gate:
    """What the ward asks for; of a channel that it says nothing of, nothing."""
    return desk.ward().gates.get(channel, OPEN_GATE)


def evaluate(desk: Desk, version: ToolVersion, channel: Channel) -> list[Check]:
    """Everything that the channel's gate asks of the version, but people's agreement."""
    gate = gate_of(desk, channel)
    asked: list[tuple[object, str, Callable[[], Check]]] = [
        (gate.compatible, "compatible", lambda: _compatible(desk, version)),
        (gate.decision_tests, "decision_tests", lambda: _decisions(desk, version)),
        (gate.contract_tests, "contract_tests", lambda: _contracts(desk, version)),
        (gate.proof, "proof", lambda: _proof(desk, version)),
        (gate.signed, "signed", lambda: _signed(desk, version)),
        (gate.canary, "canary", lambda: _canary(desk, version, channel)),
    ]
    checks = [_tried(what, check) for wanted, what, check in asked if wanted]
    compared, served, used, shadow = gate.compared, gate.served, gate.used, gate.shadow
    if compared is not None:
        checks.append(_tried("compared", lambda: _compared(desk, version, channel, compared)))
    if shadow is not None:
        checks.append(_tried("shadow", lambda: _shadow(desk, version, channel, shadow)))
    if served is not None:
        checks.append(_tried("served", lambda: _served(desk, version, served)))
    if used is not None:
        checks.append(_tried("used", lambda: _used(desk, version, used)))
    return checks


def _tried(what: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except ToolwardError as error:
        return _waits(what, f"it could not run: {error.reason.text}")


def _compatible(desk: Desk, version: ToolVersion) -> Check:
    found = misfits(desk, version)
    return _looked("compatible", not found, "; ".join(found[:3]) or "everything that names it fits")


def _decisions(desk: Desk, version: ToolVersion) -> Check:
    what = "decision_tests"
    try:
        revision = desk.trial(version)
    except WardError as error:
        return Check(what=what, verdict=Verdict.FAILS, text=error.diagnostics())
    rows = [
        Decided(test=test, file=file, line=line, answer=decided(desk, revision, version, test))
        for file, line, test in desk.ward().tests.decisions
        if test.call == version.key
    ]
    if not rows:
        return _waits(what, f"no test in tests/*.yaml calls {version.key}")
    wrong = [f"{row.file}:{row.line}: {row.text}" for row in rows if not row.holds]
    return _looked(what, not wrong, "; ".join(wrong[:3]) or f"{len(rows)} tests hold")


def _contracts(desk: Desk, version: ToolVersion) -> Check:
    what, how = "contract_tests", f"toolward tools try {version.key} --digest {version.digest[7:19]}"
    found = newest(desk, EventKind.TOOL_EVIDENCE, version, what=what)
    if found is None:
        return _waits(what, f"not tried yet: {how}")
    if found["tests"] != tests_digest(desk.ward(), version.key):
        return _waits(what, f"the examples are others now: {how}")
    failed = "; ".join(found["failed"][:3])
    text = f"these do not hold: {failed}" if failed else f"{found['checks']} examples hold"
    return _looked(what, bool(found["holds"]), text, found["evidence"])


def _proof(desk: Desk, version: ToolVersion) -> Check:
    found = newest(desk, EventKind.TOOL_PROVED, version)
    if found is None:
        how = f"toolward tools prove {version.key} --digest {version.digest[7:19]}"
        return _waits("proof", f"not tried yet: {how}")
    text = "; ".join(found["findings"][:3]) or "it kept its word"
    return _looked("proof", bool(found["holds"]), text, found["evidence"])


def _signed(desk: Desk, version: ToolVersion) -> Check:
    found = newest(desk, EventKind.TOOL_SIGNED, version)
    if found is None:
        how = f"toolward tools sign {version.key} --digest {version.digest[7:19]}"
        return _waits("signed", f"nobody signed this version: {how}")
    if found["signer"] not in desk.ward().config.signers:
        return _waits("signed", f"{found['signer']} signed it, who may not sign any more")
    return _looked("signed", holds=True, text=f"by {found['signer']}", evidence=found["evidence"])


def _compared(desk: Desk, version: ToolVersion, channel: Channel, bounds: ComparedBounds) -> Check:
    what = "compared"
    pin = desk.parts.registry.pin(version.key, channel)
    if pin is None or not pin.state.stands:
        return _looked(what, holds=True, text=_ALONE)
    found = newest(desk, EventKind.TOOL_EVIDENCE, version, what=what)
    if found is None or found["beside"] != pin.digest:
        how = f"toolward tools compare {version.key} {version.key}@{version.digest[7:19]}"
        return _waits(what, f"not compared with what is served: {how}")
    text = f"{found['differences']} differences in {found['calls']} calls"
    if found["calls"] < bounds.calls:
        return _waits(what, f"{text}, {bounds.calls} calls are asked for")
    return _looked(what, found["differences"] <= bounds.differences_max, text, found["evidence"])


def _shadow(desk: Desk, version: ToolVersion, channel: Channel, bounds: ShadowBounds) -> Check:
    """Copies of live reads; of what does more none can be run, so recorded calls stand in."""
    what = "shadow"
    pin = desk.parts.registry.pin(version.key, channel)
    if pin is None or not pin.state.stands:
        return _looked(what, holds=True, text=_ALONE)
    if not (only_reads(version) and only_reads(desk.parts.registry.of(pin))):
        recorded = ComparedBounds(calls=bounds.calls, differences_max=bounds.differences_max)
        stood_in = _compared(desk, version, channel, recorded)
        return Check(what=what, verdict=stood_in.verdict, text=stood_in.text, evidence=stood_in.evidence)
    calls, differences = outcome_of(
        desk.parts.store, version.key, channel, control=pin.digest, candidate=version.digest
    )
    text = f"{differences} of {calls} copies were answered differently"
    if differences > bounds.differences_max:
        return _looked(what, holds=False, text=text)
    if calls < bounds.calls:
        how = f"toolward tools canary {version.key} --digest {version.digest[7:19]} --copies 20"
        return _waits(what, f"{text}, {bounds.calls} are asked for: {how}")
    return _looked(what, holds=True, text=text)


def _served(desk: Desk, version: ToolVersion, bounds: ServedBounds) -> Check:
    what = "served"
    pin = desk.parts.registry.pin(version.key, bounds.channel)
    if pin is None or pin.digest != version.digest or not pin.state.stands:
        return _waits(what, f"{bounds.channel} does not serve it")
    calls = samples_of(desk.parts.store, version.key, bounds.channel, since_ns=pin.served_ns, limit=CALLS_MAX)
    samples = [sample for digest, sample in calls if digest == version.digest]
    hours = (desk.clock.now_ns() - pin.served_ns) // _HOUR_NS
    bad = sum(each.bad for each in samples)
    text = f"{bounds.channel} served it for {hours} h, {bad} of {len(samples)} calls failed"
    if len(samples) < bounds.calls or hours < bounds.hours:
        return _waits(what, f"{text}; {bounds.calls} calls and {bounds.hours} h are asked for")
    return _looked(what, bad <= bounds.errors_max * len(samples), text)


def _used(desk: Desk, version: ToolVersion, bounds: UsedBounds) -> Check:
    what = "used"
    binding = desk.revision().binding(version.server)
    if binding is None or not binding.found_by:
        return _looked(what, holds=True, text="it was not found, but declared")
    record = desk.parts.discovery.use.of(version.key, version.digest)
    text = f"{record.calls} calls by {len(record.sessions)} sessions, {record.failures} failed"
    if record.calls < bounds.calls or len(record.sessions) < bounds.sessions:
        return _waits(what, f"{text}; {bounds.calls} calls by {bounds.sessions} sessions are asked for")
    holds = record.failures <= bounds.errors_max * record.calls
    return _looked(what, holds, text, evidence_digest(record))


def _canary(desk: Desk, version: ToolVersion, channel: Channel) -> Check:
    pin = desk.parts.registry.pin(version.key, channel)
    if pin is None or not pin.state.stands:
        return _looked("canary", holds=True, text=_ALONE)
    trial = desk.parts.canaries.running(version.key, channel)
    if trial is None or trial.pin.canary is None or trial.pin.canary.digest != version.digest:
        how = f"toolward tools canary {version.key} --digest {version.digest[7:19]} --share 10"
        return _waits("canary", f"no canary of it runs: {how}")
    if not trial.pin.canary.share:
        return _waits("canary", "copies of calls are run with it, and no session is served it")
    return desk.parts.canaries.judged(trial)


_ALONE: Final = "there is nothing to compare it with yet"


def _looked(what: str, holds: bool, text: str, evidence: str = "") -> Check:  # noqa: FBT001 -- it is what is said
    return Check(what=what, verdict=Verdict.HOLDS if holds else Verdict.FAILS, text=text, evidence=evidence)


def _waits(what: str, text: str) -> Check:
    return Check(what=what, verdict=Verdict.WAITS, text=text)
