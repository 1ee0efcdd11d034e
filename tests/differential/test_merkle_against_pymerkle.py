"""An independent implementation of RFC 6962 must agree on roots and proofs."""

from __future__ import annotations

import pytest
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

from toolward.rules import merkle


def trees(size: int) -> tuple[InmemoryTree, list[bytes]]:
    theirs = InmemoryTree(algorithm="sha256")
    bodies = [b"record %d" % number for number in range(size)]
    for body in bodies:
        theirs.append_entry(body)
    return theirs, [merkle.leaf_hash(body) for body in bodies]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100, 257])
def test_roots_leaves_and_proofs_agree_with_pymerkle(size: int) -> None:
    theirs, ours = trees(size)
    root = theirs.get_root()
    assert root == merkle.naive_root(ours)
    for index in {0, size // 3, size - 1}:
        assert theirs.get_leaf(index + 1) == ours[index]
        proof = theirs.prove_inclusion(index + 1)
        verify_inclusion(ours[index], root, proof)
        path = [bytes.fromhex(text) for text in proof.serialize()["path"]]
        assert path[1:] == list(merkle.inclusion_proof(index, ours))
    for old in {1, size // 2 or 1, size}:
        verify_consistency(theirs.get_root(old), root, theirs.prove_consistency(old, size))
        assert merkle.naive_root(ours[:old]) == theirs.get_root(old)
        assert merkle.verify_consistency(
            old, size, theirs.get_root(old), root, merkle.consistency_proof(old, ours)
        )
