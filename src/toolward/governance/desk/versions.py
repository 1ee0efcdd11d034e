"""What a channel served before, and going back to it; the end of a tool's life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.kernel.registry.registry import Move
from toolward.model.pin import Pin
from toolward.model.principal import Principal
from toolward.model.tool import Channel
from toolward.rules.lifecycle import Act
from toolward.rules.serving import earlier


def channel_of(desk: Desk, parameters: Mapping[str, Any], name: str = "channel") -> Channel:
    """The channel that a parameter names, else the ward's own. Raises `Rejected`."""
    said = text(parameters, name, "")
    if said and said not in Channel.__members__.values():
        raise Rejected(f"no channel `{said[:100]}`", remedy=f"use one of {', '.join(Channel)}")
    return Channel(said) if said else desk.revision().channel


def one_of(digests: tuple[str, ...], beginning: str, *, tool: str) -> str:
    """The one digest that begins so. Raises `Rejected` for none and for more than one."""
    wanted = "sha256:" + beginning.removeprefix("sha256:")
    found = [each for each in digests if each.startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(each[:19] for each in digests) or "none"
        raise Rejected(
            f"`{beginning[:100]}` names {len(found)} versions of {tool}", remedy=f"there are: {known}"
        )
    return found[0]


async def history(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """What a channel serves of a tool and served before, the newest first. Parameters: `tool`, `channel`."""
    del by
    channel = channel_of(desk, parameters)
    pin = desk.parts.registry.known(text(parameters, "tool"), channel)
    stretches = [*pin.history, *([pin.canary] if pin.canary else [])]
    return {
        "tool": pin.key,
        "channel": channel.value,
        "digest": pin.digest,
        "state": pin.state.value,
        "since_ns": str(pin.served_ns),
        "successor": pin.successor,
        "earlier": [
            {
                "digest": each.digest,
                "since_ns": str(each.since_ns),
                "until_ns": str(each.until_ns),
                "canary": each.canary,
                "share": each.share,
                "withdrawn": each.withdrawn,
                "runner": runner_of(desk, each.digest),
            }
            for each in reversed(stretches)
        ],
    }


def runner_of(desk: Desk, digest: str) -> str:
    """Which upstream runs a version, "" for none."""
    version = desk.parts.registry.version(digest)
    return (desk.revision().runner(version) or "") if version is not None else ""


async def rollback(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Serve an earlier version again, at once. A canary that runs is over.

    Parameters: `tool`, `channel`, `to` (a beginning of the digest; left out: the version before, or with a
    canary the one that it was compared with), `recall` (sessions in flight go back too), `why`. `took_us` is
    from this command to the revision that is in force.
    """
    started = desk.clock.monotonic_ns()
    registry, channel = desk.parts.registry, channel_of(desk, parameters)
    pin = registry.known(text(parameters, "tool"), channel)
    left = pin.canary.digest if pin.canary else pin.digest
    to = _earlier(desk, pin, text(parameters, "to", ""))
    move = Move(act=Act.ROLL_BACK, channel=channel, by=by, digest=to, note=text(parameters, "why", ""))
    new = await registry.roll_back(pin.key, move, withdraw=bool(parameters.get("recall")))
    await desk.repin(by)
    desk.parts.drift.announce(runner_of(desk, new.digest))
    return {
        "tool": pin.key,
        "channel": channel.value,
        "from": left,
        "to": new.digest,
        "state": new.state.value,
        "recalled": bool(parameters.get("recall")),
        "took_us": (desk.clock.monotonic_ns() - started) // 1000,
    }


def _earlier(desk: Desk, pin: Pin, beginning: str) -> str:
    """The version to go back to. Raises `Rejected` with why there is none."""
    if pin.canary is not None and not beginning:
        return pin.digest
    known = earlier(pin)
    if beginning:
        chosen = one_of(known, beginning, tool=pin.key)
        if not runner_of(desk, chosen):
            raise Rejected(
                f"nothing that is configured runs `{chosen[:19]}` any more",
                remedy=f"declare it again under `servers.{pin.server}.variants` in toolward.yaml",
            )
        return chosen
    for digest in known:
        if runner_of(desk, digest):
            return digest
    raise Rejected(
        f"there is no earlier version of {pin.key} that could be served", remedy=_why_none(desk, pin)
    )


def _why_none(desk: Desk, pin: Pin) -> str:
    binding = desk.revision().binding(pin.server)
    if binding is not None and not binding.variants:
        return (
            f"`{pin.server}` runs one version at a time, so it can only be blocked (`toolward tools revoke`) "
            "and allowed; `variants` in toolward.yaml keep others beside it"
        )
    return "see what it served: toolward tools history"


async def deprecate(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Serve a tool with a warning. Parameters: `tool`, `successor` (`server/name`), `channel`, `why`."""
    channel = channel_of(desk, parameters)
    pin = await desk.parts.registry.deprecate(
        text(parameters, "tool"),
        successor=text(parameters, "successor", ""),
        by=by,
        why=text(parameters, "why", ""),
        channel=channel,
    )
    await desk.repin(by)
    return {
        "tool": pin.key,
        "channel": channel.value,
        "digest": pin.digest,
        "state": pin.state.value,
        "successor": pin.successor,
    }


VERBS = {
    "tools.history": Verb(history, needs_person=False),
    "tools.rollback": Verb(rollback),
    "tools.deprecate": Verb(deprecate),
}
