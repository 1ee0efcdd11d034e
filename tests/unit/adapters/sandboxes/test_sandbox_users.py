"""Two gateways on one machine never have the same users for their cages, however one of them ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolward.adapters.sandboxes.caged import CagedSandbox
from toolward.adapters.sandboxes.settings import UIDS_BASE, Settings
from toolward.adapters.sandboxes.users import USERS_PER_POOL, claim
from toolward.errors import SandboxUnavailable
from toolward.model.capability import IsolationLevel

OTHER = """
import sys
from toolward.adapters.sandboxes.users import claim
print(claim(places=[sys.argv[1]], pools_max=2).first, flush=True)
sys.stdin.read()
"""
BUSY = """
import asyncio, os, sys
from toolward.adapters.sandboxes.caged import CagedSandbox
from toolward.adapters.sandboxes.settings import Settings
from toolward.model.capability import IsolationLevel, Limits, Scope
from toolward.ports.sandbox import PythonJob, PythonSource, Value

SPIN = '''
import os
def f(n):
    made = 0
    for _ in range(8):
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0); made += 1
    return made
'''

async def main():
    cage = await CagedSandbox.open(Settings(tier=IsolationLevel(sys.argv[1]), ready=2))
    print("open", cage.pool.first_user, flush=True)
    sys.stdin.readline()
    job = PythonJob(target=PythonSource(text=SPIN, function="f"), arguments={"n": 1})
    for _ in range(25):
        ended = await cage.run(job, Scope(limits=Limits(processes=12)))
        assert isinstance(ended, Value) and ended.value == 8, ended
    await cage.close()
    print("fine", flush=True)

asyncio.run(main())
"""


def start(text: str, *given: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", text, *given]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_processes_get_other_users_and_a_killed_one_frees_its_own(tmp_path: Path) -> None:
    here = claim(places=[str(tmp_path)], pools_max=2)
    assert here.first == UIDS_BASE
    with start(OTHER, str(tmp_path)) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == UIDS_BASE + USERS_PER_POOL
        with pytest.raises(SandboxUnavailable, match="all 2 blocks of users"):
            claim(places=[str(tmp_path)], pools_max=2)
        other.kill()
        other.wait(timeout=10)
    again = claim(places=[str(tmp_path)], pools_max=2)
    assert again.first == UIDS_BASE + USERS_PER_POOL
    again.release()
    here.release()


def test_a_directory_that_others_may_use_holds_no_locks(tmp_path: Path) -> None:
    (tmp_path / "toolward-users").mkdir()
    (tmp_path / "toolward-users").chmod(0o777)
    with pytest.raises(SandboxUnavailable, match="no directory of our own"):
        claim(places=[str(tmp_path)], pools_max=1)


@pytest.mark.parametrize("tier", ["namespaces", "landlock"])
async def test_two_gateways_at_work_do_not_touch_each_others_cages(tier: str) -> None:
    try:
        cage = await CagedSandbox.open(Settings(tier=IsolationLevel(tier), ready=0))
    except SandboxUnavailable as error:
        pytest.skip(error.reason.text)  # names the primitive that this host lacks
    await cage.close()
    with start(BUSY, tier) as one, start(BUSY, tier) as other:
        both = (one, other)
        for each in both:
            assert each.stdout is not None
        users = [each.stdout.readline().split() for each in both if each.stdout]
        assert os.geteuid() != 0 or users[0] != users[1]
        for each in both:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        said = [each.communicate(timeout=60)[0] for each in both]
    assert said == ["fine\n", "fine\n"]


async def test_more_cages_than_users_are_refused() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has other users for cages")
    with pytest.raises(SandboxUnavailable, match="workers_max"):
        await CagedSandbox.open(Settings(workers_max=USERS_PER_POOL))
