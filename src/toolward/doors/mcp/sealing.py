"""Seals each `requestState`, so that it comes back unread, unchanged and only where it belongs.

The state of a stateless server travels through the client, who may alter it, replay it for another request,
or show somebody else's. AES-256-GCM (NIST SP 800-38D) over it, with principal, method, target, server and
arguments as associated data, makes each of these a refusal. The gateway's own state (a call that waits for a
person) is bound to the session, too, and to being the gateway's: nothing that a server says unseals as it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from toolward.doors.mcp.messages import Request
from toolward.doors.mcp.wire import INVALID_PARAMS, Refusal, malformed
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.rules.canonical import canonical

_PREFIX = "tw1."
_OWN_PREFIX = "tw1a."
_NONCE_BYTES = 12
_EXPIRY_BYTES = 8
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a state belongs: whose request, to which endpoint."""

    principal: Principal
    server: str
    request: Request
    target: str
    session_id: str = ""  # set for the gateway's own state

    @property
    def prefix(self) -> str:
        """What a state that belongs here begins with."""
        return _OWN_PREFIX if self.session_id else _PREFIX

    def binding(self) -> bytes:
        """Associated data: canonical, so that equal places have equal bytes."""
        arguments = hashlib.sha256(canonical(self.request.params.get("arguments", {}))).hexdigest()
        who = self.principal
        parts = ["toolward requestState", who.user, who.agent, who.credential, self.server]
        parts += [self.request.method, self.target, arguments]
        return canonical([*parts, "own", self.session_id] if self.session_id else parts)


class StateSealer:
    """Seals and unseals with one key. Nonces come from the ids port, so no two are alike."""

    def __init__(self, key: bytes, ttl_s: float, *, clock: Clock, ids: Ids) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError("the state key has to have 32 bytes")
        self._cipher = AESGCM(key)
        self._ttl_ns = int(ttl_s * 1_000_000_000)
        self._clock = clock
        self._ids = ids

    def seal(self, state: str, place: Place) -> str:
        """What the client sees instead of `state`."""
        nonce = hashlib.sha256(self._ids.token().encode()).digest()[:_NONCE_BYTES]
        expiry = (self._clock.now_ns() + self._ttl_ns).to_bytes(_EXPIRY_BYTES, "big")
        sealed = self._cipher.encrypt(nonce, expiry + state.encode("utf-8"), place.binding())
        return place.prefix + base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def unseal(self, shown: object, place: Place) -> str:
        """What was sealed. Raises `Refusal` (-32602) for what was not sealed for `place`."""
        if not isinstance(shown, str) or not shown.startswith(place.prefix):
            raise _refused(place.request)
        text = shown[len(place.prefix) :]
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            # a second spelling of the same bytes would be an altered state that passes
            if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
                raise _refused(place.request)
            opened = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.binding())
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise _refused(place.request) from error
        if int.from_bytes(opened[:_EXPIRY_BYTES], "big") < self._clock.now_ns():
            raise _refused(place.request)
        return opened[_EXPIRY_BYTES:].decode("utf-8")


def is_own(shown: object) -> bool:
    """Whether a state says that it is the gateway's own; only unsealing shows that it is."""
    return isinstance(shown, str) and shown.startswith(_OWN_PREFIX)


def _refused(request: Request) -> Refusal:
    return malformed(
        "`requestState` was altered, has expired, or belongs to another request",
        remedy="repeat the original request without it",
        rpc_code=INVALID_PARAMS,
        request_id=request.request_id,
    )
