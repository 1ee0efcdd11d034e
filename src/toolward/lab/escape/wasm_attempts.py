"""What a WebAssembly module can try: small modules, each with the same one in a bare runtime as its control.

A module finds the granted directory at descriptor 3 and the one for reading at 4; in the control 3 is the
whole machine. Vectors and results lie below 512 of its memory, paths at 1024 and 2048, buffers behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from typing_extensions import override

from toolward.lab.escape.attempts import TIGHT, Attempt, Control

SYSTEM: Final = ("env", "system")
"""A function of the host that only the bare runtime gives."""
_WASI: Final = "wasi_snapshot_preview1"
_CALLS: Final = {
    "fd_read": "i32 i32 i32 i32",
    "fd_write": "i32 i32 i32 i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "path_symlink": "i32 i32 i32 i32 i32",
    "path_rename": "i32 i32 i32 i32 i32 i32",
    "environ_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "clock_time_get": "i32 i64 i32",
    "poll_oneoff": "i32 i32 i32 i32",
    "sock_accept": "i32 i32 i32",
    "sock_send": "i32 i32 i32 i32 i32",
}
_LIBRARY: Final = """
(func $write (param $fd i32) (param $at i32) (param $length i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
  (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 12))))
(func $done (call $write (i32.const 1) (i32.const 512) (i32.const 4)))
(func $open (param $in i32) (param $at i32) (param $length i32) (param $flags i32) (param $rights i64)
  (result i32)
  (if (result i32) (call $path_open (local.get $in) (i32.const 1) (local.get $at) (local.get $length)
      (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16))
    (then (i32.const -1)) (else (i32.load (i32.const 16)))))
(func $show (param $fd i32)
  (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 4096))
  (if (i32.eqz (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
    (then (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 8))))))
(func $make (param $in i32) (param $at i32) (param $length i32) (result i32) (local $fd i32)
  (local.set $fd
    (call $open (local.get $in) (local.get $at) (local.get $length) (i32.const 1) (i64.const 64)))
  (if (i32.ge_s (local.get $fd) (i32.const 0))
    (then (call $write (local.get $fd) (i32.const 512) (i32.const 4))))
  (local.get $fd))
"""
_FIRST: Final = "(i32.const 1024) (i32.const FIRST)"
_SECOND: Final = "(i32.const 2048) (i32.const SECOND)"
_SHOW: Final = f"(call $show (call $open (i32.const 3) {_FIRST} (i32.const 0) (i64.const 2)))"
_SIXTY_FOUR: Final = """(local $i i32) (loop $more {each}
  (local.set $i (i32.add (local.get $i) (i32.const 1)))
  (br_if $more (i32.lt_u (local.get $i) (i32.const 64))))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleAttempt(Attempt):
    """One row. Paths may begin with `{here}`, `{reading}`, `{out}`: the grants, and what is beside."""

    tries: str
    body: str
    first: str = ""
    second: str = ""
    imports: str = ""
    functions: str = ""
    twice: bool = False  # the control calls one instance twice

    @property
    @override
    def what(self) -> str:
        """What is tried, in words."""
        return self.tries

    def module(self, places: Mapping[str, str]) -> bytes:
        """The module, as text."""
        first, second = self.first.format_map(places), self.second.format_map(places)
        body = self.body.replace("FIRST", str(len(first))).replace("SECOND", str(len(second)))
        body = body.replace("READING", places["fd"])
        imports = [self.imports] + [
            f'(import "{_WASI}" "{name}" (func ${name} (param {kinds}) (result i32)))'
            for name, kinds in _CALLS.items()
        ]
        texts = {512: "done", 1024: first, 2048: second}
        data = " ".join(f'(data (i32.const {at}) "{text}")' for at, text in texts.items())
        memory = '(memory (export "memory") 4) (table $t 1 funcref)'
        start = f'(func (export "_start") {body})'
        return "\n".join(("(module", *imports, memory, data, _LIBRARY, self.functions, start, ")")).encode()


def usable(mark: str) -> ModuleAttempt:
    """Uses what is granted: a contained attempt in a cage that can do nothing would show nothing."""
    body = f"{_SHOW} (drop (call $make (i32.const 3) {_SECOND}))"
    return ModuleAttempt(id="w0", source="", tries="", body=body, first="{here}in", second="{here}" + mark)


def _row(number: int, tries: str, source: str, body: str, **more: object) -> ModuleAttempt:
    row = ModuleAttempt(id=f"w{number:02}", source=source, tries=tries, body=body)
    return replace(row, **more)  # type: ignore[arg-type]  # the fields' own types


