"""The fallback tier where users are not a cage's own: as an ordinary user, and as root without namespaces."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import orjson
import pytest
from tests.caged_world import Tools, error_of, text_of
from tests.contracts.test_caged_tools import wheel

from toolward.adapters.sandboxes.caged import CagedSandbox
from toolward.adapters.sandboxes.settings import Settings
from toolward.errors import Denied, SandboxUnavailable
from toolward.lab.escape.columns import as_user
from toolward.lab.escape.unprivileged import UID, Host
from toolward.model.capability import IsolationLevel, PathAccess, PathGrant, Scope
from toolward.ports.sandbox import PythonJob, PythonSource, Value

pytestmark = pytest.mark.e2e

BUSY_USER = UID - 7
BUSY = """
import asyncio, json, subprocess
from dataclasses import replace
from toolward.adapters.sandboxes.caged import CagedSandbox, UnsafeNoSandbox
from toolward.adapters.sandboxes.settings import Settings
from toolward.errors import SandboxUnavailable
from toolward.model.capability import IsolationLevel, Limits, Scope
from toolward.ports.sandbox import PythonJob, PythonSource

FORKS = '''
import os, time
def f(count):
    for _ in range(count):
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
    time.sleep(0.5)
    return count
'''

async def main():
    try:
        caged = await CagedSandbox.open(Settings(tier=IsolationLevel.LANDLOCK, ready=1))
    except SandboxUnavailable as error:
        return {"skip": error.reason.text}
    bare = await UnsafeNoSandbox.open(Settings(ready=1))
    told = {}
    for name, sandbox, count in (("few", caged, 5), ("many", caged, 40), ("control", bare, 40)):
        target = PythonSource(text=FORKS, function="f")
        limits = Limits(processes=-1 if sandbox is bare else 16)
        ended = await sandbox.run(PythonJob(target=target, arguments={"count": count}), Scope(limits=limits))
        told[name] = [type(ended).__name__, str(getattr(ended, "reason", ""))]
    await caged.close()
    await bare.close()
    return told

others = [subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) for _ in range(40)]  # more than the limit
try:
    print(json.dumps(asyncio.run(main())))
finally:
    for each in others:
        each.kill()
"""


def test_a_busy_user_starts_cages_and_a_cage_still_has_no_more_than_its_own() -> None:
    own = [sys.executable, "-c", BUSY]
    command = as_user(Host.PLAIN, own, uid=BUSY_USER) if os.geteuid() == 0 else own
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    told = orjson.loads(done.stdout)
    if "skip" in told:
        pytest.skip(told["skip"])
    assert told == {
        "few": ["Value", ""],
        "many": ["Stopped", "processes"],
        "control": ["Value", ""],
    }


# --- as root -----------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives each cage a user of its own")


@pytest.fixture
async def cage() -> AsyncIterator[CagedSandbox]:
    try:
        sandbox = await CagedSandbox.open(Settings(tier=IsolationLevel.LANDLOCK, ready=1))
    except SandboxUnavailable as error:
        pytest.skip(error.reason.text)
    yield sandbox
    await sandbox.close()


@pytest.fixture
def ours() -> Iterator[Path]:
    """A directory that everybody may walk to and only we may write in."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        Path(place).chmod(0o755)
        yield Path(place)


def writing(path: Path) -> tuple[PythonJob, Scope]:
    text = "def f(path):\n with open(path + '/made', 'w') as file: return file.write('x')"
    job = PythonJob(target=PythonSource(text=text, function="f"), arguments={"path": str(path)})
    return job, Scope(paths=(PathGrant(str(path), PathAccess.WRITE, str(path)),))


@needs_root
async def test_a_directory_that_only_its_owner_may_write_is_refused_with_what_to_do(
    cage: CagedSandbox, ours: Path
) -> None:
    job, scope = writing(ours)
    with pytest.raises(Denied) as refused:
        await cage.run(job, scope)
    assert "only its owner may write there" in refused.value.reason.text
    assert "chmod o+rwx" in refused.value.reason.remedy
    os.chmod(ours, 0o777)  # noqa: PTH101 -- the control: that is what it takes
    assert isinstance(await cage.run(job, scope), Value)


@needs_root
async def test_an_environment_in_private_state_is_executable_and_the_state_stays_private(
    cage: CagedSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "state"
    private.mkdir(mode=0o700)
    (private / "key").write_text("secret")
    (private / "key").chmod(0o644)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel(shelf, "counting", "1.5", "def twice(x): return 2 * x")
    for name, value in (("FIND_LINKS", str(shelf)), ("NO_INDEX", "1")):
        monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.setenv(f"UV_{name}", value)
    text = f"""
import counting
def f(x: int) -> int: return counting.twice(x)
def peek() -> str: return open({str(private / "key")!r}).read()
"""
    tools = Tools(cage, private, source=text, requirements=("counting==1.5",))
    assert text_of(await tools.run("fn/f", {"x": 21})) == "42"
    assert "PermissionError" in error_of(await tools.run("fn/peek"))
