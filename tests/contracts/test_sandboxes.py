"""Every sandbox keeps the port's promises; where a test names an attack, its control shows that it works."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from toolward.adapters.sandboxes.caged import CagedSandbox, UnsafeNoSandbox
from toolward.adapters.sandboxes.results import read_result
from toolward.adapters.sandboxes.settings import Settings
from toolward.errors import Denied, SandboxUnavailable, ToolFailed
from toolward.model.capability import IsolationLevel, Limits, PathAccess, PathGrant, Scope
from toolward.model.egress import Grant
from toolward.ports.sandbox import (
    CommandJob,
    Ended,
    Exited,
    PythonJob,
    PythonModule,
    PythonSource,
    Raised,
    Stopped,
    StopReason,
    Value,
)

AS_ROOT = os.geteuid() == 0
SHORT = Limits(wall_ms=1_000)
NOTHING = Scope()


@pytest.fixture(params=["namespaces", "landlock"])
async def cage(request: pytest.FixtureRequest) -> AsyncIterator[CagedSandbox]:
    settings = Settings(tier=IsolationLevel(request.param), ready=2)
    try:
        sandbox = await CagedSandbox.open(settings)
    except SandboxUnavailable as error:
        pytest.skip(error.reason.text)  # names the primitive that this host lacks
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def bare() -> AsyncIterator[UnsafeNoSandbox]:
    """The control: no cage."""
    sandbox = await UnsafeNoSandbox.open(Settings(ready=1))
    yield sandbox
    await sandbox.close()


@pytest.fixture
def granted(tmp_path: Path) -> Path:
    """A directory that a user who owns nothing may use: the landlock tier has no mapped owners."""
    for parent in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(parent):
            parent.chmod(parent.stat().st_mode | 0o755)  # how deep it lies depends on how the tests are run
    directory = tmp_path / "granted"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


def source(text: str, **arguments: Any) -> PythonJob:
    return PythonJob(target=PythonSource(text=text, function="f"), arguments=arguments)


def scope(path: Path, access: PathAccess, **more: Any) -> Scope:
    return Scope(paths=(PathGrant(str(path), access, str(path)),), **more)


def value_of(ended: Ended) -> Any:
    assert isinstance(ended, Value), ended
    return ended.value


# --- doing the job -----------------------------------------------------------------------------------


async def test_a_function_gets_json_and_gives_json(cage: CagedSandbox) -> None:
    ended = await cage.run(source("def f(a, b): return {'sum': a + b}", a=1, b=2), NOTHING)
    assert value_of(ended) == {"sum": 3}
    assert isinstance(ended, Value)
    assert ended.ran.report == cage.report()
    assert {name for name, _ in ended.ran.steps} >= {"armed", "answered"}


async def test_an_importable_function_is_found_in_its_search_path(cage: CagedSandbox, granted: Path) -> None:
    (granted / "mine.py").write_text("import decimal\ndef double(x): return str(decimal.Decimal(x) * 2)\n")
    target = PythonModule(module="mine", function="double", search_paths=(str(granted),))
    assert value_of(await cage.run(PythonJob(target=target, arguments={"x": "1.5"}), NOTHING)) == "3.0"


async def test_a_function_runs_in_another_interpreter(cage: CagedSandbox) -> None:
    other = "/usr/bin/python3"
    if not os.access(other, os.X_OK):
        pytest.skip("there is no other interpreter at /usr/bin/python3")
    text = "import sys\ndef f(): return sys.executable"
    job = PythonJob(target=PythonSource(text=text, function="f"), interpreter=other)
    assert value_of(await cage.run(job, NOTHING)) == other


async def test_the_standard_library_can_be_imported_late(cage: CagedSandbox) -> None:
    text = "def f():\n import asyncio, decimal, sqlite3, hashlib, encodings.idna\n return decimal.__name__"
    assert value_of(await cage.run(source(text), NOTHING)) == "decimal"


async def test_an_exception_is_told_by_kind_and_text(cage: CagedSandbox) -> None:
    ended = await cage.run(source("def f(): raise ValueError('no')"), NOTHING)
    assert isinstance(ended, Raised)
    assert (ended.kind, ended.text) == ("ValueError", "no")
    ended = await cage.run(source("def f(): return {1}"), NOTHING)
    assert isinstance(ended, Raised)
    assert ended.text.startswith("the result is not json")


async def test_a_program_gets_stdin_and_gives_both_outputs_and_its_status(cage: CagedSandbox) -> None:
    job = CommandJob(argv=("sh", "-c", "cat; echo oops >&2; exit 3"), stdin=b"in" * 200_000)
    ended = await cage.run(job, NOTHING)
    assert isinstance(ended, Exited)
    assert (ended.status, ended.stdout, ended.stderr) == (3, b"in" * 200_000, b"oops\n")


async def test_a_program_that_is_not_there_is_told(cage: CagedSandbox) -> None:
    ended = await cage.run(CommandJob(argv=("no-such-program",)), NOTHING)
    assert isinstance(ended, Raised)
    assert "no-such-program" in ended.text


async def test_the_environment_is_the_scope_and_the_job_and_nothing_of_ours(
    cage: CagedSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "secret")
    text = "import os\ndef f(): return dict(os.environ)"
    job = PythonJob(target=PythonSource(text=text, function="f"), environment={"TOKEN": "t"})
    seen = value_of(await cage.run(job, Scope(environment=(("MODE", "m"),))))
    assert (seen["TOKEN"], seen["MODE"]) == ("t", "m")
    assert "OURS" not in seen


# --- files -------------------------------------------------------------------------------------------

TRY_FILES = """
import os
def attempt(do):
    try: return do() or "done"
    except OSError as error: return error.errno
