"""Getting a version into a channel: proposing, agreeing, canaries. Gates are looked at each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolward.errors import Contested, Denied, ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.gates.checks import evaluate, gate_of
from toolward.governance.desk.versions import channel_of, one_of, runner_of
from toolward.kernel.promotion.promotions import Proposal
from toolward.kernel.promotion.shadows import only_reads, outcome_of
from toolward.kernel.registry.registry import Move
from toolward.model.gate import CanaryBounds, Check, Verdict
from toolward.model.principal import Principal
from toolward.model.tool import Channel, ToolVersion
from toolward.rules.lifecycle import Act
from toolward.rules.promotion import check_signer, standing_against


async def promote(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Let a version into a channel, or take the next step toward it.

    Parameters: `tool`, `to` (a channel), `digest` (a beginning; left out: what waits there, else what the
    channel before serves, else the newest that was seen), `note`. Where the channel's gate asks for people,
    the first who promotes proposes, others agree. Refusals are on record. `state` is `proposed`, `signed` or
    `promoted`.
    """
    key, channel = text(parameters, "tool"), channel_of(desk, parameters, "to")
    waiting = desk.parts.promotions.find(key, channel)
    version = _chosen(desk, key, channel, text(parameters, "digest", ""), waiting)
    try:
        return await _promoted(desk, version, channel, waiting, by=by, note=text(parameters, "note", ""))
    except (Denied, Contested) as no:
        checks = getattr(no, "checks", ())
        await desk.parts.promotions.refused(key, channel, version.digest, no, by=by, checks=checks)
        raise


async def _promoted(
    desk: Desk, version: ToolVersion, channel: Channel, waiting: Proposal | None, *, by: Principal, note: str
) -> dict[str, Any]:
    promotions, signoff = desk.parts.promotions, gate_of(desk, channel).signoff
    pin = desk.parts.registry.pin(version.key, channel)
    instead_of = pin.digest if pin is not None and pin.state.stands else ""
    if instead_of == version.digest:
        raise Rejected(f"{channel} serves that version of {version.key} already")
    if waiting is not None and waiting.digest != version.digest:
        raise Contested(
            f"another version of {version.key} waits for {channel}: {waiting.digest[:19]}, "
            f"proposed by {waiting.proposer}",
            remedy=f"decide on it first: toolward tools promote {version.key} --to {channel} "
            f"--digest {waiting.digest[7:19]}, or --withdraw",
        )
    if waiting is not None:
        _check_signer(desk, version, channel, waiting, by)
    checks = evaluate(desk, version, channel)
    if signoff is not None and waiting is None:
        waiting = await promotions.propose(
            version.key, channel, version.digest, by=by, note=note, checks=checks
        )
        await _tested(desk, version, channel, checks, by)
        return _said(waiting, "proposed", checks)
    _check_gate(version, channel, checks)
    _ = desk.trial(version)  # sessions keep the version of before: policies have to fit both
    # a crash may have come between the last signature and the move: then it only remains to be moved
    if waiting is not None and signoff is not None and len(waiting.signed) < signoff.people:
        waiting = await promotions.sign(waiting, by=by, checks=checks)
        if len(waiting.signed) < signoff.people:
            return _said(waiting, "signed", checks)
    move = Move(
        act=Act.PROMOTE,
        channel=channel,
        by=by,
        digest=version.digest,
        note=note or (waiting.note if waiting else ""),
        said={
            "checks": [check.as_json() for check in checks],
            "proposer": waiting.proposer if waiting else by.user,
            "signed": list(waiting.signed) if waiting else [],
        },
    )
    writes = [promotions.done(waiting)] if waiting is not None else []
    await desk.parts.registry.promote(version.key, move, instead_of=instead_of, writes=writes)
    desk.parts.drift.announce(
        runner_of(desk, version.digest)
    )  # what was looked at may be older than what runs
    await desk.repin(by)
    return {
        "tool": version.key,
        "channel": channel.value,
        "digest": version.digest,
        "state": "promoted",
        "proposer": waiting.proposer if waiting else by.user,
        "signed": list(waiting.signed) if waiting else [],
        "checks": [check.as_json() for check in checks],
    }


def _check_signer(
    desk: Desk, version: ToolVersion, channel: Channel, waiting: Proposal, by: Principal
) -> None:
    signoff = gate_of(desk, channel).signoff
    if signoff is None:
        return
    said = desk.ward().manifests.get(version.key)
    roles = tuple(desk.parts.approvals.ground.people.voter(by.user).roles)
    check_signer(signoff, by, roles, proposer=waiting.proposer, owner=said[1].owner if said else "")
    if by.user in waiting.signed and len(waiting.signed) < signoff.people:
        raise Denied(
            f"{by.user} agreed to this promotion already",
            code=ReasonCode.NOT_AN_APPROVER,
            remedy="another person has to agree too",
        )


