"""Signed notes and checkpoints against published ones, and against everything that is not one."""

from __future__ import annotations

import pytest

from toolward.errors import IntegrityBroken
from toolward.rules.checkpoint import (
    Checkpoint,
    Signer,
    open_checkpoint,
    open_note,
    parse_body,
    parse_verifier_key,
    usable_origin,
)

# golang.org/x/mod/sumdb/note, package documentation
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The signature of the example in c2sp.org/tlog-checkpoint is a real one of the Go checksum database.
GO_SUM = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_SUM_NOTE = (
    "go.sum database tree\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n\u2014 sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
SIGNER = Signer("example.com/log", bytes(range(32)))
ROOT = bytes(range(100, 132))


@pytest.mark.parametrize(("key", "note"), [(NEUMANN, NEUMANN_NOTE), (GO_SUM, GO_SUM_NOTE)])
def test_notes_published_elsewhere_open_with_their_keys(key: str, note: str) -> None:
    parsed = parse_verifier_key(key)
    assert parsed.text() == key
    assert open_note(note, parsed) == note.partition("\n\n")[0] + "\n"


def test_the_specifications_example_body_is_read() -> None:
    head = parse_body(open_note(GO_SUM_NOTE, parse_verifier_key(GO_SUM)))
    assert (head.origin, head.size, head.root.hex()[:8]) == ("go.sum database tree", 20852163, "0ac5186a")


def test_what_is_signed_is_read_back_and_signing_is_deterministic() -> None:
    note = SIGNER.sign(7, ROOT)
    assert note == SIGNER.sign(7, ROOT)
    assert open_checkpoint(note, SIGNER.key) == Checkpoint("example.com/log", 7, ROOT)


def test_a_witness_signature_beside_the_logs_own_is_ignored() -> None:
    witness = Signer("witness.example", bytes(32)).sign(7, ROOT).splitlines(keepends=True)[-1]
    assert open_checkpoint(SIGNER.sign(7, ROOT) + witness, SIGNER.key).size == 7
    assert open_checkpoint(f"{SIGNER.sign(7, ROOT)[:-1]}\n{witness}", SIGNER.key).size == 7


def test_every_single_character_of_a_checkpoint_matters() -> None:
    note = SIGNER.sign(7, ROOT)
    for place, character in enumerate(note):
        changed = note[:place] + ("x" if character != "x" else "y") + note[place + 1 :]
        with pytest.raises(IntegrityBroken):
            open_checkpoint(changed, SIGNER.key)
        with pytest.raises(IntegrityBroken):
            open_checkpoint(note[:place] + note[place + 1 :], SIGNER.key)


def test_another_key_of_the_same_name_opens_nothing() -> None:
    with pytest.raises(IntegrityBroken, match="not signed"):
        open_checkpoint(SIGNER.sign(7, ROOT), Signer("example.com/log", bytes(32)).key)


def test_a_log_may_not_sign_under_another_origin() -> None:
    body = Checkpoint("other.example/log", 7, ROOT).body()
    note = Signer("example.com/log", bytes(range(32)))
    forged = f"{body}\n\u2014 example.com/log " + note.sign(7, ROOT).rsplit(" ", 1)[1]
    with pytest.raises(IntegrityBroken):
        open_checkpoint(forged, SIGNER.key)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "a\n1\n",
        "a\n01\n" + "A" * 43 + "=\n",
        "a\n-1\n" + "A" * 43 + "=\n",
        "a\n1\nAAAA\n",
        "a\n1\n" + "A" * 42 + "B=\n",
        "a\n\u0661\n" + "A" * 43 + "=\n",
        "a\n1\n" + "A" * 43 + "=",
        "\n1\n" + "A" * 43 + "=\n",
        "a\n" + "9" * 30 + "\n" + "A" * 43 + "=\n",
        "a\n1\n" + "A" * 43 + "=\n\next\n",
    ],
)
def test_a_body_that_is_not_canonical_is_refused(body: str) -> None:
    with pytest.raises(IntegrityBroken):
        parse_body(body)


def test_extension_lines_are_read_over() -> None:
    assert parse_body("a\n0\n" + "A" * 43 + "=\nextension\n").size == 0


@pytest.mark.parametrize(
    "note",
    [
        "text\n\n",
        "text\n\nno dash x\n",
        "text\n\n\u2014 name\n",
        "text\n\n\u2014 name !!!!\n",
        "text\n\n\u2014 name AAAA\n",
        "te\x00xt\n\n\u2014 name AAAAAAAA\n",
        "\ud800\n\n\u2014 name AAAAAAAA\n",
        "x" * 300_000,
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(IntegrityBroken):
        open_note(note, SIGNER.key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        NEUMANN.replace("c74f", "c74e"),
        NEUMANN.replace("+AR", "+BR"),
        NEUMANN[:-4],
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(IntegrityBroken):
        parse_verifier_key(text)


def test_origins_hold_no_space_plus_or_control_character() -> None:
    assert usable_origin("toolward/ward")
    assert not any(usable_origin(name) for name in ("", "a b", "a+b", "a\nb", "a\u00a0b"))
