"""Memory of large bodies goes back to the system, also where something small outlives them."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")

BLOCKS = 24
MIB = 1024 * 1024
CHILD = """
import ctypes
import sys
from pathlib import Path
from toolward.adapters.system.allocator import give_back_large_blocks

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = libc.malloc.argtypes = (ctypes.c_size_t,)

def block(size):
    where = libc.malloc(size)
    ctypes.memset(where, 1, size)
    return where

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "given back":
    assert give_back_large_blocks()
libc.free(block(16 * {MIB}))  # the body that makes glibc keep those that follow
before = resident()
large = []
for _ in range({BLOCKS}):
    large.append(block(2 * {MIB}))
    block(32 * 1024)  # what outlives it
for each in large:
    libc.free(each)
print(resident() - before)
"""


def left_behind(how: str) -> int:
    program = CHILD.replace("{MIB}", str(MIB)).replace("{BLOCKS}", str(BLOCKS))
    return int(subprocess.check_output([sys.executable, "-c", program, how], text=True))


def test_large_blocks_leave_nothing_behind() -> None:
    assert left_behind("given back") < 2 * MIB


def test_control_by_itself_the_c_library_keeps_them() -> None:
    assert left_behind("kept") > BLOCKS * MIB
