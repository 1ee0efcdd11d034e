"""The seccomp program, run by a small interpreter of classic BPF: what each call gets, and that it is short."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from toolward.adapters.sandboxes.cage import bpf
from toolward.adapters.sandboxes.cage.filters import build_filter
from toolward.adapters.sandboxes.cage.x86_64 import NUMBERS

I386 = 0x40000003
AARCH64 = 0xC00000B7
CLOSED = build_filter(network=False, own_view=True)
NETWORK = build_filter(network=True, own_view=True)
NO_MODES = build_filter(network=False, own_view=False)


def run(program: bytes, number: int, *arguments: int, arch: int = bpf.ARCH_X86_64) -> tuple[int, int]:
    """The action, and how many instructions it took."""
    words = [each & (2**64 - 1) for each in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    record = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *words)
    code = [struct.unpack_from("HBBI", program, at) for at in range(0, len(program), 8)]
    at, accumulator = 0, 0
    for steps in range(1, 4_097):
        op, yes, no, k = code[at]
        at += 1
        if op == bpf.LOAD:
            (accumulator,) = struct.unpack_from("=I", record, k)
        elif op == bpf.AND:
            accumulator &= k
        elif op == bpf.JUMP:
            at += k
        elif op == bpf.RETURN:
            return k, steps
        else:
            holds = {
                bpf.JUMP_EQUAL: accumulator == k,
                bpf.JUMP_AT_LEAST: accumulator >= k,
                bpf.JUMP_ANY_BIT: bool(accumulator & k),
            }[op]
            at += yes if holds else no
    raise AssertionError("the program does not end")


def verdict(program: bytes, name: str, *arguments: int) -> str:
    action, _ = run(program, NUMBERS[name], *arguments)
    if action == bpf.ALLOW:
        return "allow"
    assert action & 0xFFFF0000 == bpf.ERRNO
    return errno.errorcode[action & 0xFFFF]


@pytest.mark.parametrize("program", [CLOSED, NETWORK, NO_MODES])
def test_every_number_of_every_architecture_has_an_answer(program: bytes) -> None:
    assert len(program) // 8 < 1_000  # the kernel takes 4096
    for number in (*range(1_200), 0x3FFFFFFF):
        action, steps = run(program, number)
        assert action == bpf.ALLOW or action & 0xFFFF0000 == bpf.ERRNO
        assert steps < 40
        for arch in (I386, AARCH64, 0):
            assert run(program, number, arch=arch)[0] == bpf.KILL


@pytest.mark.parametrize("number", [0x40000000, 0x40000000 | 39, 0x40000000 | 520, 0x80000000, 0xFFFFFFFF])
def test_x32_and_numbers_beyond_are_killed(number: int) -> None:
    assert run(CLOSED, number)[0] == bpf.KILL


@pytest.mark.parametrize("name", ["read", "mmap", "execve", "futex", "rseq", "openat", "exit_group", "wait4"])
def test_what_programs_need_is_there(name: str) -> None:
    assert verdict(CLOSED, name) == "allow"


@pytest.mark.parametrize(
    "name",
    [
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "kcmp",
        "pidfd_getfd",
        "keyctl",
        "add_key",
        "request_key",
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "unshare",
        "setns",
        "open_by_handle_at",
        "name_to_handle_at",
        "init_module",
        "finit_module",
        "kexec_load",
        "reboot",
        "swapon",
        "syslog",
        "acct",
        "iopl",
        "ioperm",
        "open_tree",
        "move_mount",
        "fsopen",
        "fsconfig",
        "fsmount",
        "mount_setattr",
        "mknod",
        "mknodat",
        "memfd_secret",
        "memfd_create",
        "clock_settime",
        "sethostname",
        "modify_ldt",
        "move_pages",
        "personality",
        "shmget",
        "shmat",
        "semget",
        "msgget",
        "mq_open",
        "setxattr",
        "fanotify_init",
    ],
)
def test_what_reaches_beyond_the_cage_is_forbidden(name: str) -> None:
    for program in (CLOSED, NETWORK, NO_MODES):
        assert verdict(program, name) == "EPERM"


@pytest.mark.parametrize(
    "name", ["clone3", "openat2", "seccomp", "vmsplice", "io_submit", "statmount", "mseal"]
)
def test_what_nobody_listed_is_not_there(name: str) -> None:
    assert verdict(CLOSED, name) == "ENOSYS"


@pytest.mark.parametrize(
    "flag", [0x00000080, 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]
)
def test_clone_makes_no_namespace(flag: int) -> None:
    assert verdict(CLOSED, "clone", flag | 17) == "EPERM"
    assert verdict(CLOSED, "clone", flag | 17 | 1 << 40) == "EPERM"
    assert verdict(CLOSED, "clone", 0x003D0F00) == "allow"  # a thread


@pytest.mark.parametrize("request_", [0x5412, 0x541C, 0x5423])
def test_terminal_injection_is_refused_with_high_bits_too(request_: int) -> None:
    for value in (request_, request_ | 1 << 32, request_ | 0xFFFFFFFF << 32):
        assert verdict(CLOSED, "ioctl", 0, value) == "EPERM"
    assert verdict(CLOSED, "ioctl", 0, 0x5401) == "allow"


def test_sockets_are_none_or_tcp_over_ipv4() -> None:
    families = range(46)
    assert {verdict(CLOSED, "socket", family, 1) for family in families} == {"EACCES"}
    allowed = [(f, t) for f in families for t in range(11) if verdict(NETWORK, "socket", f, t) == "allow"]
    assert allowed == [(2, 1)]
    assert verdict(NETWORK, "socket", 2, 1 | os.O_CLOEXEC | os.O_NONBLOCK) == "allow"
    assert verdict(NETWORK, "socket", 2 | 1 << 32, 2) == "EACCES"
    assert verdict(CLOSED, "socketpair", 1) == "allow"
    assert verdict(CLOSED, "socketpair", 40) == "EACCES"


def test_no_way_makes_a_setuid_file() -> None:
    for bits in (0o4000, 0o2000, 0o6755):
        assert verdict(CLOSED, "chmod", 0, bits) == "EPERM"
        assert verdict(CLOSED, "fchmod", 0, bits) == "EPERM"
        assert verdict(CLOSED, "fchmodat", 0, 0, bits) == "EPERM"
        assert verdict(CLOSED, "fchmodat2", 0, 0, bits) == "EPERM"
        assert verdict(CLOSED, "creat", 0, bits) == "EPERM"
        for flag in (os.O_CREAT, os.O_TMPFILE):
            assert verdict(CLOSED, "open", 0, flag | os.O_RDWR, bits) == "EPERM"
            assert verdict(CLOSED, "openat", 0, 0, flag | os.O_RDWR, bits) == "EPERM"
    assert verdict(CLOSED, "chmod", 0, 0o755) == "allow"
    assert (
        verdict(CLOSED, "openat", 0, 0, os.O_RDONLY | os.O_DIRECTORY, 0o6000) == "allow"
    )  # the mode means nothing
    assert verdict(CLOSED, "openat", 0, 0, os.O_CREAT, 0o644) == "allow"


@pytest.mark.parametrize(
    "name",
    [
        "chmod",
        "fchmod",
        "fchmodat",
        "fchmodat2",
        "chown",
        "fchown",
        "lchown",
        "fchownat",
        "utime",
        "utimes",
        "utimensat",
        "futimesat",
    ],
)
def test_modes_owners_and_times_are_fixed_where_nothing_else_holds_them(name: str) -> None:
    assert verdict(CLOSED, name, 0, 0, 0) == "allow"
    assert verdict(NO_MODES, name, 0, 0, 0) == "EPERM"


def test_what_landlock_does_not_hold_is_held_here() -> None:
    """Each was an escape on the fallback tier: `python -m toolward.lab.escape` has the attempts."""
    unix, inet, stream, datagram = 1, 2, 1, 2
    assert verdict(CLOSED, "socketpair", unix, stream | 0o2000000, 0) == "allow"
    assert verdict(CLOSED, "socketpair", unix, datagram, 0) == "EACCES"
    assert verdict(NETWORK, "socket", inet, stream, 0) == "allow"
    assert verdict(NETWORK, "socket", inet, stream, 6) == "allow"
    for protocol in (132, 262):  # SCTP, MPTCP
        assert verdict(NETWORK, "socket", inet, stream, protocol) == "EACCES"
    for name, flags in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        assert verdict(NETWORK, name, *[0] * flags, 0x4000) == "allow"
        assert verdict(NETWORK, name, *[0] * flags, 0x20000000) == "EACCES"
    for name in ("prlimit64", "sched_setaffinity"):
        assert (verdict(CLOSED, name, 0), verdict(CLOSED, name, 77)) == ("allow", "EPERM")
    assert [verdict(CLOSED, "setpriority", which, who) for which, who in ((0, 0), (0, 77), (2, 0))] == [
        "allow",
        "EPERM",
        "EPERM",
    ]
    assert (verdict(CLOSED, "bind"), verdict(CLOSED, "listen")) == ("EPERM", "EPERM")
    assert (verdict(CLOSED, "inotify_add_watch"), verdict(NO_MODES, "inotify_add_watch")) == (
        "allow",
        "EPERM",
    )
