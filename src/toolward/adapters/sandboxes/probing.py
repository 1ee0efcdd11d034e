"""What this host reaches: tried, reported, and said in plain words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from toolward.adapters.sandboxes.settings import Settings, joined
from toolward.adapters.sandboxes.zygote_link import ZygoteLink
from toolward.errors import SandboxUnavailable
from toolward.model.capability import IsolationLevel, IsolationReport

_NEEDED: Final = {
    IsolationLevel.NAMESPACES: ("userns", "mount_ns", "pid_ns", "net_ns", "seccomp", "house"),
    IsolationLevel.LANDLOCK: ("landlock", "seccomp"),
}
ABI_NET: Final = 4
_ABI_SCOPES: Final = 6
_REMEDIES: Final = {
    "userns": "see the sysctls user.max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns; "
    "in a container: a seccomp profile that allows unshare and mount",
    "mount_ns": "in a container: a seccomp and AppArmor profile that allows mount",
    "pid_ns": "in a container: a seccomp profile that allows unshare",
    "net_ns": "in a container: a seccomp profile that allows unshare",
    "proc": "in a container: unmask /proc (`--security-opt systempaths=unconfined`); cages go without it",
    "landlock": "a kernel of 5.13 or newer, booted with landlock in `lsm=`",
    "seccomp": "a kernel with CONFIG_SECCOMP_FILTER",
    "house": "see the error: a directory that cages run from could not be bound",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One row for a person. `works` and what was seen; `remedy` where it does not."""

    what: str
    works: bool
    text: str
    remedy: str = ""


class Probe:
    """The outcome of the trials of one host."""

    def __init__(self, trials: dict[str, list[Any]], *, as_root: bool) -> None:
        self._trials = trials
        self._as_root = as_root

    def works(self, name: str) -> bool:
        """Whether a primitive could be used, and held."""
        return bool(self._trials[name][0])

    def trials(self) -> dict[str, list[Any]]:
        """What was tried: whether it works, and what was seen."""
        return dict(self._trials)

    @property
    def best(self) -> IsolationLevel:
        """The strongest tier of this adapter that is reached; `none` if none is."""
        for tier, needed in _NEEDED.items():
            if all(self.works(name) for name in needed):
                return tier
        return IsolationLevel.NONE

    def report_for(self, tier: IsolationLevel) -> IsolationReport:
        """What a cage of that tier is here. Raises `SandboxUnavailable` when it can not be made."""
        missing = [name for name in _NEEDED.get(tier, ()) if not self.works(name)]
        if missing or tier not in _NEEDED:
            why = "; ".join(f"{name}: {self._trials[name][1]}" for name in missing) or "no such tier"
            raise SandboxUnavailable(
                f"no cage of the tier `{tier.value}` can be made here: {why}",
                remedy=f"this host reaches `{self.best.value}`; toolward doctor says how to reach more",
            )
        namespaces = tier is IsolationLevel.NAMESPACES
        return IsolationReport(
            tier=tier,
            userns=namespaces,
            mount_ns=namespaces,
            pid_ns=namespaces,
            net_ns=namespaces,
            landlock_abi=self._landlock,
            seccomp=True,
            proc=namespaces and self.works("proc"),
            mem_total_enforced="watchdog",
            gaps=tuple(self._gaps(namespaces=namespaces)),
        )

    @property
    def _landlock(self) -> int:
        return int(self._trials["landlock"][1]) if self.works("landlock") else 0

    def _gaps(self, *, namespaces: bool) -> Iterator[str]:
        if not self._as_root:
            yield "written: what a function writes in all is not counted, only that of a program"
        if namespaces:
            if not self._landlock:
                yield "what a cage writes in its scratch directory is kept from running by mount flags alone"
            return
        yield (
            "stat: whether a path outside the grants exists, its size, times and attributes, and where a link"
            " leads, can be seen"
        )
        yield "mmap: code that was written to a granted directory can be mapped, though not started"
        yield "chmod: chmod, chown, utime and inotify fail everywhere, in granted directories too"
        yield "scratch: there is no private temporary directory; only granted paths can be written"
        yield "kernel: process numbers and host names of the machine can be seen"
        if not self._as_root:
            yield "processes: they are counted every few milliseconds; hundreds more can live until then"
        else:
            yield "owners: a granted path is usable as far as it is open to others; each call is another user"
        if self._landlock < ABI_NET:
            yield "network: this Landlock can not hold connections to one port; network grants are refused"
        else:
            yield "network: a network grant is a port of the machine's loopback; other programs reach it too"
        if self._landlock < _ABI_SCOPES:
            yield "signals: processes of the same user outside the cage can be signalled"

    def findings(self) -> list[Finding]:
        """What this host reaches, what is missing, and how to get it."""
        best = self.best
        gaps = self.report_for(best).gaps if best is not IsolationLevel.NONE else ()
        text = f"{best.value}" + (f"; not stopped: {len(gaps)} things" if gaps else "")
        rows = [
            Finding(
                "cages",
                best is IsolationLevel.NAMESPACES,
                text if best is not IsolationLevel.NONE else "none can be made here",
                "what is missing stands below",
            )
        ]
        for name, (works, said) in self._trials.items():
            if not works:
                rows.append(Finding(name, works=False, text=str(said), remedy=_REMEDIES[name]))
        rows += [Finding("gap", works=False, text=gap) for gap in gaps]
        return rows

    def sentence(self) -> str:
        """One line: the tier, and what does not work."""
        broken = [name for name in self._trials if not self.works(name)]
        return f"{self.best.value}; without: {joined(broken)}"


async def probe(settings: Settings | None = None) -> Probe:
    """Try every primitive on this host. Raises `SandboxUnavailable` where cages are not made at all."""
    link = ZygoteLink()
    try:
        said = await link.open(settings or Settings(), probe=True)
    finally:
        await link.close()
    return Probe(said["trials"], as_root=os.geteuid() == 0)
