"""Signed manifests: an in-toto statement of a version, in a DSSE envelope.

    https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
    https://github.com/secure-systems-lab/dsse/blob/master/protocol.md

A signature says that somebody stands for exactly this definition, binding and manifest; the version's digest
is the statement's subject.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from toolward.errors import Rejected
from toolward.model.tool import ToolVersion
from toolward.rules.canonical import canonical

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://toolward.dev/manifest/v1"
_KEY_BYTES: Final = 32


def statement_of(version: ToolVersion) -> bytes:
    """What is signed: canonical JSON."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": version.key, "digest": {"sha256": version.digest.removeprefix("sha256:")}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "definition": {"sha256": version.definition_digest.removeprefix("sha256:")},
                "binding": version.binding,
                "manifest": version.manifest.as_json(),
            },
        }
    )


def sign(statement: bytes, key: Ed25519PrivateKey) -> dict[str, Any]:
    """The envelope."""
    raw = key.public_key().public_bytes_raw()
    signature = {"keyid": key_id(raw), "sig": base64.b64encode(key.sign(_pae(statement))).decode()}
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(statement).decode(),
        "signatures": [signature],
    }


def signer_of(envelope: Mapping[str, Any], version: ToolVersion, signers: Mapping[str, str]) -> str:
    """Who of `signers` (name -> public key in base64) signed this very version. Raises `Rejected`."""
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [
            (str(s["keyid"]), base64.b64decode(s["sig"], validate=True)) for s in envelope["signatures"]
        ]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Rejected("this is no DSSE envelope", remedy="sign it anew: toolward tools sign") from error
    if envelope.get("payloadType") != PAYLOAD_TYPE or payload != statement_of(version):
        raise Rejected(
            f"what was signed is not the version `{version.digest[:19]}` of {version.key}",
            remedy="sign what is there now: toolward tools sign",
        )
    for name, text in signers.items():
        raw = public_key(text)
        for keyid, signature in signatures:
            if raw is not None and keyid == key_id(raw) and _holds(raw, signature, payload):
                return name
    raise Rejected(
        "nobody who may sign here signed it",
        remedy="name the signer's public key under `signers` in toolward.yaml, and reload",
    )


def public_key(text: str) -> bytes | None:
    """The raw key, None for a text that is none."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) == _KEY_BYTES else None


def key_id(raw: bytes) -> str:
    """How a key is named."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _holds(raw: bytes, signature: bytes, payload: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, _pae(payload))
    except (InvalidSignature, ValueError):
        return False
    return True


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
