"""Signatures of webhooks, out and in. Pure.

Sources: Standard Webhooks 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`, scheme v1) and Slack,
"Verifying requests from Slack" (`X-Slack-Signature`, version v0).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

TOLERANCE_S: Final = 5 * 60
"""How far a message's own time may be from ours, either way; both sources say five minutes."""
KEY_BYTES_MIN: Final = 24
"""As Standard Webhooks demands; shorter keys can be guessed by whoever has seen one message."""
_PREFIX: Final = "whsec_"
_DIGITS_MAX: Final = 12


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: base64 behind `whsec_`, else its own bytes. Raises `ValueError`."""
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret[len(_PREFIX) :], validate=True)
        except binascii.Error as error:
            raise ValueError("what stands behind `whsec_` is no base64") from error
    else:
        key = secret.encode()
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"a webhook's secret has at least {KEY_BYTES_MIN} bytes")
    return key


def is_timely(timestamp: str, now_s: int) -> bool:
    """Whether a message was sent just now, by its own word."""
    plain = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _DIGITS_MAX
    return plain and abs(now_s - int(timestamp)) <= TOLERANCE_S


def sign(key: bytes, *, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def is_signed(key: bytes, *, message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures, separated by spaces, is ours. An id with a dot could be read twice."""
    if not message_id or "." in message_id:
        return False
    expected = sign(key, message_id=message_id, timestamp=timestamp, body=body).encode()
    found = [hmac.compare_digest(expected, each.encode("utf-8", "replace")) for each in signatures.split(" ")]
    return any(found)


def sign_slack(key: bytes, *, timestamp: str, body: bytes) -> str:
    """The value of `X-Slack-Signature`."""
    return "v0=" + hmac.new(key, f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


def is_signed_slack(key: bytes, *, timestamp: str, body: bytes, signature: str) -> bool:
    """Whether it is Slack's."""
    expected = sign_slack(key, timestamp=timestamp, body=body).encode()
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))
