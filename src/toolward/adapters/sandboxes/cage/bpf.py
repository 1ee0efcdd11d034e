"""A small assembler for the classic BPF that seccomp takes: a binary search over the call's number.

A search instead of a list, because the kernel runs the program once for every number when it is loaded (to
learn which are always allowed), and again for every call that is not.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ALLOW: Final = 0x7FFF0000
ERRNO: Final = 0x00050000
KILL: Final = 0x80000000

LOAD: Final = 0x20
JUMP: Final = 0x05
JUMP_EQUAL: Final = 0x15
JUMP_AT_LEAST: Final = 0x35
JUMP_ANY_BIT: Final = 0x45
AND: Final = 0x54
RETURN: Final = 0x06

OFFSET_NUMBER: Final = 0
OFFSET_ARCH: Final = 4
ARCH_X86_64: Final = 0xC000003E
X32_BIT: Final = 0x40000000
_REACH: Final = 255  # how far a conditional jump goes

Instruction = tuple[int, int, int, int]
Body = tuple[Instruction, ...]
"""Instructions of which every way through ends in a return."""


def argument_low(index: int) -> int:
    """Offset of the low 32 bits of an argument."""
    return 16 + 8 * index


def load(offset: int) -> Instruction:
    """Put a word of the call's record into the accumulator."""
    return (LOAD, 0, 0, offset)


def give(action: int) -> Instruction:
    """End with an action."""
    return (RETURN, 0, 0, action)


@dataclass(frozen=True, slots=True)
class _Segment:
    first: int
    body: Body


def assemble(bodies: Mapping[int, Body], *, otherwise: Body) -> bytes:
    """The program: kill on another architecture or on x32, else the body of the number, else `otherwise`."""
    head: list[Instruction] = [
        load(OFFSET_ARCH),
        (JUMP_EQUAL, 1, 0, ARCH_X86_64),
        give(KILL),
        load(OFFSET_NUMBER),
        (JUMP_AT_LEAST, 0, 1, X32_BIT),
        give(KILL),
    ]
    return b"".join(struct.pack("HBBI", *each) for each in (*head, *_search(_segments(bodies, otherwise))))


def _segments(bodies: Mapping[int, Body], otherwise: Body) -> list[_Segment]:
    """The number line, cut where the body changes."""
    segments = [_Segment(0, bodies.get(0, otherwise))]
    for number in range(1, max(bodies) + 2):
        body = bodies.get(number, otherwise)
        if body != segments[-1].body:
            segments.append(_Segment(number, body))
    return segments


def _search(segments: list[_Segment]) -> list[Instruction]:
    if len(segments) == 1:
        return list(segments[0].body)
    middle = len(segments) // 2
    low, high = _search(segments[:middle]), _search(segments[middle:])
    if len(low) <= _REACH:
        return [(JUMP_AT_LEAST, len(low), 0, segments[middle].first), *low, *high]
    return [(JUMP_AT_LEAST, 0, 1, segments[middle].first), (JUMP, 0, 0, len(low)), *low, *high]