def _check_gate(version: ToolVersion, channel: Channel, checks: Sequence[Check]) -> None:
    against = standing_against(checks)
    if against:
        raise GateNotMet(
            f"{version.key} {version.digest[:19]} does not get into {channel}: {against}", checks=checks
        )


class GateNotMet(Denied):
    """A version did not show what the gate of a channel asks for; `checks` are all that were looked at."""

    default_code = ReasonCode.GATE_NOT_MET

    def __init__(self, text: str, *, checks: Sequence[Check]) -> None:
        """Say what stands against it."""
        super().__init__(text, remedy="show what is missing; gates.yaml says what each channel asks for")
        self.checks = tuple(checks)


async def _tested(
    desk: Desk, version: ToolVersion, channel: Channel, checks: Sequence[Check], by: Principal
) -> None:
    if all(check.verdict is Verdict.HOLDS for check in checks):
        said = {"by": by.as_json(), "checks": [check.as_json() for check in checks]}
        await desk.parts.registry.tested(version.key, channel, version.digest, said)
        await desk.repin(by)


def _chosen(desk: Desk, key: str, channel: Channel, beginning: str, waiting: Proposal | None) -> ToolVersion:
    """The version that is meant. Raises `Rejected` where that can not be told, or nothing runs it."""
    registry = desk.parts.registry
    home = registry.pin(key)
    before = list(Channel)[: list(Channel).index(channel)]
    served = [
        pin.digest for each in reversed(before) if (pin := registry.pin(key, each)) and pin.state.stands
    ]
    seen = [*home.offers[::-1], home.candidate, home.digest] if home is not None else []
    if beginning:
        known = {digest for _, pin in registry.every_pin() if pin.key == key for digest in pin.names()}
        digest = one_of(tuple(sorted(known)), beginning, tool=key)
    else:
        now = registry.pin(key, channel)
        present = now.digest if now is not None and now.state.stands else ""
        wanted = [waiting.digest] if waiting is not None else []
        digest = next((each for each in (*wanted, *served, *seen) if each and each != present), "")
        if not digest:
            raise Rejected(
                f"no other version of {key} is known", remedy="see `toolward tools list --refresh`"
            )
    version = registry.usable(key, digest)
    if not runner_of(desk, digest):
        raise Rejected(
            f"nothing that is configured runs `{digest[:19]}` of {key}",
            remedy="declare it under `variants` of its server in toolward.yaml",
        )
    return version


