"""A signature stands for exactly one version, by a key that the ward names."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from toolward.errors import Rejected
from toolward.model.tool import Manifest
from toolward.rules.dsse import sign, signer_of, statement_of
from toolward.rules.version import make_version

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNERS = {"petra": base64.b64encode(KEY.public_key().public_bytes_raw()).decode()}
VERSION = make_version("files", {"name": "read"}, binding="stdio x", manifest=Manifest())


def test_a_signature_of_a_known_key_names_its_signer() -> None:
    assert signer_of(sign(statement_of(VERSION), KEY), VERSION, SIGNERS) == "petra"


def test_what_is_signed_is_encoded_as_dsse_says() -> None:
    envelope = sign(statement_of(VERSION), KEY)
    body = base64.b64decode(envelope["payload"])
    text = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(body)).encode() + b" " + body
    KEY.public_key().verify(base64.b64decode(envelope["signatures"][0]["sig"]), text)
    statement = orjson.loads(body)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert "sha256:" + statement["subject"][0]["digest"]["sha256"] == VERSION.digest


@pytest.mark.parametrize("change", ["another key", "another version", "a changed payload", "no envelope"])
def test_nothing_else_counts(change: str) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)) if change == "another key" else KEY
    other = make_version("files", {"name": "read"}, binding="stdio y", manifest=Manifest())
    envelope: dict[str, Any] = sign(statement_of(other if change == "another version" else VERSION), key)
    if change == "a changed payload":
        envelope["payload"] = base64.b64encode(statement_of(VERSION) + b" ").decode()
    if change == "no envelope":
        envelope = {"payload": "!"}
    with pytest.raises(Rejected):
        signer_of(envelope, VERSION, SIGNERS)
