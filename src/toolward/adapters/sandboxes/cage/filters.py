"""Which system calls a cage may make: a list of what is allowed; what nobody listed is not there.

`EPERM` for calls that programs are known to try and do without; `ENOSYS` for the rest, so that libraries
take their older way. The x86_64 table is the only one: other machines are refused before this is asked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import lru_cache
from typing import Final

from . import bpf, kernel
from .x86_64 import NUMBERS

_SECCOMP_SET_MODE_FILTER: Final = 1
_AF_UNIX: Final = 1
_AF_INET: Final = 2
_SOCK_STREAM: Final = 1
_SOCK_DGRAM: Final = 2
_SOCK_TYPE_MASK: Final = 0xF
_NEW_NAMESPACES: Final = 0x7E020080  # every CLONE_NEW* flag, CLONE_NEWTIME included
_ANY_TCP: Final = (0, 6)  # the protocols that are TCP; others (MPTCP, SCTP) pass by Landlock
_FAST_OPEN: Final = 0x20000000  # a connection that no connect() announces, so that Landlock does not see it
_TERMINAL_INJECTION: Final = (0x5412, 0x541C, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSETD
_RESERVATIONS: Final = (0x40305828, 0x4030582A, 0x40305839)  # FS_IOC_RESVSP, its 64-bit twin, ZERO_RANGE

_FILES: Final = """
access chdir close close_range copy_file_range dup dup2 dup3 faccessat faccessat2 fadvise64
fchdir fcntl fdatasync fgetxattr flistxattr flock fstat fstatfs fsync ftruncate getcwd getdents getdents64
getxattr lgetxattr link linkat listxattr
llistxattr lseek lstat mkdir mkdirat newfstatat pread64 preadv preadv2 pwrite64 pwritev
pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile splice stat statfs
statx symlink symlinkat sync_file_range tee truncate umask unlink unlinkat write writev
"""
_CHANGES_OF_MODE: Final = """
chmod chown fchmod fchmodat fchmodat2 fchown fchownat lchown futimesat utime utimes utimensat
"""
_WATCHES: Final = "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch"
_MODE_ARGUMENT: Final = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1}
_FLAGS_ARGUMENT: Final = {"open": 1, "openat": 2}  # and the mode after it
_SET_ID_BITS: Final = 0o6000
_CREATING: Final = os.O_CREAT | (os.O_TMPFILE & ~os.O_DIRECTORY)
_MEMORY: Final = """
brk madvise membarrier mincore mlock mlock2 mmap mprotect mremap msync munlock munmap pkey_alloc pkey_free
pkey_mprotect
"""
_PROCESSES: Final = """
alarm arch_prctl capget execve execveat exit exit_group fork futex futex_waitv get_robust_list getcpu getegid
geteuid getgid getgroups getitimer getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid
getrlimit getrusage getsid gettid getuid kill nanosleep pause pidfd_open pidfd_send_signal prctl
restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_yield set_robust_list set_tid_address
setfsgid setfsuid setgid setgroups setitimer setpgid setregid setresgid setresuid setreuid
setrlimit setsid setuid sigaltstack sysinfo tgkill tkill uname vfork wait4 waitid landlock_add_rule
landlock_create_ruleset landlock_restrict_self
"""
_WAITING: Final = """
clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
epoll_wait eventfd eventfd2 gettimeofday pipe pipe2 poll ppoll pselect6 select signalfd signalfd4 time
timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
timerfd_settime times
"""
_SOCKETS: Final = """
accept accept4 connect getpeername getsockname getsockopt recvfrom recvmmsg recvmsg setsockopt shutdown
"""
_ON_ONESELF: Final = {"prlimit64": 0, "sched_setaffinity": 0}  # where the process stands
_SEND_FLAGS: Final = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}
_FORBIDDEN: Final = """
acct add_key adjtimex bind bpf chroot clock_adjtime clock_settime delete_module fanotify_init fanotify_mark
finit_module fremovexattr fsconfig fsetxattr fsmount fsopen fspick get_mempolicy init_module io_uring_enter
io_uring_register io_uring_setup ioperm iopl ioprio_set kcmp kexec_file_load kexec_load keyctl
listen lookup_dcookie lremovexattr lsetxattr mbind memfd_create memfd_secret migrate_pages mknod mknodat
mlockall modify_ldt mount mount_setattr move_mount move_pages mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd name_to_handle_at nfsservctl open_by_handle_at open_tree
perf_event_open personality pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace
quotactl quotactl_fd reboot removexattr request_key sched_setattr sched_setparam sched_setscheduler semctl
semget semop semtimedop set_mempolicy setdomainname sethostname setns settimeofday setxattr shmat shmctl
shmdt shmget swapoff swapon syslog umount2 unshare userfaultfd vhangup
"""

_ALLOWED_BODY: Final[bpf.Body] = (bpf.give(bpf.ALLOW),)


def _error(number: int) -> bpf.Instruction:
    return bpf.give(bpf.ERRNO | number)


def _clone() -> bpf.Body:
    return (
        bpf.load(bpf.argument_low(0)),
        (bpf.JUMP_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        _error(errno.EPERM),
        bpf.give(bpf.ALLOW),
    )


def _no_set_id(mode_argument: int) -> bpf.Body:
    """No setuid or setgid file: in a granted directory it would outlive the cage, and be its owner's."""
    return (
        bpf.load(bpf.argument_low(mode_argument)),
        (bpf.JUMP_ANY_BIT, 0, 1, _SET_ID_BITS),
        _error(errno.EPERM),
        bpf.give(bpf.ALLOW),
    )


