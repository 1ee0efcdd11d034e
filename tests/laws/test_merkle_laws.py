"""The tree against a naive reading of RFC 6962 and against itself."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolward.rules import merkle

VECTOR_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
VECTOR_ROOTS = [  # the test vectors that Certificate Transparency implementations share
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves_of(count: int, salt: int = 0) -> list[bytes]:
    return [merkle.leaf_hash(b"%d/%d" % (salt, number)) for number in range(count)]


def recursive_root(leaves: list[bytes]) -> bytes:
    """MTH exactly as RFC 6962 section 2.1 writes it."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + recursive_root(leaves[:split]) + recursive_root(leaves[split:])).digest()


def recursive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH exactly as RFC 6962 section 2.1.1 writes it."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*recursive_path(index, leaves[:split]), recursive_root(leaves[split:])]
    return [*recursive_path(index - split, leaves[split:]), recursive_root(leaves[:split])]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_roots_are_those_of_the_certificate_transparency_vectors() -> None:
    hashes = [merkle.leaf_hash(leaf) for leaf in VECTOR_LEAVES]
    assert [merkle.naive_root(hashes[: size + 1]).hex() for size in range(8)] == VECTOR_ROOTS
    assert merkle.Range().root() == merkle.EMPTY_ROOT


@given(st.integers(0, 700))
def test_a_range_has_the_root_of_the_recursive_definition(size: int) -> None:
    assert merkle.naive_root(leaves_of(size)) == recursive_root(leaves_of(size))


@given(st.integers(0, 600), st.just(1) | st.integers(1, 600))
@example(255, 1)
@example(511, 1)
def test_a_batch_equals_appending_one_by_one_and_proves_each_leaf(old: int, new: int) -> None:
    before, added = leaves_of(old), leaves_of(new, salt=1)
    whole = [*before, *added]
    grown = merkle.batch(merkle.Range().extended(before), added, bytes.hex)
    assert grown.range == merkle.Range().extended(whole)
    assert grown.root == recursive_root(whole)
    for place in {0, new // 2, new - 1}:
        assert [bytes.fromhex(text) for text in grown.paths[place]] == recursive_path(old + place, whole)
    assert [index for index, _ in grown.tiles] == list(range(old // 256, (old + new) // 256))
    for index, tile in grown.tiles:
        assert tile == recursive_root(whole[index * 256 : index * 256 + 256])


@given(st.integers(0, 1200))
def test_a_range_is_found_again_from_its_tiles_and_its_tail(size: int) -> None:
    leaves = leaves_of(size)
    tiles = [recursive_root(leaves[start : start + 256]) for start in range(0, size // 256 * 256, 256)]
    assert merkle.range_from_tiles(tiles, leaves[size // 256 * 256 :]) == merkle.Range().extended(leaves)


@given(st.integers(1, 300), st.data())
def test_an_inclusion_proof_verifies_and_no_flipped_bit_does(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    root, proof = recursive_root(leaves), merkle.inclusion_proof(index, leaves)
    assert list(proof) == recursive_path(index, leaves)
    assert merkle.verify_inclusion(index, size, leaves[index], proof, root)
    bit = data.draw(st.integers(0, 255))
    assert not merkle.verify_inclusion(index, size, flipped(leaves[index], bit), proof, root)
    assert not merkle.verify_inclusion(index, size, leaves[index], proof, flipped(root, bit))
    assert not merkle.verify_inclusion(index, size, leaves[index], [*proof, root], root)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        broken = [*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]]
        assert not merkle.verify_inclusion(index, size, leaves[index], broken, root)
        assert not merkle.verify_inclusion(index, size, leaves[index], proof[:-1], root)
    other = data.draw(st.integers(0, size - 1).filter(lambda place: size == 1 or place != index))
    if other != index:
        assert not merkle.verify_inclusion(other, size, leaves[index], proof, root)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 255), st.data())
def test_a_consistency_proof_verifies_and_no_flipped_bit_or_rewritten_past_does(
    old: int, more: int, bit: int, data: st.DataObject
) -> None:
    leaves = leaves_of(old + more)
    size = len(leaves)
    old_root, root = recursive_root(leaves[:old]), recursive_root(leaves)
    proof = merkle.consistency_proof(old, leaves)
    assert merkle.verify_consistency(old, size, old_root, root, proof)
    assert not merkle.verify_consistency(old, size, flipped(old_root, bit), root, proof)
    assert not merkle.verify_consistency(old, size, old_root, root, [*proof, root])
    if 0 < old < size:
        assert not merkle.verify_consistency(old, size, old_root, flipped(root, bit), proof)
        place = data.draw(st.integers(0, len(proof) - 1))
        broken = [*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]]
        assert not merkle.verify_consistency(old, size, old_root, root, broken)
        rewritten = [merkle.leaf_hash(b"forged"), *leaves[1:]]
        forged = merkle.consistency_proof(old, rewritten)
        assert not merkle.verify_consistency(old, size, old_root, recursive_root(rewritten), forged)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (5, 3)])
def test_an_index_outside_the_tree_is_never_included(index: int, size: int) -> None:
    leaf = merkle.leaf_hash(b"x")
    assert not merkle.verify_inclusion(index, size, leaf, [], leaf)
    with pytest.raises(IndexError):
        merkle.inclusion_proof(index, [leaf] * size)


@pytest.mark.parametrize(("old", "size"), [(3, 2), (-1, 2)])
def test_a_tree_is_never_consistent_with_a_larger_or_negative_one(old: int, size: int) -> None:
    root = merkle.naive_root(leaves_of(size))
    assert not merkle.verify_consistency(old, size, root, root, [root])
    with pytest.raises(IndexError):
        merkle.consistency_proof(old, leaves_of(size))