def f(d, outside):
    return {
        "list": attempt(lambda: sorted(os.listdir(d))),
        "read": attempt(lambda: open(d + "/in").read()),
        "write": attempt(lambda: open(d + "/out", "w").close()),
        "outside": attempt(lambda: open(outside).read()),
        "outside write": attempt(lambda: open(outside, "a").write("!") and None),
        "up": attempt(lambda: open(d + "/../beside").read()),
    }
"""


async def test_a_granted_directory_can_be_used_and_what_is_beside_it_can_not(
    cage: CagedSandbox, bare: UnsafeNoSandbox, granted: Path
) -> None:
    (granted / "in").write_text("inside")
    beside = granted.parent / "beside"
    beside.write_text("private")
    beside.chmod(0o666)
    job = source(TRY_FILES, d=str(granted), outside=str(beside))
    control = value_of(await bare.run(job, NOTHING))
    assert (control["outside"], control["up"]) == ("private", "private!")
    assert beside.read_text() == "private!"
    (granted / "out").unlink()
    beside.write_text("private")
    reading = value_of(await cage.run(job, scope(granted, PathAccess.READ)))
    assert (reading["list"], reading["read"]) == (["in"], "inside")
    assert isinstance(reading["write"], int)
    assert not (granted / "out").exists()
    writing = value_of(await cage.run(job, scope(granted, PathAccess.WRITE)))
    assert (writing["read"], writing["write"]) == ("inside", "done")
    assert (granted / "out").exists()
    for seen in (reading, writing):
        assert all(seen[what] != "private" for what in ("outside", "up"))
    # A write may seem to work: what lies under /tmp is the cage's own scratch. The file is as it was.
    assert beside.read_text() == "private"


async def test_a_single_file_can_be_granted(cage: CagedSandbox, granted: Path) -> None:
    file = granted / "one"
    file.write_text("1")
    file.chmod(0o666)
    (granted / "two").write_text("2")
    text = (
        "def f(d):\n open(d + '/one', 'a').write('!')\n try: open(d + '/two')\n except OSError: return 'no'"
    )
    assert value_of(await cage.run(source(text, d=str(granted)), scope(file, PathAccess.WRITE))) == "no"
    assert file.read_text() == "1!"


async def test_a_private_directory_of_its_owner_is_usable_where_owners_are_mapped(
    cage: CagedSandbox, tmp_path: Path
) -> None:
    if not cage.report().mount_ns and AS_ROOT:
        pytest.skip("the landlock tier has no mapped owners; its report says so")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    job = source("def f(d): open(d + '/made', 'w').write('x')", d=str(private))
    value_of(await cage.run(job, scope(private, PathAccess.WRITE)))
    assert (private / "made").stat().st_uid == os.geteuid()


@pytest.mark.parametrize("what", ["link", "through a link", "missing", "fifo"])
async def test_what_is_not_a_plain_file_or_directory_is_not_granted(
    cage: CagedSandbox, granted: Path, what: str
) -> None:
    real = granted / "real"
    (real / "inner").mkdir(parents=True)
    (granted / "link").symlink_to(real)
    os.mkfifo(granted / "fifo")
    path = {"link": "link", "through a link": "link/inner"}.get(what, what)
    with pytest.raises(Denied) as refused:
        await cage.run(source("def f(): pass"), scope(granted / path, PathAccess.READ))
    assert refused.value.reason.code.value == "grant_refused"


async def test_what_can_be_written_can_not_be_run(
    cage: CagedSandbox, bare: UnsafeNoSandbox, granted: Path
) -> None:
    text = """
