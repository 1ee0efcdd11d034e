"""The loop's thread and another share one processor for a while; what either starts may run anywhere."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from toolward.adapters.sandboxes.settings import Settings
from toolward.adapters.sandboxes.wasm import in_thread
from toolward.adapters.sandboxes.zygote_link import ZygoteLink
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.system.processor import SHARED_S, OneProcessor
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.adapters.tools.mcp.stdio.child import Child, start_child
from toolward.bootstrap.comparing import run_apart
from toolward.config.processors import keep_on, let_go, use_all
from toolward.errors import SandboxUnavailable, ToolFailed
from toolward.model.server import BindingKind, ServerBinding

ALLOWED = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
pytestmark = pytest.mark.skipif(len(ALLOWED) < 2, reason="one processor, or a system that does not tell")

TELLING = f"""#!{sys.executable}
import os
from pathlib import Path
Path(__file__).with_name("seen").write_text(" ".join(map(str, os.sched_getaffinity(0))))
"""
LOOKING_UP = """
import os, uvloop
from toolward.adapters.egress.connecting import SystemResolver
from toolward.config.processors import keep_on
async def main():
    keep_on(min(os.sched_getaffinity(0)))
    await SystemResolver().resolve("localhost", 80)
    for task in os.listdir("/proc/self/task"):
        print(*os.sched_getaffinity(int(task)))
uvloop.run(main())
"""


@pytest.fixture
def kept_on_one() -> Iterator[None]:
    keep_on(min(ALLOWED))
    assert where() == {min(ALLOWED)}
    yield
    os.sched_setaffinity(0, ALLOWED)


@pytest.fixture
def other() -> Iterator[int]:
    """Another thread, which waits; its number."""
    over = Event()
    thread = Thread(target=over.wait)
    thread.start()
    assert thread.native_id is not None
    yield thread.native_id
    over.set()
    thread.join()


def where(thread: int = 0) -> set[int]:
    return os.sched_getaffinity(thread)


class Later:
    """An event loop as far as `call_later`."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, call: Callable[..., None], *arguments: int) -> Later:
        self.calls.append((delay, partial(call, *arguments)))
        return self

    def cancel(self) -> None:
        self.calls.clear()


async def test_both_run_on_one_processor_for_a_while_and_then_anywhere(other: int) -> None:
    loop = Later()
    together = OneProcessor(loop)
    together.share(other)
    assert len(where()) == 1
    assert where(other) == where()
    [(after, part)] = loop.calls
    assert after == SHARED_S
    part()
    assert where(other) == where() == ALLOWED


async def test_a_choice_stands_until_its_time_is_over_and_the_next_is_a_new_one(other: int) -> None:
    loop = Later()
    together = OneProcessor(loop)
    together.share(other)
    together.share(other)
    assert len(loop.calls) == 1
    loop.calls.pop()[1]()
    together.share(other)
    assert len(loop.calls) == 1
    assert len(where()) == 1
    loop.calls.pop()[1]()


async def test_a_thread_that_is_gone_is_no_trouble(other: int) -> None:
    loop = Later()
    together = OneProcessor(loop)
    together.share(2**22)  # more than the kernel gives out
    loop.calls.pop()[1]()
    assert where() == ALLOWED


async def test_whoever_served_may_run_anywhere_once_it_is_over(other: int) -> None:
    loop = Later()
    with OneProcessor(loop) as together:
        together.share(other)
        assert len(where()) == 1
    assert where(other) == where() == ALLOWED
    assert loop.calls == []
    together.share(other)  # and again, by whoever serves next
    assert len(where()) == 1
    loop.calls.pop()[1]()


async def test_whoever_was_placed_by_somebody_else_stays_there(other: int) -> None:
    loop = Later()
    OneProcessor(loop).share(other)
    [kept] = where(other)
    elsewhere = min(ALLOWED - {kept})
    os.sched_setaffinity(other, {elsewhere})  # taskset
    loop.calls.pop()[1]()
    assert where(other) == {elsewhere}
    assert where() == ALLOWED


def test_where_nobody_was_kept_nobody_is_moved() -> None:
    """A program that uses the library places its threads itself."""
    program = (
        "import os\nfrom toolward.config.processors import use_all\n"
        f"os.sched_setaffinity(0, {{{min(ALLOWED)}}})\nuse_all()\nprint(len(os.sched_getaffinity(0)))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "1"


async def test_who_has_one_processor_keeps_it(other: int) -> None:
    os.sched_setaffinity(0, {min(ALLOWED)})
    try:
        keep_on(min(ALLOWED), other)
        assert where(other) == ALLOWED
        let_go(min(ALLOWED), other)
        use_all()
        assert where(other) == ALLOWED
    finally:
        os.sched_setaffinity(0, ALLOWED)


@pytest.mark.usefixtures("kept_on_one")
async def test_an_installer_may_run_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = telling(tmp_path / "programs", "uv")
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    binding = ServerBinding(server="s", kind=BindingKind.STDIO, package="pypi:x==1")
    with pytest.raises((ToolFailed, OSError)):  # nothing was installed
        _ = await Packages(tmp_path / "state", ids=SystemIds()).ensure(binding)
    assert seen_by(program) == ALLOWED


@pytest.mark.usefixtures("kept_on_one")
async def test_a_server_without_a_cage_may_run_anywhere(tmp_path: Path) -> None:
    program = telling(tmp_path, "server")
    ended = asyncio.Event()
    child = Child(on_line=lambda _: None, on_end=lambda _why, _killed: ended.set())
    await start_child(child, [str(program)], env={}, cwd=None)
    await ended.wait()
    await child.close()
    assert seen_by(program) == ALLOWED


def test_what_looks_names_up_may_run_anywhere() -> None:
    seen = subprocess.check_output([sys.executable, "-c", LOOKING_UP], text=True)
    threads = [set(map(int, line.split())) for line in seen.splitlines()]
    assert len(threads) > 2  # those of the loop's resolver
    assert all(each == ALLOWED for each in threads), threads


@pytest.mark.usefixtures("kept_on_one")
async def test_a_comparison_may_run_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = telling(tmp_path, "python")
    monkeypatch.setattr(sys, "executable", str(program))
    _ = await run_apart(b"")
    assert seen_by(program) == ALLOWED


@pytest.mark.usefixtures("kept_on_one")
async def test_the_mother_of_all_cages_may_run_anywhere(tmp_path: Path) -> None:
    program = telling(tmp_path, "python")
    link = ZygoteLink()
    with pytest.raises(SandboxUnavailable):  # it says nothing that a zygote says
        _ = await link.open(Settings(interpreter=str(program)))
    await link.close()
    assert seen_by(program) == ALLOWED


@pytest.mark.usefixtures("kept_on_one")
async def test_a_module_that_computes_may_run_anywhere() -> None:
    found: list[set[int]] = []

    def work() -> Any:
        found.append(where())
        raise ValueError("done")

    with pytest.raises(ValueError, match="done"):
        _ = await in_thread(work)
    assert found == [ALLOWED]


def telling(directory: Path, name: str) -> Path:
    """A program that writes down where it may run."""
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(TELLING)
    program.chmod(0o755)
    return program


def seen_by(program: Path) -> set[int]:
    return set(map(int, program.with_name("seen").read_text().split()))
