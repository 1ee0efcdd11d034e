"""The Merkle tree of RFC 6962 section 2 over SHA-256: append, prove, verify.

A tree is carried as a `Range`: its size and the roots of its complete subtrees ("peaks"), largest first.
That is all that appending needs. Proofs are lists of node hashes from the leaf upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Generic, TypeVar

T = TypeVar("T")

EMPTY_ROOT: Final = sha256(b"").digest()
"""RFC 6962 section 2.1: the hash of an empty tree."""
TILE_LEVEL: Final = 8
"""Level of the nodes that stores keep, so that any root is found from size/256 hashes."""
TILE_WIDTH: Final = 1 << TILE_LEVEL
"""Leaves under one such node."""


def leaf_hash(body: bytes) -> bytes:
    """SHA-256 of 0x00 and the record."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Range:
    """A tree of `size` leaves; `peaks` are its complete subtrees' roots, one for each set bit of `size`."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        """The tree's root."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def extended(self, leaves: Iterable[bytes]) -> Range:
        """The tree with these leaf hashes appended."""
        peaks = list(self.peaks)
        size = self.size
        for leaf in leaves:
            node = leaf
            bits = size
            while bits & 1:
                node = node_hash(peaks.pop(), node)
                bits >>= 1
            peaks.append(node)
            size += 1
        return Range(size, tuple(peaks))


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """What appending several leaves at once gives.

    `paths[i]` proves leaf `i` of the batch in the new tree, each hash through the given `encode`.
    `tiles` are the (index, hash) of the nodes at `TILE_LEVEL` that the batch completed.
    """

    range: Range
    root: bytes
    paths: tuple[tuple[T, ...], ...]
    tiles: tuple[tuple[int, bytes], ...]


def batch(old: Range, leaves: Sequence[bytes], encode: Callable[[bytes], T]) -> Batch[T]:
    """Append `leaves` (at least one) and prove each in the new tree.

    Every node is hashed and encoded once: level by level upwards from the new leaves, where the only old
    nodes that occur are old peaks; then the paths downwards, so that siblings share their tails.
    """
    if len(leaves) == 1:
        return _one(old, leaves[0], encode)
    peak_at = _peaks_by_level(old)
    size = old.size + len(leaves)
    starts: list[int] = []
    levels: list[list[bytes]] = []
    start, nodes = old.size, list(leaves)
    while len(nodes) > 1:
        if start & 1:  # the left sibling is wholly old, thus a peak
            nodes.insert(0, peak_at[len(levels)])
            start -= 1
        starts.append(start)
        levels.append(nodes)
        even = len(nodes) & ~1
        above = [sha256(b"\x01" + nodes[i] + nodes[i + 1]).digest() for i in range(0, even, 2)]
        above += nodes[even:]  # a lone right edge moves up unchanged
        start, nodes = start >> 1, above
    spread = len(levels)
    tail = _climb(start, nodes[0], peak_at, starts=starts, levels=levels)
    return Batch(
        Range(size, _peaks_of(size, peak_at, starts, levels)),
        levels[-1][0],
        _paths(old.size, starts[:spread], levels, base=start, tail=tuple(map(encode, tail)), encode=encode),
        _completed_tiles(old.size, size, starts, levels),
    )


def _one(old: Range, leaf: bytes, encode: Callable[[bytes], T]) -> Batch[T]:
    """As `batch` for one leaf, as a call that comes alone waits for: all its siblings are old peaks."""
    peaks, siblings = list(old.peaks), []
    node, place, level = leaf, old.size, 0
    tiles: tuple[tuple[int, bytes], ...] = ()
    while place & 1:
        siblings.append(peaks.pop())
        node = node_hash(siblings[-1], node)
        place, level = place >> 1, level + 1
        if level == TILE_LEVEL:
            tiles = ((place, node),)
    path, root = [*siblings, *reversed(peaks)], node
    for peak in reversed(peaks):
        root = node_hash(peak, root)
    grown = Range(old.size + 1, (*peaks, node))
    return Batch(grown, root, (tuple(map(encode, path)),), tiles)