import os
def f(d):
    with open(d + "/x", "wb") as file: file.write(open("/bin/true", "rb").read())
    try: os.chmod(d + "/x", 0o755)
    except OSError: pass
    pid = os.fork()
    if not pid:
        try: os.execv(d + "/x", ["x"])
        except OSError as error: os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    assert value_of(await bare.run(source(text, d=str(granted)), NOTHING)) == 0
    (granted / "x").unlink()
    assert value_of(await cage.run(source(text, d=str(granted)), scope(granted, PathAccess.WRITE))) != 0


async def test_no_setuid_file_outlives_a_cage(
    cage: CagedSandbox, bare: UnsafeNoSandbox, granted: Path
) -> None:
    text = """
import os
def f(d):
    for make in (lambda: os.chmod(d + "/s", 0o4755), lambda: os.open(d + "/t", os.O_CREAT | os.O_WRONLY, 0o4755)):
        open(d + "/s", "w").close()
        try: make()
        except OSError: pass
"""
    set_ids = lambda: [f.name for f in granted.iterdir() if f.stat().st_mode & stat.S_ISUID]  # noqa: E731
    await cage.run(source(text, d=str(granted)), scope(granted, PathAccess.WRITE))
    assert (granted / "s").exists()
    assert set_ids() == []
    (granted / "s").unlink()
    await bare.run(source(text, d=str(granted)), NOTHING)
    assert sorted(set_ids()) == ["s", "t"]


async def test_a_planted_link_is_not_followed_when_the_result_is_read(
    cage: CagedSandbox, granted: Path
) -> None:
    (granted.parent / "secret").write_text("private")
    text = """
import os
def f(d):
    os.symlink("../secret", d + "/link"); os.symlink("..", d + "/up"); open(d + "/plain", "w").write("fine")
    return os.path.lexists(d + "/link")
"""
    assert value_of(await cage.run(source(text, d=str(granted)), scope(granted, PathAccess.WRITE)))
    os.mkfifo(granted / "pipe")
    assert (granted / "link").read_text() == "private"  # the control: plain reading follows it
    assert read_result(str(granted), "plain", bytes_max=100) == b"fine"
    for name in ("link", "up/secret", "../secret", "/etc/passwd", "pipe", "missing", "."):
        with pytest.raises(ToolFailed):
            read_result(str(granted), name, bytes_max=100)
    with pytest.raises(ToolFailed, match="more than 3 bytes"):
        read_result(str(granted), "plain", bytes_max=3)


async def test_scratch_space_is_private_and_bounded(cage: CagedSandbox) -> None:
    if not cage.report().mount_ns:
        pytest.skip("the landlock tier has no scratch directory; its report says so")
    fill = "def f():\n n = 0\n for i in range(64):\n  n += open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))\n return n"
    limits = Limits(scratch_bytes=8 << 20)
    ended = await cage.run(source(fill), Scope(limits=limits))
    assert isinstance(ended, Raised)
    assert "No space left" in ended.text
    many = "import os\ndef f():\n for i in range(1000): open(f'/tmp/{i}', 'w').close()"
    ended = await cage.run(source(many), Scope(limits=Limits(scratch_inodes=100)))
    assert isinstance(ended, Raised)
    assert value_of(await cage.run(source("import os\ndef f(): return os.listdir('/tmp')"), NOTHING)) == []


