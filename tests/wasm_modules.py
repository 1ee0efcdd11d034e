"""Small WebAssembly modules, as text."""

from __future__ import annotations

IMPORTS = """
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
"""
COPY = """
  (func $copy (param $from i32)
    (loop $more
      (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
        (br $more)))))
"""
"""Copies a descriptor to stdout: an I/O vector at 0, its buffer in the second page."""


def module(body: str, data: str = "") -> bytes:
    """A command whose `_start` has this body; `data` lies at 1024."""
    start = f'(func (export "_start") {body})'
    text = f'(module {IMPORTS} (data (i32.const 1024) "{data}") {COPY} {start})'
    return text.encode()


ECHO = module("(call $copy (i32.const 0))")
"""Its arguments are its result."""
FAIL = module("(call $copy (i32.const 0)) (call $exit (i32.const 3))")
SPIN = module("(loop br 0)")
TRAP = module("unreachable")
ENVIRONMENT = module(
    """(drop (call $sizes (i32.const 16) (i32.const 20)))
    (drop (call $environ (i32.const 32768) (i32.const 65536)))
    (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.load (i32.const 20)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))"""
)


def reading(name: str) -> bytes:
    """Writes what stands in that file of the first granted directory; fails if there is none."""
    return module(
        f"""(if (call $open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const {len(name)}) (i32.const 0)
          (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)) (then (call $exit (i32.const 9))))
        (call $copy (i32.load (i32.const 16)))""",
        name,
    )
