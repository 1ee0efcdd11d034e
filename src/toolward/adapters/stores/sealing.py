"""From an event to what is stored: the record's bytes, and its payloads under a key of their own."""

from __future__ import annotations

import os
import struct
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from toolward.adapters.stores.keys import Keys
from toolward.errors import StoreUnavailable
from toolward.model.event import Event, Receipt
from toolward.rules.checkpoint import Signer
from toolward.rules.merkle import Batch, Range, batch, leaf_hash
from toolward.rules.record import encode_event

_ONCE: Final = bytes(12)
"""The nonce under a record's own key, which encrypts exactly one message."""
_SALT_BYTES: Final = 32
_AHEAD: Final = 64
"""Records' worth of salts fetched at once."""
_BLOCK_BYTES: Final = 64
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_FRAME: Final = struct.Struct(">HI")


class Sealed(
    NamedTuple
):  # one per record on the hot path: a tuple is made four times faster than a dataclass
    """A record ready to be appended. `box` and `salt` are None when it has no payloads."""

    event: Event
    body: bytes
    leaf: bytes
    box: bytes | None
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class Grown:
    """The log after a batch: the new tree, its signed head, and a receipt for each new record."""

    batch: Batch[str]
    note: str
    receipts: tuple[Receipt, ...]


class Sealer:
    """Encodes, digests and encrypts under a ward's keys.

    A record's payloads are encrypted with AES-256-GCM under a key of their own, which is derived from the
    ward's key, the event's name and a random salt of 256 bits (NIST SP 800-108, one block of HMAC). Who
    destroys the salt destroys the key.
    """

    def __init__(self, keys: Keys) -> None:
        """Keep nothing but key schedules."""
        self._digest = _Mac(keys.digest)
        self._derive = _Mac(keys.payload)
        self._chance, self._place = b"", 0
        # A forked child that went on with its parent's chance would use its parent's keys and nonces again.
        os.register_at_fork(after_in_child=self._forget)

    def digest(self, data: bytes) -> str:
        """`hmac-sha256:<hex>`."""
        return "hmac-sha256:" + self._digest(data).hex()

    def seal(self, event: Event) -> Sealed:
        """Encode and encrypt. Raises `InvariantBroken` for a body that no record may hold."""
        if not event.payloads:
            body = encode_event(event, {})
            return Sealed(event, body, leaf_hash(body), None, None)
        known = event.digests
        digests = {name: known.get(name) or self.digest(data) for name, data in event.payloads.items()}
        body = encode_event(event, digests)
        salt = self._fresh()
        bound = event.event_id.encode()  # neither box nor salt can be moved to another record
        box = AESGCM(self._derive(bound + salt)).encrypt(_ONCE, _framed(event.payloads), bound)
        return Sealed(event, body, leaf_hash(body), box, salt)

    def _fresh(self) -> bytes:
        """A salt that nothing else gets.

        Chance is fetched for many records at once: each fetch gives up the interpreter lock, which a busy
        writer thread then keeps for a while.
        """
        if self._place == len(self._chance):
            self._chance, self._place = os.urandom(_AHEAD * _SALT_BYTES), 0
        start = self._place
        self._place = start + _SALT_BYTES
        return self._chance[start : self._place]

    def _forget(self) -> None:
        self._chance, self._place = b"", 0

    def unseal(self, body: bytes, box: bytes, salt: bytes) -> dict[str, bytes]:
        """All payloads of the record with bytes `body`. Raises `StoreUnavailable` if they were altered."""
        try:
            bound = str(orjson.loads(body)["event_id"]).encode()
            return _unframed(AESGCM(self._derive(bound + salt)).decrypt(_ONCE, box, bound))
        except (InvalidTag, orjson.JSONDecodeError, KeyError):
            raise StoreUnavailable(
                "the payloads of this record were altered", remedy="run `toolward audit verify`"
            ) from None


class _Mac:
    """HMAC-SHA-256 (RFC 2104) under one key, whose two blocks are hashed once."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(padded.translate(_INNER_PAD))
        self._outer = sha256(padded.translate(_OUTER_PAD))

    def __call__(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


def _framed(payloads: Mapping[str, bytes]) -> bytes:
    parts: list[bytes] = []
    for name, data in payloads.items():
        encoded = name.encode()
        parts += (_FRAME.pack(len(encoded), len(data)), encoded, data)
    return b"".join(parts)


def _unframed(framed: bytes) -> dict[str, bytes]:
    payloads: dict[str, bytes] = {}
    place = 0
    while place < len(framed):
        name_bytes, data_bytes = _FRAME.unpack_from(framed, place)
        place += _FRAME.size
        name = framed[place : place + name_bytes].decode()
        place += name_bytes
        payloads[name] = framed[place : place + data_bytes]
        place += data_bytes
    return payloads


def base64_text(data: bytes) -> str:
    """Standard base64, as receipts and checkpoints carry hashes."""
    return b2a_base64(data, newline=False).decode()


def grow(tree: Range, sealed: Sequence[Sealed], signer: Signer) -> Grown:
    """Append at least one record: one signature for all, one receipt for each."""
    grown = batch(tree, [one.leaf for one in sealed], base64_text)
    note = signer.sign(grown.range.size, grown.root)
    receipts = tuple(
        Receipt(index=index, leaf_hash=base64_text(one.leaf), proof=path, checkpoint=note)
        for index, (one, path) in enumerate(zip(sealed, grown.paths, strict=True), tree.size)
    )
    return Grown(grown, note, receipts)