async def withdraw(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Take back what waits for a channel, or say no to it. Parameters: `tool`, `to`, `note`."""
    proposal = await desk.parts.promotions.withdraw(
        text(parameters, "tool"),
        channel_of(desk, parameters, "to"),
        by=by,
        note=text(parameters, "note", ""),
    )
    return {**proposal.as_json(), "state": "withdrawn"}


async def promotions(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """What waits for people, with what its gate says now."""
    del parameters, by
    rows = []
    for proposal in desk.parts.promotions.every():
        version = desk.parts.registry.version(proposal.digest)
        checks = evaluate(desk, version, proposal.channel) if version is not None else []
        rows.append(_said(proposal, "proposed", checks))
    return rows


async def gate(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """What a channel's gate says of a version now, without a step toward it. Parameters as of `promote`."""
    del by
    key, channel = text(parameters, "tool"), channel_of(desk, parameters, "to")
    waiting = desk.parts.promotions.find(key, channel)
    version = _chosen(desk, key, channel, text(parameters, "digest", ""), waiting)
    checks = [check.as_json() for check in evaluate(desk, version, channel)]
    return {"tool": key, "channel": channel.value, "digest": version.digest, "checks": checks}


def _said(proposal: Proposal, state: str, checks: Sequence[Check]) -> dict[str, Any]:
    return {**proposal.as_json(), "state": state, "checks": [check.as_json() for check in checks]}


# --- canaries ----------------------------------------------------------------------------------------


async def canary(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Serve a version to a share of the new sessions and watch it; without a number, how one does.

    Parameters: `tool`, `channel`, `share` (1 to 99 per cent of the new sessions) or `copies` (1 to 100 per
    cent of the reads, which are run with it too), `digest`. All that the gate asks for has to hold but the
    canary and the copies; where it asks for people, the version waits, and another begins.
    """
    key, channel = text(parameters, "tool"), channel_of(desk, parameters)
    share, copies = parameters.get("share", 0), parameters.get("copies", 0)
    if not share and not copies:
        return _canary_said(desk, key, channel)
    if type(share) is not int or not 0 <= share <= 99:  # noqa: PLR2004 -- per cent, never all
        raise Rejected("`share` is a number from 1 to 99, per cent of the new sessions")
    if type(copies) is not int or not 0 <= copies <= 100:  # noqa: PLR2004 -- per cent
        raise Rejected("`copies` is a number from 1 to 100, per cent of the reads")
    waiting = desk.parts.promotions.find(key, channel)
    version = _chosen(desk, key, channel, text(parameters, "digest", ""), waiting)
    try:
        if copies:
            _check_copies(desk, version, channel)
        await _begin(desk, version, channel, waiting, by=by, share=(share, copies))
    except (Denied, Contested) as no:
        await desk.parts.promotions.refused(key, channel, version.digest, no, by=by)
        raise
    await desk.repin(by)
    return _canary_said(desk, key, channel)


async def _begin(
    desk: Desk,
    version: ToolVersion,
    channel: Channel,
    waiting: Proposal | None,
    *,
    by: Principal,
    share: tuple[int, int],
) -> None:
    """`share`: of the new sessions, and of the reads that are copied."""
    _check_variants(desk, version)
    if gate_of(desk, channel).signoff is not None:
        if waiting is None or waiting.digest != version.digest:
            raise Denied(
                f"{version.key} {version.digest[:19]} was not proposed for {channel}",
                code=ReasonCode.GATE_NOT_MET,
                remedy=f"one person proposes it (`toolward tools promote {version.key} --to {channel}`), "
                "another begins its canary",
            )
        _check_signer(desk, version, channel, waiting, by)
    checks = [check for check in evaluate(desk, version, channel) if check.what not in _BY_TRYING]
    _check_gate(version, channel, checks)
    _ = desk.trial(version)
    said = {"checks": [check.as_json() for check in checks]}
    move = Move(
        act=Act.PROMOTE, channel=channel, by=by, digest=version.digest, note=desk.parts.ids.new(), said=said
    )
    _ = await desk.parts.canaries.begin(version.key, move, share=share[0], copies=share[1])
    desk.parts.drift.announce(runner_of(desk, version.digest))


_BY_TRYING = frozenset({"canary", "shadow"})
"""What a gate asks for that only a canary shows."""


def _check_copies(desk: Desk, version: ToolVersion, channel: Channel) -> None:
    pin = desk.parts.registry.pin(version.key, channel)
    if pin is not None and not (only_reads(version) and only_reads(desk.parts.registry.of(pin))):
        raise Rejected(
            f"{version.key} does more than read here, so copies of its calls would do it twice",
            remedy="run recorded calls with both in the sandbox: toolward tools compare",
        )


def _check_variants(desk: Desk, version: ToolVersion) -> None:
    binding = desk.revision().binding(version.server)
    if binding is not None and not binding.variants:
        raise Rejected(
            f"`{version.server}` runs one version at a time, so there is no canary",
            remedy="declare the other version under its `variants` in toolward.yaml, or block and allow "
            "(`toolward tools revoke`, `approve`)",
        )


async def abort(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """End a canary. Parameters: `tool`, `channel`, `recall` (sessions that got it go back too), `why`."""
    key, channel = text(parameters, "tool"), channel_of(desk, parameters)
    move = Move(act=Act.ROLL_BACK, channel=channel, by=by, note=text(parameters, "why", ""))
    said = await desk.parts.canaries.abort(key, move, withdraw=bool(parameters.get("recall")))
    await desk.repin(by)
    return {"tool": key, **said}


def _canary_said(desk: Desk, key: str, channel: Channel) -> dict[str, Any]:
    canaries = desk.parts.canaries
    trial = canaries.running(key, channel)
    if trial is None:
        raise Rejected(
            f"no canary of {key} runs in {channel}",
            code=ReasonCode.NOT_PENDING,
            remedy=f"begin one: toolward tools canary {key} --share {CanaryBounds().share}",
        )
    compared, differences = outcome_of(
        desk.parts.store,
        key,
        channel,
        control=trial.pin.digest,
        candidate=trial.pin.canary.digest if trial.pin.canary else "",
    )
    return {
        "tool": key,
        **canaries.figures(trial),
        "compared": compared,
        "differences": differences,
        "check": canaries.judged(trial).as_json(),
    }


VERBS = {
    "tools.promote": Verb(promote),
    "tools.withdraw": Verb(withdraw),
    "tools.promotions": Verb(promotions),
    "tools.gate": Verb(gate),
    "tools.canary": Verb(canary),
    "tools.abort": Verb(abort),
}
