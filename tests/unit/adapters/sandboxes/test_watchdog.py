"""What is added up over the processes of a cage."""

from __future__ import annotations

import os
import subprocess

from toolward.adapters.sandboxes.usage import in_memory, tasks_of_user, use_of
from toolward.adapters.sandboxes.watchdog import Growing


def test_what_ended_unseen_stays_in_the_total() -> None:
    total = Growing()
    assert total.total(1.0) == 1.0
    assert total.total(3.0) == 3.0  # two children, one of which then ends and nobody waits for it
    assert total.total(2.0) == 3.0
    assert total.total(2.5) == 3.5


def test_a_process_and_its_children_are_counted_until_they_are_gone() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "/bin/cat | /bin/cat"], stdin=subprocess.PIPE) as shell:
        while (use := use_of(shell.pid, cpu=True)).tasks < 3:
            assert shell.poll() is None
        assert use.alive
        assert use.memory_bytes > 0
    assert not use_of(shell.pid, cpu=True).alive


def test_a_users_threads_are_counted() -> None:
    before = tasks_of_user(os.getuid())
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE):
        assert tasks_of_user(os.getuid()) >= 1
    assert before >= 1


def test_it_is_known_which_paths_are_memory() -> None:
    assert in_memory(["/dev/shm/x"])
    assert not in_memory(["/usr/lib"])