def _open(flags_argument: int) -> bpf.Body:
    """The mode counts only where a file may be made. `openat2` keeps its mode in memory: it is not there."""
    return (
        bpf.load(bpf.argument_low(flags_argument)),
        (bpf.JUMP_ANY_BIT, 1, 0, _CREATING),
        bpf.give(bpf.ALLOW),
        *_no_set_id(flags_argument + 1),
    )


def _ioctl() -> bpf.Body:
    """The kernel looks at the low 32 bits of the request only, so this does too."""
    tests = [
        step
        for request in (*_TERMINAL_INJECTION, *_RESERVATIONS)
        for step in ((bpf.JUMP_EQUAL, 0, 1, request), _error(errno.EPERM))
    ]
    return (bpf.load(bpf.argument_low(1)), *tests, bpf.give(bpf.ALLOW))


def _socketpair() -> bpf.Body:
    """Connected for good: one that sends datagrams could be pointed at any Unix socket of the machine."""
    return (
        bpf.load(bpf.argument_low(0)),
        (bpf.JUMP_EQUAL, 1, 0, _AF_UNIX),
        _error(errno.EACCES),
        bpf.load(bpf.argument_low(1)),
        (bpf.AND, 0, 0, _SOCK_TYPE_MASK),
        (bpf.JUMP_EQUAL, 0, 1, _SOCK_DGRAM),
        _error(errno.EACCES),
        bpf.give(bpf.ALLOW),
    )


def _on_oneself(argument: int) -> bpf.Body:
    """Only with 0, which is the caller: Landlock does not keep these from others of the same user."""
    return (
        bpf.load(bpf.argument_low(argument)),
        (bpf.JUMP_EQUAL, 0, 1, 0),
        bpf.give(bpf.ALLOW),
        _error(errno.EPERM),
    )


def _setpriority() -> bpf.Body:
    """Of this process (`PRIO_PROCESS` is 0), not of all that its user has."""
    return (bpf.load(bpf.argument_low(0)), (bpf.JUMP_EQUAL, 1, 0, 0), _error(errno.EPERM), *_on_oneself(1))


def _send(flags_argument: int) -> bpf.Body:
    return (
        bpf.load(bpf.argument_low(flags_argument)),
        (bpf.JUMP_ANY_BIT, 0, 1, _FAST_OPEN),
        _error(errno.EACCES),
        bpf.give(bpf.ALLOW),
    )


def _socket(*, network: bool) -> bpf.Body:
    """No socket at all; with a network grant TCP over IPv4, which reaches the proxy and nothing else."""
    if not network:
        return (_error(errno.EACCES),)
    return (
        bpf.load(bpf.argument_low(0)),
        (bpf.JUMP_EQUAL, 1, 0, _AF_INET),
        _error(errno.EACCES),
        bpf.load(bpf.argument_low(1)),
        (bpf.AND, 0, 0, _SOCK_TYPE_MASK),
        (bpf.JUMP_EQUAL, 1, 0, _SOCK_STREAM),
        _error(errno.EACCES),
        bpf.load(bpf.argument_low(2)),
        (bpf.JUMP_EQUAL, 1, 0, _ANY_TCP[0]),
        (bpf.JUMP_EQUAL, 0, 1, _ANY_TCP[1]),
        bpf.give(bpf.ALLOW),
        _error(errno.EACCES),
    )


@lru_cache(maxsize=8)
def build_filter(*, network: bool, own_view: bool) -> bytes:
    """The program. Without a view of its own a cage can not chmod, chown, utime or watch: Landlock would."""
    bodies: dict[int, bpf.Body] = {}
    only_in_view = f"{_CHANGES_OF_MODE} {_WATCHES}"
    allowed = " ".join((_FILES, _MEMORY, _PROCESSES, _WAITING, _SOCKETS, only_in_view if own_view else ""))
    for name in allowed.split():
        bodies[NUMBERS[name]] = _ALLOWED_BODY
    for name, argument in _MODE_ARGUMENT.items():
        bodies[NUMBERS[name]] = _no_set_id(argument)
    for name, argument in _FLAGS_ARGUMENT.items():
        bodies[NUMBERS[name]] = _open(argument)
    forbidden = _FORBIDDEN + ("" if own_view else only_in_view)
    for name in forbidden.split():
        bodies[NUMBERS[name]] = (_error(errno.EPERM),)
    for name, argument in _ON_ONESELF.items():
        bodies[NUMBERS[name]] = _on_oneself(argument)
    bodies[NUMBERS["setpriority"]] = _setpriority()
    for name, argument in _SEND_FLAGS.items():
        bodies[NUMBERS[name]] = _send(argument)
    # Room that nobody writes is counted nowhere; the C library then writes it.
    bodies[NUMBERS["fallocate"]] = (_error(errno.EOPNOTSUPP),)
    bodies[NUMBERS["clone"]] = _clone()
    bodies[NUMBERS["ioctl"]] = _ioctl()
    bodies[NUMBERS["socketpair"]] = _socketpair()
    bodies[NUMBERS["socket"]] = _socket(network=network)
    return bpf.assemble(bodies, otherwise=(_error(errno.ENOSYS),))


def load_filter(program: bytes) -> None:
    """Put the program in force for this process and all it starts, for good."""
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    kernel.no_new_privileges()
    kernel.call("seccomp", _SECCOMP_SET_MODE_FILTER, 0, head)
