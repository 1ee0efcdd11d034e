"""A ward's policies against its tools, without putting anything in force: what `toolward check` looks at."""

from __future__ import annotations

from collections.abc import Sequence

from toolward.adapters.stores.sqlite import DATABASE, SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.bootstrap.revision import ceilings_of, shipped_profiles
from toolward.config.ward import Ward
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.kernel.registry.registry import Registry
from toolward.model.tool import ToolVersion
from toolward.rules.policy.answerable import unanswerable
from toolward.rules.policy.cedar_schema import read_vocabulary
from toolward.rules.policy.ceiling import ceiling_policy
from toolward.rules.policy.check import Finding, check_policies, read_files
from toolward.rules.policy.profile import Profile


async def pinned_versions(ward: Ward) -> list[ToolVersion]:
    """What is pinned, read from the ward's own store: none before the first `init`.

    Raises `WardError` when another process has the ward open, or its log is not what was signed.
    """
    if not (ward.state / DATABASE).exists():
        return []
    clock, ids = SystemClock(), SystemIds()
    store = SqliteStore.open(ward.state, origin=f"toolward/{ward.config.name}", clock=clock, ids=ids)
    try:
        auditor = Auditor(store, clock=clock, ids=ids)
        incidents = Incidents(store, auditor, clock=clock, ids=ids)
        return Registry(
            store, auditor, incidents, clock=clock, channel=lambda: ward.config.channel
        ).versions()
    finally:
        await store.close()


def check_ward_policies(ward: Ward, versions: Sequence[ToolVersion]) -> tuple[list[Finding], str]:
    """Every finding in the ward's policies and agents' ceilings, and the Cedar schema they were read by."""
    vocabulary = read_vocabulary(versions, [binding.server for binding in ward.bindings])
    profile = Profile(ward.config.profile.value)
    own = dict(ward.policies)
    for agent, ceiling in ceilings_of(ward.config).items():
        own[f"toolward.yaml (agent {agent})"] = ceiling_policy(agent, ceiling)
    shipped = {f"profile {profile.value}": shipped_profiles()[profile]}
    found = check_policies({**shipped, **own}, vocabulary)
    found += unanswerable(read_files(ward.policies)[0], ward.config.roles)
    return [finding for finding in found if finding.file not in shipped], vocabulary.schema_text