def _climb(
    start: int, node: bytes, peak_at: dict[int, bytes], *, starts: list[int], levels: list[list[bytes]]
) -> list[bytes]:
    """From the level where the batch is one node up to the root; returns the siblings on the way.

    They are the end of every path of the batch. Most of the tree's height is here, so it is kept tight.
    """
    siblings: list[bytes] = []
    while start:
        if start & 1:
            peak = peak_at[len(levels)]
            siblings.append(peak)
            starts.append(start - 1)
            levels.append([peak, node])
            node = sha256(b"\x01" + peak + node).digest()
        else:
            starts.append(start)
            levels.append([node])
        start >>= 1
    starts.append(0)
    levels.append([node])
    return siblings


def _peaks_by_level(tree: Range) -> dict[int, bytes]:
    by_level = (level for level in range(tree.size.bit_length() - 1, -1, -1) if tree.size >> level & 1)
    return dict(zip(by_level, tree.peaks, strict=True))


def _peaks_of(
    size: int, old_peaks: dict[int, bytes], starts: list[int], levels: list[list[bytes]]
) -> tuple[bytes, ...]:
    peaks: list[bytes] = []
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            place = (size >> level) - 1 - (starts[level] if level < len(starts) else 0)
            inside = level < len(levels) and place >= 0
            peaks.append(levels[level][place] if inside else old_peaks[level])
    return tuple(peaks)


def _paths(
    old_size: int,
    starts: list[int],
    levels: list[list[bytes]],
    *,
    base: int,
    tail: tuple[T, ...],
    encode: Callable[[bytes], T],
) -> tuple[tuple[T, ...], ...]:
    """The path of each new leaf, downwards from the node at `base` over which the batch is one node.

    `starts` has the levels below that node; `tail` is the path from it to the root.
    """
    paths = [tail]
    for level in range(len(starts) - 1, -1, -1):
        nodes, start = levels[level], starts[level]
        first = (old_size >> level) - start
        shown = {
            sibling: encode(nodes[sibling])
            for place in range(first, len(nodes))
            if (sibling := place ^ 1) < len(nodes)  # `start` is even
        }
        below: list[tuple[T, ...]] = []
        for place in range(first, len(nodes)):
            above = paths[(start + place >> 1) - base]
            sibling = place ^ 1
            below.append((shown[sibling], *above) if sibling in shown else above)
        paths, base = below, start + first
    return tuple(paths)


def _completed_tiles(
    old_size: int, size: int, starts: list[int], levels: list[list[bytes]]
) -> tuple[tuple[int, bytes], ...]:
    first, end = old_size >> TILE_LEVEL, size >> TILE_LEVEL
    if first == end:
        return ()
    start = starts[TILE_LEVEL]
    return tuple((index, levels[TILE_LEVEL][index - start]) for index in range(first, end))


def range_from_tiles(tiles: Iterable[bytes], tail: Iterable[bytes]) -> Range:
    """The tree over complete tiles' roots followed by fewer than `TILE_WIDTH` leaf hashes."""
    upper = Range().extended(tiles)
    return Range(upper.size << TILE_LEVEL, upper.peaks).extended(tail)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1 over leaf hashes."""
    return Range().extended(leaves).root()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """PATH of RFC 6962 section 2.1.1; raises `IndexError` unless 0 <= index < len(leaves)."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    path: list[bytes] = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(naive_root(leaves[middle:end]))
            end = middle
        else:
            path.append(naive_root(leaves[start:middle]))
            start = middle
    return tuple(reversed(path))


def consistency_proof(old_size: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """PROOF of RFC 6962 section 2.1.2; raises `IndexError` unless 0 <= old_size <= len(leaves)."""
    if not 0 <= old_size <= len(leaves):
        raise IndexError(old_size)
    if old_size in (0, len(leaves)):
        return ()
    path: list[bytes] = []
    start, end, whole = 0, len(leaves), True
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(naive_root(leaves[middle:end]))
            end = middle
        else:
            path.append(naive_root(leaves[start:middle]))
            start, whole = middle, False
    if not whole:
        path.append(naive_root(leaves[start:end]))
    return tuple(reversed(path))


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows leaf hash `leaf` at `index` of the tree (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(
    old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree only grew from `old_size` to `size` leaves (RFC 9162 section 2.1.4.2)."""
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return size > 0 and not proof and old_root == EMPTY_ROOT
    if not 0 < old_size < size:
        return False
    path = [*proof] if old_size & (old_size - 1) else [old_root, *proof]
    return bool(path) and _leads_to_both(old_size, size, path) == (old_root, root)


def _leads_to_both(old_size: int, size: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The old and the new root that a consistency path gives; None if its length is wrong."""
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return (before, after) if last == 0 else None
