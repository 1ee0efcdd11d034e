"""Signing a browser in: a one-time link that a person's credential asked for, then a cookie.

Both are tokens of 256 bits of chance, of which only the SHA-256 is kept. Both end with the credential that
they came from, and neither can be used in the place of the other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec import Struct

from toolward.config.limits import BROWSER_S, SIGN_IN_LINK_S
from toolward.errors import ReasonCode, Rejected
from toolward.kernel.audit import Auditor
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.identity import Identity
from toolward.ports.ids import Ids
from toolward.ports.store import Change, Conflict, Delete, Put, Row, Store, Table
from toolward.rules.canonical import canonical

_SECOND_NS: Final = 1_000_000_000
_NAME_CHARS: Final = 12
"""Of a token's hash: enough to tell one from another in the record."""


class Browser(Struct, frozen=True, kw_only=True):
    """A browser that is signed in. `form_token` has to come with everything that it posts."""

    principal: Principal
    form_token: str
    expires_ns: int


class Links:
    """Makes, redeems and ends them."""

    def __init__(self, store: Store, auditor: Auditor, *, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._auditor = auditor
        self._clock = clock
        self._ids = ids

    async def make(self, by: Principal) -> tuple[str, int]:
        """A link's token and when it ends. Raises `Rejected` unless `by` showed a credential of the ward."""
        token, now = self._ids.token(), self._clock.now_ns()
        expires_ns = now + SIGN_IN_LINK_S * _SECOND_NS
        body = _body("link", self._credential_of(by), expires_ns)
        event = self._auditor.event(
            EventKind.LINK_MADE, body={"by": by.as_json(), "link": _key(token)[:_NAME_CHARS]}
        )
        await self._store.commit([event], [*self._ended(now), Put(Table.LINK, _key(token), body, expect=0)])
        return token, expires_ns

    def owner(self, token: str, identity: Identity) -> Principal:
        """Who would be signed in by a link. Raises `Rejected`; the link stays good."""
        return self._link(token, identity)[2]

    async def redeem(self, token: str, identity: Identity) -> str:
        """The cookie for a link, once. Raises `Rejected` for one that is unknown, used or too old."""
        row, value, principal = self._link(token, identity)
        cookie = self._ids.token()
        expires_ns = self._clock.now_ns() + BROWSER_S * _SECOND_NS
        event = self._auditor.event(
            EventKind.SIGNED_IN,
            body={
                "by": principal.as_json(),
                "link": row.key[:_NAME_CHARS],
                "browser": _key(cookie)[:_NAME_CHARS],
            },
        )
        used = Put(Table.LINK, row.key, _body("used", "", int(value["expires_ns"])), expect=row.version)
        browser = Put(Table.LINK, _key(cookie), _body("browser", value["credential"], expires_ns), expect=0)
        try:
            await self._store.commit([event], [used, browser])
        except Conflict as lost:
            raise _no_link() from lost
        return cookie

    def browser(self, cookie: str, identity: Identity) -> Browser | None:
        """Whose browser shows that cookie; None when it is unknown or too old, or its credential is gone."""
        row = self._store.get(Table.LINK, _key(cookie)) if cookie else None
        value: Mapping[str, Any] = orjson.loads(row.body) if row else {}
        if value.get("use") != "browser" or int(value["expires_ns"]) < self._clock.now_ns():
            return None
        try:
            principal = identity.of_credential(value["credential"])
        except Rejected:
            return None
        return Browser(
            principal=principal, form_token=_form_token(cookie), expires_ns=int(value["expires_ns"])
        )

    async def end(self, cookie: str, by: Principal) -> None:
        """Sign a browser out."""
        event = self._auditor.event(
            EventKind.SIGNED_OUT, body={"by": by.as_json(), "browser": _key(cookie)[:_NAME_CHARS]}
        )
        await self._store.commit([event], [Delete(Table.LINK, _key(cookie))])

    def _link(self, token: str, identity: Identity) -> tuple[Row, Mapping[str, Any], Principal]:
        row = self._store.get(Table.LINK, _key(token)) if token else None
        value: Mapping[str, Any] = orjson.loads(row.body) if row else {}
        if row is None or value.get("use") != "link" or int(value["expires_ns"]) < self._clock.now_ns():
            raise _no_link()
        return row, value, identity.of_credential(value["credential"])

    def _credential_of(self, by: Principal) -> str:
        for row in self._store.scan(Table.CREDENTIAL):
            if orjson.loads(row.body)["name"] == by.credential:
                return row.key
        raise Rejected(
            "a link needs a credential that the ward keeps",
            code=ReasonCode.UNAUTHENTICATED,
            remedy="make one with `toolward keys create --person`",
        )

    def _ended(self, now: int) -> list[Change]:
        rows = self._store.scan(Table.LINK)
        return [
            Delete(Table.LINK, row.key) for row in rows if int(orjson.loads(row.body)["expires_ns"]) < now
        ]


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _form_token(cookie: str) -> str:
    """Nobody can tell the cookie from it, and nobody without the cookie can tell it."""
    digest = hashlib.sha256(b"toolward form\0" + cookie.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _body(use: str, credential: str, expires_ns: int) -> bytes:
    return canonical({"use": use, "credential": credential, "expires_ns": str(expires_ns)})


def _no_link() -> Rejected:
    return Rejected(
        "the link was used, is too old, or is none of ours",
        code=ReasonCode.UNAUTHENTICATED,
        remedy="make another one with `toolward approvals open`",
    )