# --- network -----------------------------------------------------------------------------------------

CONNECT = """
import os, socket
def f(port):
    def attempt(do):
        try: return do()
        except OSError as error: return error.errno
    proxy = os.environ.get("HTTPS_PROXY", "").rsplit(":", 1)[-1]
    def talk(to):
        with socket.create_connection(("127.0.0.1", int(to)), 2) as conn:
            conn.sendall(b"hello"); return conn.recv(100).decode()
    return {
        "proxy": attempt(lambda: talk(proxy)) if proxy else None,
        "elsewhere": attempt(lambda: talk(port)),
        "udp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()),
        "unix": attempt(lambda: socket.socket(socket.AF_UNIX).close()),
        "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
        "bind": attempt(lambda: socket.create_server(("127.0.0.1", 0)).close()),
    }
"""


async def echo(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with listener:
        conn, _ = await loop.sock_accept(listener)
        with conn:
            await loop.sock_sendall(conn, b"heard " + await loop.sock_recv(conn, 100))


async def test_without_a_grant_there_is_no_socket(cage: CagedSandbox, bare: UnsafeNoSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        job = source(CONNECT, port=server.getsockname()[1])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(echo(server.dup()))
            assert value_of(await bare.run(job, NOTHING))["elsewhere"] == "heard hello"
        seen = value_of(await cage.run(job, NOTHING))
    assert all(isinstance(seen[what], int) for what in ("elsewhere", "udp", "unix", "netlink", "bind"))


async def test_a_grant_opens_one_way_out_which_is_the_listener(cage: CagedSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        job = source(CONNECT, port=server.getsockname()[1])
        async with asyncio.TaskGroup() as tasks:
            with_network = Scope(network=(Grant(host="api.example.org", port=443),))

            def answer(listener: socket.socket) -> None:
                tasks.create_task(echo(listener))

            seen = value_of(await cage.run(job, with_network, on_egress=answer))
    assert seen["proxy"] == "heard hello"
    assert all(isinstance(seen[what], int) for what in ("elsewhere", "udp", "unix", "netlink", "bind"))


# --- ending ------------------------------------------------------------------------------------------


def living(marker: str) -> list[str]:
    """Processes that hold `marker` in their environment or command line."""
    found = []
    for pid in (path.name for path in Path("/proc").iterdir() if path.name.isdigit()):
        with contextlib.suppress(OSError):
            if marker.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


async def wait_until_gone(marker: str) -> None:
    """They end by themselves soon, which is all that is promised where nothing was written."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        for pid in living(marker):
            with contextlib.suppress(ProcessLookupError):
                pidfd, ended = os.pidfd_open(int(pid)), asyncio.Event()
                loop.add_reader(pidfd, ended.set)
                await ended.wait()
                loop.remove_reader(pidfd)
                os.close(pidfd)
    assert living(marker) == []


LINGER = """
import os, signal, time
def linger(marker):
    for number in (1, 2, 3, 15):
        signal.signal(number, signal.SIG_IGN)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
                os.execv("/bin/sleep", ["sleep", "300.000" + marker])
            os._exit(0)
    time.sleep(0.1)
"""


@pytest.mark.parametrize("how", ["returns", "loops", "exits"])
async def test_nothing_of_a_cage_outlives_its_job(cage: CagedSandbox, granted: Path, how: str) -> None:
    marker = f"{os.getpid()}{['returns', 'loops', 'exits'].index(how)}"
    then = {"returns": "return 1", "loops": "while True: pass", "exits": "os._exit(0)"}[how]
    text = LINGER + f"def f(marker):\n linger(marker)\n {then}"
    ended = await cage.run(source(text, marker=marker), scope(granted, PathAccess.WRITE, limits=SHORT))
    assert living(marker) == []  # the scope writes, so they are gone before the answer is given
    expected = {"returns": Value, "loops": Stopped, "exits": Stopped}[how]
    assert isinstance(ended, expected)
    if isinstance(ended, Stopped):
        assert ended.reason is {"loops": StopReason.WALL, "exits": StopReason.DIED}[how]


async def until_readable(fifo: Path) -> None:
    """Wait until something was written; bounded, because who should write may be gone."""
    fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        came = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, came.set)
        async with asyncio.timeout(10):
            await came.wait()
    finally:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)


async def test_a_cancelled_call_leaves_nothing(cage: CagedSandbox, granted: Path) -> None:
    marker = f"{os.getpid()}7"
    os.mkfifo(granted / "up")
    (granted / "up").chmod(0o666)
    job = CommandJob(argv=("sh", "-c", f"sleep 300.000{marker} & echo up > {granted}/up; wait"))
    task = asyncio.ensure_future(cage.run(job, scope(granted, PathAccess.WRITE)))
    await until_readable(granted / "up")
    assert living(marker)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until_gone(marker)


async def test_memory_of_many_children_together_is_bounded(cage: CagedSandbox) -> None:
    text = """
import os, time
def f():
    for _ in range(8):
        if os.fork() == 0:
            block = bytearray(40 << 20)
            for i in range(0, len(block), 4096): block[i] = 1
            time.sleep(20)
    time.sleep(20)
"""
    ended = await cage.run(source(text), Scope(limits=Limits(memory_bytes=128 << 20, wall_ms=15_000)))
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.MEMORY


async def test_memory_of_one_process_is_bounded(cage: CagedSandbox) -> None:
    ended = await cage.run(source("def f(): return len(bytearray(1 << 32))"), NOTHING)
    assert isinstance(ended, Raised)
    assert ended.kind == "MemoryError"
    ended = await cage.run(source("import os\ndef f(): return os.memfd_create('x')"), NOTHING)
    assert isinstance(ended, Raised)


async def test_processes_are_counted(cage: CagedSandbox) -> None:
    text = """
import os, time
def f():
    for made in range(500):
        try: pid = os.fork()
        except OSError: return made
        if pid == 0: time.sleep(20); os._exit(0)
"""
    made = value_of(await cage.run(source(text), Scope(limits=Limits(processes=10))))
    assert made is not None
    assert made < 10


async def test_processor_time_is_bounded(cage: CagedSandbox) -> None:
    ended = await cage.run(
        source("def f():\n while True: pass"), Scope(limits=Limits(cpu_s=1, wall_ms=20_000))
    )
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.CPU


SPINNERS = """
import os, signal, time
def f(ignored):
    # Each child spins for a while and ends; none comes near the limit of one process.
    if ignored: signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            until = time.process_time() + 0.15
            while time.process_time() < until: pass
            os._exit(0)
        try: os.waitpid(pid, 0)
        except ChildProcessError: pass
    return "spun for 3 s"
"""


@pytest.mark.parametrize("ignored", [False, True], ids=["waited for", "not waited for"])
async def test_processor_time_of_many_children_one_after_another_is_bounded(
    cage: CagedSandbox, bare: UnsafeNoSandbox, ignored: bool
) -> None:
    free = Scope(limits=Limits(cpu_s=-1))
    assert value_of(await bare.run(source(SPINNERS, ignored=ignored), free)) == "spun for 3 s"
    ended = await cage.run(source(SPINNERS, ignored=ignored), Scope(limits=Limits(cpu_s=1)))
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.CPU


WRITERS = """
import os
def f(path, files):
    for made in range(files):
        if os.fork() == 0:  # each writes a little and ends: the files are many, none is large
            with open(f"{path}/{made}", "wb") as file: file.write(bytes(1 << 20))
            os._exit(0)
        os.wait()
    return made + 1
"""


def bytes_in(place: Path) -> int:
    return sum(each.stat().st_size for each in place.iterdir())


async def test_all_that_a_call_writes_is_bounded(
    cage: CagedSandbox, bare: UnsafeNoSandbox, granted: Path, tmp_path: Path
) -> None:
    if not AS_ROOT:
        pytest.skip("what a function writes is counted for root only; its report says so")
    assert value_of(await bare.run(source(WRITERS, path=str(tmp_path), files=24), NOTHING)) == 24
    tight = Limits(written_bytes=4 << 20, wall_ms=30_000)
    ended = await cage.run(
        source(WRITERS, path=str(granted), files=2_000), scope(granted, PathAccess.WRITE, limits=tight)
    )
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.WRITTEN
    assert bytes_in(granted) < 1_000 << 20
    usual = await cage.run(source(WRITERS, path=str(granted), files=1), scope(granted, PathAccess.WRITE))
    assert not isinstance(usual, Stopped)


async def test_what_a_program_writes_is_bounded_for_everybody(cage: CagedSandbox, granted: Path) -> None:
    command = f"for i in $(seq 2000); do head -c 1048576 /dev/zero > {granted}/$i; done"
    limits = Limits(written_bytes=4 << 20, wall_ms=30_000)
    ended = await cage.run(
        CommandJob(argv=("/bin/sh", "-c", command)), scope(granted, PathAccess.WRITE, limits=limits)
    )
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.WRITTEN


async def test_room_that_nobody_writes_can_not_be_taken(
    cage: CagedSandbox, bare: UnsafeNoSandbox, granted: Path
) -> None:
    text = """
import ctypes, os
def f(path):
    fd = os.open(path + "/room", os.O_CREAT | os.O_WRONLY)
    ctypes.CDLL(None).fallocate(fd, 1, ctypes.c_long(0), ctypes.c_long(1 << 20))  # FALLOC_FL_KEEP_SIZE
    taken = os.fstat(fd).st_blocks
    os.unlink(path + "/room")
    return taken
"""
    job = source(text, path=str(granted))
    if not value_of(await bare.run(job, NOTHING)):
        pytest.skip("this file system reserves no room")
    assert value_of(await cage.run(job, scope(granted, PathAccess.WRITE))) == 0


@pytest.mark.parametrize("argv", [("yes",), ("sh", "-c", "yes >&2")])
async def test_output_without_end_is_stopped(cage: CagedSandbox, argv: tuple[str, ...]) -> None:
    ended = await cage.run(CommandJob(argv=argv), Scope(limits=Limits(output_bytes=100_000)))
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.OUTPUT


async def test_a_result_beyond_its_limit_is_not_read(cage: CagedSandbox) -> None:
    ended = await cage.run(source("def f(): return 'x' * 100_000"), Scope(limits=Limits(output_bytes=50_000)))
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.OUTPUT


FORGE = """
import os, socket, stat, struct, time
def f(what):
    for fd in range(3, 64):
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode): continue
        except OSError: continue
        if what == "long": os.write(fd, struct.pack("!I", 0xFFFFFFFF) + b"A" * 100)
        if what == "no json": os.write(fd, struct.pack("!I", 4) + b"\\x80abc")
        if what == "other": body = b'{"exit":0}'; os.write(fd, struct.pack("!I", len(body)) + body)
        if what == "own": body = b'{"value":"mine"}'; os.write(fd, struct.pack("!I", len(body)) + body)
        if what == "fds":
            conn = socket.socket(fileno=os.dup(fd))
            body = b'{"value":"sent"}'
            socket.send_fds(conn, [struct.pack("!I", len(body)) + body], [fd] * 20)
        time.sleep(5)
"""


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("what", ["long", "no json", "other", "own", "fds"])
async def test_a_forged_frame_is_only_ever_ones_own_answer(cage: CagedSandbox, what: str) -> None:
    before = open_descriptors()
    ended = await cage.run(source(FORGE, what=what), Scope(limits=Limits(wall_ms=3_000)))
    if what in {"own", "fds"}:
        assert value_of(ended) == ("mine" if what == "own" else "sent")
    else:
        assert isinstance(ended, Stopped)
        assert ended.reason is StopReason.PROTOCOL
    assert open_descriptors() < before + 15  # a ready worker or two, not the twenty sent


async def test_a_worker_has_no_other_descriptors_of_ours(cage: CagedSandbox) -> None:
    text = """
import os
def f():
    found = []
    for fd in range(3, 200):
        try: found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError: pass
    return found
"""
    found = value_of(await cage.run(source(text), NOTHING))
    assert all(each.startswith(("socket:", sys.base_prefix)) for each in found), found


async def test_no_capability_is_held_or_can_be_gained(cage: CagedSandbox) -> None:
    text = """
import ctypes
def f():
    libc = ctypes.CDLL(None)
    held = (ctypes.c_uint32 * 6)()
    libc.syscall(125, (ctypes.c_uint32 * 2)(0x20080522, 0), held)  # capget
    bounding = [each for each in range(41) if libc.prctl(23, each, 0, 0, 0) == 1]
    return [list(held), bounding, libc.prctl(39, 0, 0, 0, 0)]
"""
    held, bounding, no_new_privileges = value_of(await cage.run(source(text), NOTHING))
    assert (held, no_new_privileges) == ([0] * 6, 1)
    if AS_ROOT or cage.report().userns:  # dropping the bounding set takes a capability
        assert bounding == []


# --- long-lived programs -----------------------------------------------------------------------------


async def read_line(fd: int) -> bytes:
    line = b""
    async with asyncio.timeout(10):
        while not line.endswith(b"\n"):
            line += await asyncio.to_thread(os.read, fd, 1)
    return line


async def test_a_server_answers_over_its_pipes_and_ends_when_asked(cage: CagedSandbox) -> None:
    program = "trap 'exit 7' TERM; while read line; do echo got $line; done; sleep 100 & wait"
    server = await cage.start(CommandJob(argv=("sh", "-c", program)), NOTHING)
    try:
        os.write(server.stdin_fd, b"hello\n")
        assert await read_line(server.stdout_fd) == b"got hello\n"
        os.write(server.stdin_fd, b"again\n")
        assert await read_line(server.stdout_fd) == b"got again\n"
        server.terminate()
        os.close(os.dup(server.stdin_fd))
        async with asyncio.timeout(10):
            assert await server.wait() in {7, -15}
    finally:
        for fd in (server.stdin_fd, server.stdout_fd, server.stderr_fd):
            os.close(fd)


async def test_a_server_is_killed_with_all_it_started(cage: CagedSandbox) -> None:
    marker = f"{os.getpid()}8"
    program = f"trap '' TERM; sleep 300.000{marker} & setsid sleep 300.000{marker} & echo up; wait"
    server = await cage.start(CommandJob(argv=("sh", "-c", program)), NOTHING)
    try:
        assert await read_line(server.stdout_fd) == b"up\n"
        server.terminate()
        server.kill()
        async with asyncio.timeout(10):
            assert await server.wait() < 0
        assert living(marker) == []
        server.kill()  # of what is gone: nothing happens
    finally:
        for fd in (server.stdin_fd, server.stdout_fd, server.stderr_fd):
            os.close(fd)


async def test_what_is_hidden_inside_a_grant_can_not_be_seen_and_a_grant_inside_that_can(
    cage: CagedSandbox, granted: Path
) -> None:
    """The ward's own state lies in a directory that a tool may write, and the tool's program in that state."""
    state, program = granted / "state", granted / "state" / "program"
    program.mkdir(parents=True)
    (state / "key").write_text("private")
    (program / "code").write_text("code")
    paths = (
        PathGrant(str(granted), PathAccess.WRITE, str(granted)),
        PathGrant(str(state), PathAccess.HIDE, str(state)),
        PathGrant(str(program), PathAccess.READ, str(program)),
    )
    text = """
import os
def f(d):
    seen = {"state": sorted(os.listdir(d + "/state")), "code": open(d + "/state/program/code").read()}
    try: open(d + "/state/new", "w")
    except OSError as error: seen["write"] = error.errno
    open(d + "/made", "w").close()
    return seen
"""
    if cage.report().tier is IsolationLevel.LANDLOCK:
        with pytest.raises(Denied, match="hidden"):
            await cage.run(source(text, d=str(granted)), Scope(paths=paths))
        return
    seen = value_of(await cage.run(source(text, d=str(granted)), Scope(paths=paths)))
    assert seen == {"state": ["program"], "code": "code", "write": errno.EROFS}
    assert (granted / "made").exists()
    assert (state / "key").read_text() == "private"