_FILES: Final = (
    _row(1, "read a file outside the grant by `..`", "WASI capabilities", _SHOW, first="{out}secret"),
    _row(2, "read it by its absolute path", "WASI capabilities", _SHOW, first="{absolute}secret"),
    _row(
        3,
        "make a link that leads out, and read through it",
        "WASI capabilities",
        f"(drop (call $path_symlink {_SECOND} (i32.const 3) {_FIRST})) {_SHOW}",
        first="{here}l",
        second="../secret",
    ),
    _row(
        4,
        "make a file outside the grant",
        "WASI capabilities",
        f"(drop (call $make (i32.const 3) {_FIRST}))",
        first="{out}outside/made",
    ),
    _row(
        5,
        "make a file in a directory that was granted for reading",
        "wasmtime-py's default",
        f"(drop (call $make (i32.const READING) {_FIRST}))",
        first="{reading}made",
    ),
    _row(
        6,
        "rename a granted file out of its directory",
        "WASI capabilities",
        f"(drop (call $path_rename (i32.const 3) {_FIRST} (i32.const 3) {_SECOND}))",
        first="{here}in",
        second="{out}outside/moved",
    ),
    _row(
        7,
        "write a file larger than its limit",
        "nsjail",
        "(local $fd i32)"
        + _SIXTY_FOUR.format(
            each=f"""(if (i32.eqz (local.get $i)) (then (local.set $fd (call $make (i32.const 3) {_FIRST}))))
            (call $write (local.get $fd) (i32.const 65536) (i32.const 65536))"""
        ),
        first="{here}large",
        gap="bytes:",
    ),
)
_SURROUNDINGS: Final = (
    _row(
        8,
        "the gateway's environment",
        "sandbox-runtime",
        """(drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
        (drop (call $environ_get (i32.const 4096) (i32.const 65536)))
        (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 20)))""",
        grants=False,
    ),
    _row(
        9,
        "descriptors that the gateway had open",
        "runc CVE-2024-21626",
        _SIXTY_FOUR.format(each="(call $show (i32.add (local.get $i) (i32.const 5)))"),
        control=Control.NONE,
        grants=False,
    ),
    _row(
        10,
        "accept or send on a socket, of which it has none",
        "WASI capabilities",
        _SIXTY_FOUR.format(
            each="""(if (i32.eqz (call $sock_accept (local.get $i) (i32.const 0) (i32.const 16)))
              (then (call $done)))
            (if (i32.eqz (call $sock_send (local.get $i) (i32.const 0) (i32.const 1) (i32.const 0)
              (i32.const 16))) (then (call $done)))"""
        ),
        control=Control.NONE,
        grants=False,
    ),
    _row(
        11,
        "call a function of the host that nobody gave it",
        "WASI capabilities",
        "(drop (call $system (i32.const 0))) (call $done)",
        imports=f'(import "{SYSTEM[0]}" "{SYSTEM[1]}" (func $system (param i32) (result i32)))',
        grants=False,
    ),
    _row(
        12,
        "the processor time of the gateway, beside the time of day",
        "timing",
        """(if (i32.eqz (call $clock_time_get (i32.const 2) (i64.const 0) (i32.const 16)))
          (then (call $done)))
        (if (i32.eqz (call $clock_time_get (i32.const 3) (i64.const 0) (i32.const 16)))
          (then (call $done)))""",
        control=Control.NONE,
        grants=False,
    ),
)
_RESOURCES: Final = (
    _row(
        13,
        "sleep past the wall time, in the host, where no instruction is counted",
        "wasmtime's epochs",
        """(i32.store (i32.const 80) (i32.const 1)) (i64.store (i32.const 88) (i64.const 3500000000))
        (drop (call $poll_oneoff (i32.const 64) (i32.const 160) (i32.const 1) (i32.const 16)))
        (loop (br_if 0 (i32.const 0))) (call $done)""",
        limits=replace(TIGHT, wall_ms=1_000),
        grants=False,
    ),
    _row(
        14,
        "loop without end: processor time",
        "nsjail",
        """(local $i i64) (loop $more (local.set $i (i64.add (local.get $i) (i64.const 1)))
          (br_if $more (i64.lt_u (local.get $i) (i64.const 600000000)))) (call $done)""",
        limits=replace(TIGHT, cpu_s=1),
        grants=False,
    ),
    _row(
        15,
        "take more memory than is granted",
        "nsjail",
        "(if (i32.ge_s (memory.grow (i32.const 4096)) (i32.const 0)) (then (call $done)))",
        grants=False,
    ),
    _row(
        16,
        "take memory of the host in a table",
        "wasmtime's limits",
        """(if (i32.ge_s (table.grow $t (ref.null func) (i32.const 1000000)) (i32.const 0))
          (then (call $done)))""",
        grants=False,
    ),
    _row(
        17,
        "recursion without end: the stack of the gateway's thread",
        "wasmtime's stack",
        "(drop (call $deep (i32.const 100000))) (call $done)",
        functions="""(func $deep (param $n i32) (result i32) (if (result i32) (local.get $n)
          (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)))))
          (else (i32.const 0))))""",
        grants=False,
    ),
    _row(
        18,
        "output without end",
        "nsjail",
        _SIXTY_FOUR.format(each="(call $write (i32.const 1) (i32.const 65536) (i32.const 65536))"),
        grants=False,
    ),
    _row(
        19,
        "leave something in its memory for the next call",
        "stores serve once",
        "(if (i32.load (i32.const 3072)) (then (call $done))) (i32.store (i32.const 3072) (i32.const 1))",
        twice=True,
        grants=False,
    ),
)
MODULE_ATTEMPTS: Final = (*_FILES, *_SURROUNDINGS, *_RESOURCES)
