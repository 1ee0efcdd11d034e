"""One HTTP request to a page, taken apart; and one answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct, field

from toolward.doors.mcp.boundary import Headers, HostGuard, fold_headers
from toolward.doors.mcp.channel import send_bytes
from toolward.doors.mcp.messages import read_body
from toolward.doors.mcp.wire import Receive, Refusal, Scope, Send, malformed
from toolward.errors import Reason
from toolward.errors import ReasonCode as Code

FORM_BYTES_MAX: Final = 32 * 1024
FIELDS_MAX: Final = 16
HTML: Final = b"text/html; charset=utf-8"
JSON: Final = b"application/json"
SECURITY: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # under no-referrer a form's own origin would be sent as null
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
"""On every answer. No inline script or style, no frame, nothing from elsewhere."""


class Seen(Struct, frozen=True):
    """What was asked for."""

    method: str
    path: str  # below the pages' own, without `.json`
    query: Mapping[str, str]
    headers: Headers
    receive: Receive
    wants_json: bool

    def cookie(self, name: str) -> str:
        """The cookie's value; '' where there is none, or more than one, of which somebody put one there."""
        pairs = [
            part.strip().partition("=")
            for part in self.headers.get(b"cookie", b"").decode("latin-1").split(";")
        ]
        found = {value for each, _, value in pairs if each == name}
        return found.pop() if len(found) == 1 else ""

    @property
    def from_elsewhere(self) -> bool:
        """Whether a link on another site led here: then a strict cookie is not shown."""
        return self.headers.get(b"sec-fetch-site") == b"cross-site"

    async def form(self) -> Mapping[str, str]:
        """What one of our own pages posts. Raises `Refusal` when it is not our page that does."""
        self._check_sender()
        content_type = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type != b"application/x-www-form-urlencoded":
            raise malformed("the body is no form", status=415)
        body = await read_body(self.receive, self.headers.get(b"content-length"), FORM_BYTES_MAX)
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
            )
        except (UnicodeError, ValueError) as error:
            raise malformed("the form can not be read") from error
        if len(dict(pairs)) != len(pairs):
            raise malformed("the form holds a field twice")
        return dict(pairs)

    def _check_sender(self) -> None:
        """Beside the strict cookie and the form's token: a browser says truly whose page sends a form."""
        origin = self.headers.get(b"origin")
        if origin is None:
            ours = self.headers.get(b"sec-fetch-site") == b"same-origin"
        else:
            ours = _authority(origin) == _authority(b"//" + self.headers.get(b"host", b""), origin)
        if not ours:
            reason = Reason(code=Code.FOREIGN_ORIGIN, text="the form was not sent by this page")
            raise Refusal(reason, status=HTTPStatus.FORBIDDEN)


class Answer(Struct, frozen=True, kw_only=True):
    """What is sent back."""

    body: bytes = b""
    status: int = HTTPStatus.OK
    media: bytes = HTML
    headers: tuple[tuple[bytes, bytes], ...] = field(default_factory=tuple)
    keeps: bool = False  # for everybody and for long

    async def send(self, send: Send) -> None:
        """The whole response."""
        keep = b"public, max-age=31536000, immutable" if self.keeps else b"no-store"
        headers = ((b"content-type", self.media), (b"cache-control", keep), *SECURITY, *self.headers)
        await send_bytes(send, self.status, self.body, headers)


def seen(scope: Scope, receive: Receive, *, root: str, guard: HostGuard) -> Seen:
    """The request. Raises `Refusal` for a foreign host or origin, and for doubled headers."""
    headers = fold_headers(scope["headers"])
    guard.check(headers)
    path: str = scope["path"][len(root) :].strip("/")
    accept = headers.get(b"accept", b"")
    as_json = path.endswith(".json") or (b"application/json" in accept and b"text/html" not in accept)
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), max_num_fields=FIELDS_MAX)
    return Seen(scope["method"], path.removesuffix(".json"), dict(query), headers, receive, as_json)


def json_answer(value: Any, status: int = HTTPStatus.OK) -> Answer:
    """In ASCII: what can not be seen is spelt out."""
    body = json.dumps(value, indent=2).encode()
    return Answer(body=body, status=status, media=JSON)


def redirect(path: str, *headers: tuple[bytes, bytes]) -> Answer:
    """After a form: look there with GET."""
    return Answer(status=HTTPStatus.SEE_OTHER, headers=((b"location", path.encode("ascii")), *headers))


def _authority(url: bytes, like: bytes = b"") -> tuple[str, int]:
    """Host and port; without one, that of the scheme of `url`, else of `like`."""
    text = url.decode("latin-1")
    secure = text.startswith("https:") or like.startswith(b"https:")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "", 0
    return parts.hostname or "", port or (443 if secure else 80)
