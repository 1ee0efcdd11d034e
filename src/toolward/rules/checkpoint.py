"""Signed tree heads: C2SP tlog-checkpoint as C2SP signed note (c2sp.org/tlog-checkpoint, /signed-note).

Only Ed25519 signatures (type 0x01) are made and checked; lines of unknown keys, a witness's for instance,
are ignored, as the specification asks.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from toolward.errors import IntegrityBroken

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_HASH_BYTES: Final = 32
_LINES_MIN: Final = 3
_SPACE: Final = " "
_DASH: Final = "\u2014 "
NOTE_CHARS_MAX: Final = 256 * 1024
"""Longer notes are refused; the specification asks for room for 16 signatures of 5 kB."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's name and its raw 32-byte Ed25519 public key."""

    name: str
    public: bytes

    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, type, key), as signed-note says."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def text(self) -> str:
        """`name+id+key`, the form in which public keys of notes are handed around."""
        return f"{self.name}+{self.key_id().hex()}+{_b64(_ED25519 + self.public)}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: whose log, how many leaves, which root."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The text that is signed: three lines, each ended by a newline."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


def _b64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _unb64(text: str, what: str) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (ValueError, binascii.Error):
        raise IntegrityBroken(f"{what} is not base64") from None
    if _b64(data) != text:
        raise IntegrityBroken(f"{what} is not canonical base64")
    return data


def usable_origin(name: str) -> bool:
    """Whether `name` can name a log and its key: not empty, printable, no space, no plus."""
    return bool(name) and name.isprintable() and "+" not in name and not any(c.isspace() for c in name)


def parse_verifier_key(text: str) -> VerifierKey:
    """The inverse of `VerifierKey.text`; raises `IntegrityBroken`."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    data = _unb64(encoded, "the public key")
    if len(data) != 1 + _KEY_BYTES or data[:1] != _ED25519 or not usable_origin(name):
        raise IntegrityBroken(
            "the public key is not a named Ed25519 key", remedy="use the text of the ward's `log.pub`"
        )
    key = VerifierKey(name, data[1:])
    if key.key_id().hex() != key_id:
        raise IntegrityBroken("the public key's id does not fit its name and key")
    return key


class Signer:
    """Signs checkpoints of one log with one key; Ed25519 is deterministic, so no chance is needed."""

    def __init__(self, origin: str, seed: bytes) -> None:
        """`seed` are the 32 secret bytes of RFC 8032."""
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(origin, self._private.public_key().public_bytes_raw())
        self._key_id = self.key.key_id()

    def sign(self, size: int, root: bytes) -> str:
        """The signed note for this tree head."""
        body = Checkpoint(self.key.name, size, root).body()
        signature = self._private.sign(body.encode())
        return f"{body}\n{_DASH}{self.key.name} {_b64(self._key_id + signature)}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a note signed by `key`. Raises `IntegrityBroken` when it is not, or is not a note."""
    if len(note) > NOTE_CHARS_MAX:
        raise IntegrityBroken("the signed note is too long")
    if any(character < _SPACE and character != "\n" for character in note):
        raise IntegrityBroken("the signed note holds control characters")
    if any("\ud800" <= character <= "\udfff" for character in note):
        raise IntegrityBroken("the signed note is not unicode text")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise IntegrityBroken("the signed note has no signature block")
    text += "\n"
    verified = False
    for line in signatures[:-1].split("\n"):
        name, data = _signature_line(line)
        if name != key.name or data[:_KEY_ID_BYTES] != key.key_id():
            continue
        _verify(key, data[_KEY_ID_BYTES:], text)
        verified = True
    if not verified:
        raise IntegrityBroken(f"the signed note is not signed by `{key.name}` with this key")
    return text


def _signature_line(line: str) -> tuple[str, bytes]:
    if not line.startswith(_DASH):
        raise IntegrityBroken("a signature line of the note is malformed")
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not space or not usable_origin(name):
        raise IntegrityBroken("a signature line of the note is malformed")
    data = _unb64(encoded, "a signature of the note")
    if len(data) <= _KEY_ID_BYTES:
        raise IntegrityBroken("a signature of the note is too short")
    return name, data


def _verify(key: VerifierKey, signature: bytes, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        raise IntegrityBroken(f"the signature of `{key.name}` does not fit the note's text") from None


def parse_body(text: str) -> Checkpoint:
    """The tree head in a checkpoint's text; extension lines are ignored. Raises `IntegrityBroken`."""
    lines = text.split("\n")
    if lines.pop() != "" or len(lines) < _LINES_MIN or not all(lines):
        raise IntegrityBroken("the checkpoint needs at least three lines that are not empty")
    origin, digits, root_text = lines[:_LINES_MIN]
    if not (digits.isascii() and digits.isdigit()) or (digits != "0" and digits.startswith("0")):
        raise IntegrityBroken("the checkpoint's tree size is not a plain decimal number")
    root = _unb64(root_text, "the checkpoint's root hash")
    if len(root) != _HASH_BYTES or len(digits) > len(str(2**63)):
        raise IntegrityBroken("the checkpoint's root hash or tree size has the wrong length")
    return Checkpoint(origin, int(digits), root)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The tree head that `key` signed for its own log. Raises `IntegrityBroken`."""
    head = parse_body(open_note(note, key))
    if head.origin != key.name:
        raise IntegrityBroken(f"the checkpoint is for the log `{head.origin}`, not `{key.name}`")
    return head
